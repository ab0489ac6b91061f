"""AUROC and calibration error, against their definitions."""

import numpy as np
import pytest

from maskdex_core.metrics.calibration import auroc, calibration_error


def test_auroc_counts_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    score, outcome = rng.normal(size=60).round(1), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in score[outcome] for b in score[~outcome]]
    assert auroc(score, outcome) == pytest.approx(np.mean(pairs))


def test_auroc_of_a_perfect_a_useless_and_an_inverted_score():
    outcome = np.array([True, True, False, False])
    assert auroc(np.array([4.0, 3.0, 2.0, 1.0]), outcome) == 1.0
    assert auroc(np.ones(4), outcome) == 0.5
    assert auroc(np.array([1.0, 2.0, 3.0, 4.0]), outcome) == 0.0
    assert np.isnan(auroc(np.arange(3.0), np.ones(3, bool)))


def test_honest_chances_have_a_small_calibration_error_and_boasts_a_large_one():
    rng = np.random.default_rng(1)
    chance = rng.random(20_000)
    outcome = rng.random(20_000) < chance
    assert calibration_error(chance, outcome) < 0.02
    assert calibration_error(np.ones(1000), rng.random(1000) < 0.3) == pytest.approx(0.7, abs=0.06)
