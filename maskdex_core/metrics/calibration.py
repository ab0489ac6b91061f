"""How well a confidence tells held from lost: AUROC, and expected calibration error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

BINS = 10


def auroc(score: NDArray[np.floating], outcome: NDArray[np.bool_]) -> float:
    """Return the chance that a held grasp scores above a lost one (ties count half); NaN when all are alike.

    Args:
        score: (N,) higher is more confident. outcome: (N,) bool.
    """
    outcome = np.asarray(outcome, bool)
    positive, negative = int(outcome.sum()), int((~outcome).sum())
    if positive == 0 or negative == 0:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[outcome].sum() - positive * (positive + 1) / 2) / (positive * negative))


def calibration_error(chance: NDArray[np.floating], outcome: NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the expected calibration error (Guo 2017): mean gap of chance and frequency over equal-width bins.

    Args:
        chance: (N,) in 0..1. outcome: (N,) bool.
    """
    chance, outcome = np.asarray(chance, float), np.asarray(outcome, bool)
    index = np.minimum((chance * bins).astype(int), bins - 1)
    gaps = [
        abs(float(chance[index == b].mean()) - float(outcome[index == b].mean())) * float((index == b).mean())
        for b in range(bins)
        if (index == b).any()
    ]
    return float(sum(gaps))
