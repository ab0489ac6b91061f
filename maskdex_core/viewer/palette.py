"""One colour for every verdict and kind of reason, the same in RViz and in the browser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Color = tuple[float, float, float]

HAND: Color = (0.12, 0.37, 0.75)
OBJECT: Color = (0.88, 0.48, 0.10)
UNWANTED: Color = (0.98, 0.89, 0.78)  # of the object, where the text does not want the hand
WANTED: Color = (0.49, 0.10, 0.02)
CLOUD: Color = (0.60, 0.58, 0.55)
ROBOT: Color = (0.45, 0.48, 0.52)
APPROACH: Color = (0.10, 0.70, 0.85)
# Kind of verdict → colour. The first three words are verdicts, the others kinds of reasons for a rejection.
KINDS: dict[str, Color] = {
    "ok": (0.15, 0.65, 0.25),
    "untried": (0.55, 0.55, 0.55),
    "grasp": (0.85, 0.15, 0.12),
    "out of reach": (0.55, 0.25, 0.75),
    "collision": (0.95, 0.60, 0.05),
    "other": (0.60, 0.40, 0.20),
}
# Words at the beginning of a reason, before its first colon → kind.
WORDS = {
    "grasp": "grasp",
    "inverse kinematics": "out of reach",
    "reach": "out of reach",
    "workspace": "out of reach",
    "collision": "collision",
    "table": "collision",
    "object": "collision",
    "self": "collision",
    "obstacle": "collision",
}
FAINTEST, BOLDEST = 0.05, 0.4  # opacity of a ghost


def kind_of(verdict: str, reason: str) -> str:
    """Return the kind, a key of `KINDS`, of a candidate's verdict and reason."""
    if verdict != "rejected":
        return verdict if verdict in KINDS else "other"
    beginning = reason.split(":")[0].lower()
    return next((kind for word, kind in WORDS.items() if word in beginning), "other")


def opacity(confidence: float, best: float) -> float:
    """Return the opacity of a candidate's ghost: the boldest for the `best` confidence among its plan's."""
    share = confidence / best if best > 0.0 else 1.0
    return FAINTEST + (BOLDEST - FAINTEST) * min(max(share, 0.0), 1.0)


def touch_colors(chance: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the colours (M, 3) of object points by their chance (M,) to lie where the text wants the hand.

    From `UNWANTED` over `OBJECT` to `WANTED`, which the likeliest point has.
    """
    share = np.clip(chance / chance.max(initial=1e-6), 0.0, 1.0)
    mixed = [np.interp(share, (0.0, 0.5, 1.0), stops) for stops in zip(UNWANTED, OBJECT, WANTED, strict=True)]
    return np.round(255 * np.stack(mixed, -1)).astype(np.uint8)
