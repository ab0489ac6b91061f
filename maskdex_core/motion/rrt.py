"""RRT-Connect (Kuffner and LaValle 2000) in joint space, many edges at a time, and shortcuts on what it finds.

Knows no robot: it asks whether straight edges between configurations are free.

Index legend: J joints, E edges, N stations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

FreeEdges = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""begins (E, J), ends (E, J) rad → (E,) bool"""


@dataclass(frozen=True)
class RrtSettings:
    """How long to search.

    Attributes:
        rounds: at most; each grows one tree by up to `batch` edges and tries to meet the other.
        batch: edges asked at once.
        stride: rad that an edge of a tree is long at most, in the weighted norm.
        shortcuts: pairs of points on the way that are tried to join directly.
    """

    rounds: int = 50
    batch: int = 8
    stride: float = 0.6
    shortcuts: int = 24


@dataclass
class _Tree:
    """Configurations and, for each, the index of the one it was reached from; the root's is -1."""

    nodes: list[np.ndarray]
    parents: list[int] = field(default_factory=lambda: [-1])

    def nearest(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return for each of points (E, J) the index of the nearest node."""
        apart = (points[:, None] - np.array(self.nodes)) * weights
        return np.square(apart).sum(axis=-1).argmin(axis=1)

    def add(self, node: np.ndarray, parent: int) -> int:
        self.nodes.append(node)
        self.parents.append(parent)
        return len(self.nodes) - 1

    def way(self, index: int) -> list[np.ndarray]:
        """Return the nodes from one back to the root."""
        found = []
        while index >= 0:
            found.append(self.nodes[index])
            index = self.parents[index]
        return found


def connect(
    start: np.ndarray,
    goal: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    weights: np.ndarray,
    free_edges: FreeEdges,
    rng: np.random.Generator,
    settings: RrtSettings,
) -> list[np.ndarray] | None:
    """Return stations from start to goal (both included) whose legs are free, or None when the rounds are over.

    Args:
        start, goal: (J,) rad, free themselves.
        lower, upper: (J,) rad, the box in which stations are drawn.
        weights: (J,) how much a joint's motion counts.
    """
    trees = (_Tree([start]), _Tree([goal]))
    for turn in range(settings.rounds):
        grown, other = trees if turn % 2 == 0 else trees[::-1]
        met = _grow(
            grown, other, rng.uniform(lower, upper, (settings.batch, len(start))), weights, free_edges, settings
        )
        if met is not None:
            there, back = grown.way(met[0])[::-1], other.way(met[1])
            return [*there, *back] if turn % 2 == 0 else [*there, *back][::-1]
    return None


def shortened(
    stations: list[np.ndarray], weights: np.ndarray, free_edges: FreeEdges, rng: np.random.Generator, tries: int
) -> list[np.ndarray]:
    """Return a shorter way with the same ends: points on two of its legs are joined where that is free."""
    for _ in range(tries):
        if len(stations) < 3:
            break
        first, last = sorted(rng.uniform(0.0, len(stations) - 1.0, 2))
        i, j = int(first), int(last)
        if i == j:
            continue
        begin, end = _on_leg(stations, first), _on_leg(stations, last)
        old = [begin, *stations[i + 1 : j + 1], end]
        gain = _length(old, weights) - _length([begin, end], weights)
        if gain > 1e-3 and free_edges(begin[None], end[None])[0]:
            stations = _without_doubles([*stations[: i + 1], begin, end, *stations[j + 1 :]])
    return _skipped(stations, free_edges)


def _grow(
    tree: _Tree,
    other: _Tree,
    targets: np.ndarray,
    weights: np.ndarray,
    free_edges: FreeEdges,
    settings: RrtSettings,
) -> tuple[int, int] | None:
    """Grow a tree toward targets (E, J), then straight to the other tree; return the two nodes that meet."""
    from_nodes = tree.nearest(targets, weights)
    begins = np.array(tree.nodes)[from_nodes]
    way = targets - begins
    length = np.linalg.norm(way * weights, axis=1, keepdims=True)
    ends = begins + way * np.minimum(1.0, settings.stride / np.maximum(length, 1e-9))
    free = free_edges(begins, ends)
    if not free.any():
        return None
    added = np.array([tree.add(end, int(node)) for end, node in zip(ends[free], from_nodes[free], strict=True)])
    nearest = other.nearest(ends[free], weights)
    opposite = np.array(other.nodes)[nearest]
    order = np.argsort(np.linalg.norm((ends[free] - opposite) * weights, axis=1))[: settings.batch // 2]
    joined = free_edges(ends[free][order], opposite[order])
    if not joined.any():
        return None
    best = order[int(np.argmax(joined))]
    return int(added[best]), int(nearest[best])


def _on_leg(stations: list[np.ndarray], at: float) -> np.ndarray:
    index = min(int(at), len(stations) - 2)
    return stations[index] + (at - index) * (stations[index + 1] - stations[index])


def _length(stations: list[np.ndarray], weights: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(np.array(stations), axis=0) * weights, axis=1).sum())


def _skipped(stations: list[np.ndarray], free_edges: FreeEdges) -> list[np.ndarray]:
    """Leave out stations whose neighbours can be joined: each is a stop."""
    index = 1
    while index < len(stations) - 1:
        if free_edges(stations[index - 1][None], stations[index + 1][None])[0]:
            stations = stations[:index] + stations[index + 1 :]
        else:
            index += 1
    return stations


def _without_doubles(stations: list[np.ndarray]) -> list[np.ndarray]:
    kept = stations[:1]
    for station in stations[1:]:
        if np.abs(station - kept[-1]).max() > 1e-6:
            kept.append(station)
    return kept
