"""What a hand's YAML says: `config/hands/<name>.yaml`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from maskdex_core.config import from_yaml
from maskdex_core.errors import ConfigError, HandError, unknown_choice
from maskdex_core.resources import resource_path

PART_NAMES = ("palm", "thumb", "index", "middle", "ring", "little")


@dataclass(frozen=True)
class HandSpec:
    """One hand as data; lengths in m, angles in rad, vectors in the named link's frame.

    Attributes:
        name: how users call it.
        urdf: path of the URDF: absolute, or relative to the YAML's folder or to the shipped files.
        root: link whose frame is the palm frame.
        parts: part → links; a hand may lack a finger by leaving it out.
        tips: finger → {link, xyz}.
        palmar: direction of the grasping side of a link.
        palmar_of: links whose direction differs.
        contact_links: links that may hold an object.
        facing: cosine between a link's palmar side and the surface's inward normal below which a contact counts
            as one on the back of the finger; hands whose thumb opposes with its side need less than 0.
        fingers: direction of the straight fingers in the root's frame.
        missing: finger of the Shadow hand that this hand lacks → finger that stands in for it where it
            does not touch itself; a finger that is neither here nor there is dropped.
        couplings: joint → {joint, multiplier}: joints that a tendon moves together, over the URDF's mimics.
        mount: {xyz, rpy} pose of the root link on the arm's flange.
        controller: name of the hand's trajectory controller.
        acceleration: joint acceleration limit, rad/s².
        jerk: joint jerk limit, rad/s³.
        stiffness: of each joint's position control, N·m/rad; the squeeze is solved for it.
    """

    name: str
    urdf: str
    root: str
    parts: dict[str, Any]
    tips: dict[str, Any]
    palmar: tuple[float, ...]
    contact_links: tuple[str, ...]
    controller: str
    mount: dict[str, Any] = field(default_factory=lambda: {"xyz": [0, 0, 0], "rpy": [0, 0, 0]})
    palmar_of: dict[str, Any] = field(default_factory=dict)
    facing: float = 0.2
    fingers: tuple[float, ...] = (0.0, 0.0, 1.0)
    missing: dict[str, Any] = field(default_factory=dict)
    couplings: dict[str, Any] = field(default_factory=dict)
    acceleration: float = 10.0
    jerk: float = 100.0
    stiffness: float = 5.0

    def urdf_path(self) -> Path:
        """Return where the URDF lies.

        Raises:
            HandError: when it is not among the shipped files.
        """
        path = Path(self.urdf)
        try:
            return path if path.is_absolute() else resource_path(path)
        except ConfigError as error:
            raise HandError(f"hand {self.name!r}: {error}") from error


def known_hands() -> tuple[str, ...]:
    """Return the names of the shipped hands."""
    return tuple(sorted(path.stem for path in resource_path("config/hands").glob("*.yaml")))


def load_spec(hand: str | Path) -> HandSpec:
    """Load a shipped hand by name, or any hand by the path of its YAML.

    Raises:
        HandError: when the name is unknown or the file does not describe a hand.
    """
    path = Path(hand)
    if path.suffix not in (".yaml", ".yml"):
        if str(hand) not in known_hands():
            raise HandError(f"{unknown_choice('hand', str(hand), known_hands())}; or give the path of a hand's YAML")
        path = resource_path(f"config/hands/{hand}.yaml")
    try:
        spec = from_yaml(HandSpec, path)
    except ConfigError as error:
        raise HandError(str(error)) from error
    _check(spec, path)
    beside = path.parent / spec.urdf
    return replace(spec, urdf=str(beside.resolve())) if beside.is_file() else spec


def _check(spec: HandSpec, path: Path) -> None:
    for part, links in spec.parts.items():
        if part not in PART_NAMES:
            raise HandError(f"{path}: {unknown_choice('part', part, PART_NAMES)}")
        if not isinstance(links, list):
            raise HandError(f"{path}: links of {part} are {links!r}; expected a list of names")
    for key in ("tips", "contact_links"):
        if not getattr(spec, key):
            raise HandError(f"{path}: {key} is empty; expected at least one")
    for finger, tip in spec.tips.items():
        if finger not in spec.parts or finger == PART_NAMES[0]:
            raise HandError(f"{path}: tips: {unknown_choice('finger', finger, set(spec.parts) - {PART_NAMES[0]})}")
        if not isinstance(tip, dict) or "link" not in tip or not _is_vector(tip.get("xyz")):
            raise HandError(f"{path}: tip of {finger} is {tip!r}; expected a link and three numbers xyz")
    vectors = {"palmar": spec.palmar, "fingers": spec.fingers}
    vectors |= {f"palmar_of {link}": vector for link, vector in spec.palmar_of.items()}
    for name, vector in vectors.items():
        if not _is_vector(vector) or not any(vector):
            raise HandError(f"{path}: {name} is {vector!r}; expected three numbers, not all zero")
    for key in ("xyz", "rpy"):
        if not _is_vector(spec.mount.get(key)):
            raise HandError(f"{path}: mount: {key} is {spec.mount.get(key)!r}; expected three numbers")
    if not -1 <= spec.facing <= 1:
        raise HandError(f"{path}: facing is {spec.facing}; expected a cosine, -1 to 1")
    for key, unit in (("stiffness", "N·m/rad"), ("acceleration", "rad/s²"), ("jerk", "rad/s³")):
        value = getattr(spec, key)
        if not 0 < value < math.inf:
            raise HandError(f"{path}: {key} is {value}; expected a number above 0 {unit}")
    _check_missing(spec, path)
    _check_couplings(spec, path)


def _check_missing(spec: HandSpec, path: Path) -> None:
    for finger, stand_in in spec.missing.items():
        if finger not in PART_NAMES[1:]:
            raise HandError(f"{path}: missing: {unknown_choice('finger', finger, PART_NAMES[1:])}")
        if finger in spec.tips:
            raise HandError(f"{path}: missing: finger {finger!r} has a tip, so that it is not missing")
        if stand_in not in spec.tips:
            raise HandError(f"{path}: missing: stand-in of {finger}: {unknown_choice('finger', stand_in, spec.tips)}")


def _check_couplings(spec: HandSpec, path: Path) -> None:
    for joint, coupling in spec.couplings.items():
        whole = isinstance(coupling, dict) and set(coupling) == {"joint", "multiplier"}
        if not whole or not _is_number(coupling["multiplier"]) or not coupling["multiplier"]:
            raise HandError(f"{path}: coupling of {joint} is {coupling!r}; expected a joint and a multiplier, not 0")


def _is_vector(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
