"""The search on its own: mazes whose answer is known, without a robot."""

from __future__ import annotations

import numpy as np
import pytest

from maskdex_core.motion.rrt import RrtSettings, connect, shortened

LOWER, UPPER, EVEN = np.zeros(2), np.ones(2), np.ones(2)
START, GOAL = np.array([0.1, 0.5]), np.array([0.9, 0.5])
SETTINGS = RrtSettings(rounds=300, stride=0.15)


def wall(gap: tuple[float, float] | None):
    """Return the question of edges that must not cross a wall, x from 0.45 to 0.55, but for a gap in y; exact."""

    def free(begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        x, along = begins[:, 0], ends[:, 0] - begins[:, 0]
        along = np.where(np.abs(along) < 1e-12, 1e-12, along)
        enter, leave = np.sort(np.stack([(0.45 - x) / along, (0.55 - x) / along]), axis=0)
        enter, leave = np.maximum(enter, 0.0), np.minimum(leave, 1.0)
        if gap is None:
            return enter > leave
        y = begins[:, 1] + np.stack([enter, leave]) * (ends[:, 1] - begins[:, 1])
        return (enter > leave) | ((y >= gap[0] - 1e-9) & (y <= gap[1] + 1e-9)).all(axis=0)

    return free


def length(stations: list[np.ndarray]) -> float:
    return float(np.linalg.norm(np.diff(np.array(stations), axis=0), axis=1).sum())


@pytest.mark.parametrize("seed", range(5))
def test_a_way_through_a_gap_is_found_and_shortened(seed: int) -> None:
    free, rng = wall((0.85, 0.95)), np.random.default_rng(seed)
    stations = connect(START, GOAL, LOWER, UPPER, EVEN, free, rng, SETTINGS)
    assert stations is not None
    short = shortened(stations, EVEN, free, rng, 60)
    for way in (stations, short):
        np.testing.assert_array_equal(way[0], START)
        np.testing.assert_array_equal(way[-1], GOAL)
        assert free(np.array(way[:-1]), np.array(way[1:])).all()
    assert length(short) <= length(stations) and len(short) <= len(stations)
    assert length(short) < 1.35 * 1.12  # 1.12: START to GOAL by the nearest corners of the gap


def test_a_closed_wall_has_no_way() -> None:
    rng = np.random.default_rng(0)
    assert connect(START, GOAL, LOWER, UPPER, EVEN, wall(None), rng, RrtSettings(rounds=40)) is None


def test_stations_that_are_not_needed_are_left_out() -> None:
    stations = [START, np.array([0.2, 0.9]), np.array([0.3, 0.1]), np.array([0.4, 0.5])]
    short = shortened(stations, EVEN, wall(None), np.random.default_rng(1), 0)
    assert len(short) == 2


def test_a_joint_that_weighs_more_moves_less() -> None:
    """Around a wall in a third, free joint nothing is gained by moving it."""
    rng = np.random.default_rng(2)
    free = wall((0.6, 1.0))
    start, goal = np.append(START, 0.5), np.append(GOAL, 0.5)
    in_plane = lambda begins, ends: free(begins[:, :2], ends[:, :2])  # noqa: E731
    stations = connect(start, goal, np.zeros(3), np.ones(3), np.array([1.0, 1.0, 5.0]), in_plane, rng, SETTINGS)
    short = shortened(stations, np.array([1.0, 1.0, 5.0]), in_plane, rng, 80)
    assert np.ptp(np.array(short)[:, 2]) < 0.1
