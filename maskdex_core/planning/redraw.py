"""Other samples while the best grasp is doubtful: they cost less than another request, or a dropped object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from maskdex_core.grasp.types import GraspBatch
from maskdex_core.planning.proposals import concatenate, judged
from maskdex_core.refine.ranking import merit_of_holding

Drawn = TypeVar("Drawn")

LIKELY = 0.5  # chance that a grasp holds where the text wants it, below which others are drawn (decision 100)


def draw_until(
    enough: Callable[[Drawn], bool], draws: Sequence[Callable[[], Drawn]], join: Callable[[Drawn, Drawn], Drawn]
) -> Drawn:
    """Return the first draw, or the join of it and of those behind it, as soon as it is enough."""
    made = draws[0]()
    for draw in draws[1:]:
        if enough(made):
            break
        made = join(made, draw())
    return made


def draw_until_likely(draws: Sequence[Callable[[], GraspBatch]]) -> GraspBatch:
    """Return refined grasps: those of one draw, and behind them those of more while the best so far is doubtful."""
    return draw_until(lambda grasps: prospect(grasps) >= LIKELY, draws, lambda old, new: concatenate([old, new]))


def best_row(grasps: GraspBatch) -> int:
    """Return which of refined grasps is ranked first."""
    return int(judged(grasps.score).argmax())


def firmest_row(grasps: GraspBatch) -> int:
    """Return which of refined grasps would be ranked first if the text did not count."""
    return int(merit_of_holding(judged(grasps.score), grasps.agreement).argmax())


def prospect(grasps: GraspBatch) -> float:
    """Return the chance that the best of refined grasps holds where the text wants it."""
    row = best_row(grasps)
    holds = float(judged(grasps.chance)[row])
    return holds if grasps.agreement is None else holds * float(grasps.agreement[row])
