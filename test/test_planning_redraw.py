"""Others are drawn while the best grasp is doubtful, and only then."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from grasp_model_support import shadow

from maskdex_core.grasp.types import GraspBatch
from maskdex_core.planning.redraw import best_row, draw_until_likely, firmest_row, prospect
from maskdex_core.refine.ranking import merit


def _drawn(*judged: tuple[float, float, float]) -> GraspBatch:
    """Return grasps with (score, chance, agreement) each."""
    names, count = shadow().joint_names, len(judged)
    score, chance, agreement = torch.tensor(judged).T
    return GraspBatch(
        names, torch.zeros(count, len(names)), torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3),
        score=score, chance=chance, agreement=agreement,
    )  # fmt: skip


SURE, ASTRAY, LOOSE = (-0.1, 0.9, 0.9), (-1.0, 0.9, 0.4), (-2.0, 0.3, 1.0)


@pytest.mark.parametrize(
    ("draws", "kept"),
    [
        ([[ASTRAY, SURE]], [1]),
        ([[ASTRAY, LOOSE], [SURE, LOOSE]], [2]),
        ([[LOOSE], [ASTRAY], [LOOSE]], [1]),
        ([[LOOSE], [LOOSE], [SURE]], [2]),
    ],
)
def test_the_first_draw_comes_first_and_no_more_are_made_than_are_needed(draws, kept):
    asked: list[int] = []

    def draw(number: int) -> GraspBatch:
        asked.append(number)
        return _drawn(*draws[number])

    made = draw_until_likely([partial(draw, number) for number in range(3)])
    assert asked == list(range(len(draws)))
    assert made.score.tolist() == torch.tensor([one[0] for draw in draws for one in draw]).tolist()
    assert [best_row(made)] == kept


def test_a_sampler_without_words_is_judged_by_holding_alone():
    assert prospect(_drawn(LOOSE, ASTRAY)) == pytest.approx(0.36)
    assert prospect(_drawn(LOOSE, ASTRAY).replace(agreement=None)) == pytest.approx(0.9)


def test_grasps_that_nothing_has_judged_are_refused():
    with pytest.raises(ValueError, match="refine them first"):
        draw_until_likely([lambda: _drawn(SURE).replace(score=None)] * 2)


def test_the_firmest_grasp_is_the_one_that_leads_when_the_text_does_not_count():
    odds, agreement = torch.tensor([[3.0, 1.0], [2.0, 2.5], [5.0, 0.0]]), torch.tensor([0.001, 0.9, 0.3])
    made = _drawn(SURE, SURE, SURE).replace(score=merit(odds, agreement), agreement=agreement)
    assert best_row(made) == 1
    alone = merit(odds, None)
    assert firmest_row(made) == int(alone.argmax()) == 0
    assert firmest_row(made.replace(score=alone, agreement=None)) == 0
