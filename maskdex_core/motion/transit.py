"""From where the arm stands to where the approach begins: straight in joint space, by a detour, or by search.

Index legend: E edges, T configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from maskdex_core.motion import ik
from maskdex_core.motion.rrt import RrtSettings, connect, shortened
from maskdex_core.motion.spacing import looks
from maskdex_core.motion.task import MotionTask
from maskdex_core.motion.types import TRANSIT

RAISE = 0.15
"""m that a detour passes above the approach pose"""
BEYOND = 1.2
"""rad beyond start and goal in which the search draws stations"""
COARSE = 24
"""configurations of a leg from which its looks are spaced"""
SEARCH = RrtSettings()


def free_way(task: MotionTask, goal: np.ndarray, search: bool) -> list[np.ndarray] | None:
    """Return stations after the start, the goal (7,) last, whose joint-space legs are free; None for none.

    The hand opens to the pre-grasp on the first leg.

    Args:
        search: draw random stations when neither the straight way nor a simple detour is free.
    """
    for stations in _ways(task, goal, search):
        if is_free(task, [task.q_arm, *stations]):
            return stations
    return None


def is_free(task: MotionTask, stations: list[np.ndarray]) -> bool:
    """Return whether all legs between stations (7,) are free, the hand opening on the first."""
    hand = task.q_hand
    for begin, end in pairwise(stations):
        if not _leg_is_free(task, begin, end, hand):
            return False
        hand = task.targets.hand_pregrasp
    return True


def _ways(task: MotionTask, goal: np.ndarray, search: bool) -> Iterator[list[np.ndarray]]:
    yield [goal]
    above = task.arm.forward(goal[None])[0]
    above[2, 3] += RAISE
    via = ik.solve(task.arm, above, goal)
    if via is not None:
        yield [via, goal]
    yield [task.arm.home, goal]
    if search:
        # opening where the hand stands leaves the search one shape of the hand to look at
        begins = ([], [task.q_arm]) if np.abs(task.targets.hand_pregrasp - task.q_hand).max() > 1e-6 else ([],)
        found = _searched(task, goal)
        if found is not None:
            yield from ([*begin, *found] for begin in begins)


def _searched(task: MotionTask, goal: np.ndarray) -> list[np.ndarray] | None:
    limits, rng = task.arm.limits, np.random.default_rng(0)
    lower = np.maximum(limits.lower, np.minimum(task.q_arm, goal) - BEYOND)
    upper = np.minimum(limits.upper, np.maximum(task.q_arm, goal) + BEYOND)
    reach = task.arm.reach() + 0.2  # m, with the hand: how far a joint's turn carries it
    weights = reach / reach.max()
    # the sum over joints is several times what any point really moves
    stations = connect(task.q_arm, goal, lower, upper, weights, _edges_are_free(task, reach, 0.1), rng, SEARCH)
    if stations is None:
        return None
    return shortened(stations, weights, _edges_are_free(task, reach, 0.04), rng, SEARCH.shortcuts)[1:]


def _edges_are_free(task: MotionTask, reach: np.ndarray, step: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return the question whether edges are free with the hand at the pre-grasp, asked of all at once."""

    def free(begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        looks_at = np.ceil(np.abs(ends - begins) @ reach / step).astype(int) + 2  # (E,)
        arm = np.concatenate(
            [_between(a, b, np.linspace(0.0, 1.0, n)) for a, b, n in zip(begins, ends, looks_at, strict=True)]
        )
        good = task.in_workspace(arm)
        good[good] = task.are_free(arm[good], task.targets.hand_pregrasp, TRANSIT)
        return np.logical_and.reduceat(good, np.concatenate([[0], np.cumsum(looks_at)[:-1]]))

    return free


def _leg_is_free(task: MotionTask, begin: np.ndarray, end: np.ndarray, hand_begin: np.ndarray) -> bool:
    hand_end = task.targets.hand_pregrasp
    share = np.linspace(0.0, 1.0, COARSE)
    arm, hand = _between(begin, end, share), _between(hand_begin, hand_end, share)
    if not task.in_workspace(arm).all():
        return False
    share = looks(task.model, arm, hand, share, task.settings.collision_step)
    return bool(task.are_free(_between(begin, end, share), _between(hand_begin, hand_end, share), TRANSIT).all())


def _between(begin: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    return begin + share[:, None] * (end - begin)
