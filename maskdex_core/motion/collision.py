"""How near arm and hand come to the table, the object and each other.

The arm is capsules, the hand spheres in the tip frame, the table a half-space, the object points.
Index legend: T configurations, C capsules, S hand spheres, M object points, P pairs, K points on a capsule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from maskdex_core.errors import RobotError
from maskdex_core.motion.arm import Arm

LINKS_APART = 3
"""arm links nearer than this along the chain touch by design"""
HAND_NEAR_LINKS = 3
"""as many links before the tip carry the hand and touch it by design"""
TABLE_SKIPS = 2
"""as many links at the base stand on the table by design"""
FAR = 0.12
"""m; distances to the object, and of the hand to the arm, are only lower bounds beyond this"""
HAND_FAR = 0.02
"""m; the same for the hand's spheres and what it carries, whose distance to points is asked most often"""
THIN = 0.004
"""m; cells of which one point each stands for an object that is carried"""
CAPSULE_STEP = 0.02
"""m between the points that stand for a capsule's axis against object points"""


@dataclass(frozen=True)
class FingerPair:
    """Spheres of two fingers, as pairs first (Q,) and second (Q,) of indices, that must not run into each other."""

    fingers: tuple[str, str]
    first: np.ndarray
    second: np.ndarray


@dataclass(frozen=True)
class HandSpheres:
    """Spheres that cover the hand.

    Attributes:
        radii: (S,) m.
        centers: hand joint positions (T, J) rad, in the order of the hand's limits → (T, S, 3) m, tip frame.
        finger_pairs: what of the fingers can meet.
    """

    radii: np.ndarray
    centers: Callable[[np.ndarray], np.ndarray]
    finger_pairs: tuple[FingerPair, ...] = ()

    @classmethod
    def rigid(cls, points: np.ndarray, radii: np.ndarray) -> HandSpheres:
        """Return a hand that keeps one shape: points (S, 3) m in the tip frame, radii (S,) m."""
        points = np.asarray(points, dtype=np.float64)
        return cls(np.asarray(radii, dtype=np.float64), lambda q: np.broadcast_to(points, (len(q), *points.shape)))


@dataclass(frozen=True)
class SeenPoints:
    """Points (M, 3) m of something the camera saw, base frame, and how far others are from them."""

    name: str
    points: np.ndarray

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import KDTree

        return KDTree(self.points)

    @cached_property
    def _box(self) -> tuple[np.ndarray, np.ndarray]:
        return self.points.min(axis=0), self.points.max(axis=0)

    @cached_property
    def thinned(self) -> np.ndarray:
        """(M', 3) m: one of the points in each cell of `THIN` m."""
        if len(self.points) == 0:
            return self.points
        cells = np.floor((self.points - self._box[0]) / THIN).astype(np.int64)
        # one number for each cell: rows of three take four times as long to sort
        _, first = np.unique(np.ravel_multi_index(tuple(cells.T), cells.max(axis=0) + 1), return_index=True)
        return self.points[np.sort(first)]

    def distance(self, points: np.ndarray, reach: float = FAR) -> np.ndarray:
        """Return distances to the nearest of these points, (...,) m, of points (..., 3); `reach` beyond that."""
        distance = np.full(points.shape[:-1], reach)
        if len(self.points) == 0 or points.size == 0:
            return distance
        lower, upper = self._box
        near = ((points > lower - reach) & (points < upper + reach)).all(axis=-1)
        found, _ = self._tree.query(points[near], distance_upper_bound=reach)
        distance[near] = np.minimum(found, reach)
        return distance


@dataclass(frozen=True)
class World:
    """What stands around the robot, in the base frame.

    Attributes:
        object_points: (M, 3) m, the object to grasp.
        obstacle_points: (M, 3) m, everything else that must not be hit.
        table_height: m, z of the table's surface; None when there is no table.
        hand: None checks the arm alone.
    """

    object_points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    table_height: float | None = 0.0
    hand: HandSpheres | None = None
    obstacle_points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    def __post_init__(self) -> None:
        for key in ("object_points", "obstacle_points"):
            points = np.asarray(getattr(self, key), dtype=np.float64)
            if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
                what = key.replace("_", " ")
                raise RobotError(f"world: {what} of shape {points.shape}; expected (any, 3) finite numbers")
            object.__setattr__(self, key, points)

    @cached_property
    def target(self) -> SeenPoints:
        """The object to grasp."""
        return SeenPoints("object", self.object_points)

    @cached_property
    def obstacles(self) -> SeenPoints:
        """Everything else."""
        return SeenPoints("obstacle", self.obstacle_points)


@dataclass(frozen=True)
class Clearance:
    """Least distance at each configuration: distance (T,) m, negative in contact; pair (T,) into labels."""

    distance: np.ndarray
    pair: np.ndarray
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Posed:
    """Arm and hand shapes in the base frame: capsule ends (T, C, 3), spheres (T, S, 3) m, tip (T, 4, 4)."""

    start: np.ndarray
    end: np.ndarray
    spheres: np.ndarray
    base_from_tip: np.ndarray


class CollisionModel:
    """Distances between one arm, one hand and one world."""

    def __init__(self, arm: Arm, world: World) -> None:
        self.arm = arm
        self.world = world
        order = {name: index for index, name in enumerate(arm.link_names)}
        self._link = np.array([order[capsule.link] for capsule in arm.capsules])  # (C,)
        self._names = tuple(capsule.link for capsule in arm.capsules)
        self._local = np.array([[c.start, c.end] for c in arm.capsules])  # (C, 2, 3)
        self._radius = np.array([capsule.radius for capsule in arm.capsules])
        self._hand_radius = np.zeros(0) if world.hand is None else np.asarray(world.hand.radii)
        pairs = np.array(np.triu_indices(len(self._link), k=1))
        self._pairs = pairs[:, np.abs(self._link[pairs[0]] - self._link[pairs[1]]) >= LINKS_APART]  # (2, P)
        last = len(arm.link_names) - 1
        self._off_hand = np.flatnonzero(self._link < last - HAND_NEAR_LINKS + 1)
        self._off_table = np.flatnonzero(self._link >= TABLE_SKIPS)

    def pose(self, arm_positions: np.ndarray, hand_positions: np.ndarray) -> Posed:
        """Place all shapes for arm positions (T, 7) and hand positions (T, J) rad."""
        frames = self.arm.link_transforms(arm_positions)  # (T, L, 4, 4)
        links = frames[:, self._link]  # (T, C, 4, 4)
        ends = np.einsum("tcij,cej->tcei", links[..., :3, :3], self._local) + links[..., None, :3, 3]
        return Posed(ends[:, :, 0], ends[:, :, 1], self._hand(frames[:, -1], hand_positions), frames[:, -1])

    def pose_hand(self, base_from_tip: np.ndarray, hand_positions: np.ndarray) -> Posed:
        """Place the hand alone, for tip poses (T, 4, 4) m: whatever the arm does to get there."""
        nothing = np.zeros((len(base_from_tip), 0, 3))
        return Posed(nothing, nothing, self._hand(base_from_tip, hand_positions), base_from_tip)

    def _hand(self, tip: np.ndarray, hand_positions: np.ndarray) -> np.ndarray:
        if self.world.hand is None:
            return np.zeros((len(tip), 0, 3))
        local = np.asarray(self.world.hand.centers(hand_positions))
        return local @ tip[:, :3, :3].transpose(0, 2, 1) + tip[:, None, :3, 3]

    def arm_self(self, posed: Posed) -> Clearance:
        """Arm links against arm links that are not near each other in the chain."""
        i, j = self._pairs
        apart = segment_distance(posed.start[:, i], posed.end[:, i], posed.start[:, j], posed.end[:, j])
        labels = tuple(f"{self._names[a]} and {self._names[b]}" for a, b in zip(i, j, strict=True))
        return _least(apart - self._radius[i] - self._radius[j], labels)

    def hand_arm(self, posed: Posed) -> Clearance:
        """Hand spheres against the links that do not carry the hand."""
        keep = self._off_hand
        labels = tuple(f"hand and {self._names[c]}" for c in keep)
        if posed.spheres.shape[1] == 0:
            return _least(np.zeros((len(posed.start), 0)), labels)
        start, end, radius = posed.start[:, keep], posed.end[:, keep], self._radius[keep]
        # one ball around all spheres first: few configurations bring it near any link
        middle = posed.spheres.mean(axis=1)
        around = (np.linalg.norm(posed.spheres - middle[:, None], axis=2) + self._hand_radius).max(axis=1)
        gap = point_segment_distance(middle[:, None], start, end) - radius - around[:, None]  # (T, C)
        t, c = np.nonzero(gap < FAR)
        apart = point_segment_distance(posed.spheres[t], start[t, c][:, None], end[t, c][:, None])
        gap[t, c] = (apart - self._hand_radius).min(axis=1) - radius[c]
        return _least(gap, labels)

    def fingers(self, hand_positions: np.ndarray) -> Clearance:
        """Fingers against fingers at hand positions (T, J) rad: how deep they are commanded into each other."""
        hand = self.world.hand
        if hand is None or not hand.finger_pairs:
            return _least(np.zeros((len(hand_positions), 0)), ())
        shapes, which = distinct_rows(hand_positions)
        centers, radii = np.asarray(hand.centers(shapes)), self._hand_radius
        gaps = np.empty((len(shapes), len(hand.finger_pairs)))
        for column, pair in enumerate(hand.finger_pairs):
            i, j = pair.first, pair.second
            gaps[:, column] = (np.linalg.norm(centers[:, i] - centers[:, j], axis=2) - radii[i] - radii[j]).min(axis=1)
        return _least(gaps[which], tuple(" and ".join(pair.fingers) for pair in hand.finger_pairs))

    def carried_table(self, carried: np.ndarray) -> Clearance:
        """The carried object's points (T, M, 3) m against the table."""
        lowest = carried[..., 2].min(axis=1, initial=np.inf) - self._table()
        return _least(lowest[:, None], ("carried object and table",))

    def carried_obstacles(self, carried: np.ndarray) -> Clearance:
        """The carried object's points (T, M, 3) m against everything else that was seen."""
        near = self.world.obstacles.distance(carried, HAND_FAR).min(axis=1, initial=np.inf)
        return _least(near[:, None], ("carried object and obstacle",))

    def arm_table(self, posed: Posed) -> Clearance:
        """Arm links above those that stand on the table, against the table."""
        keep = self._off_table
        lowest = np.minimum(posed.start[:, keep, 2], posed.end[:, keep, 2]) - self._radius[keep]
        return _least(lowest - self._table(), tuple(f"{self._names[c]} and table" for c in keep))

    def hand_table(self, posed: Posed) -> Clearance:
        """Hand spheres against the table."""
        lowest = (posed.spheres[:, :, 2] - self._hand_radius).min(axis=1, initial=np.inf)
        return _least((lowest - self._table())[:, None], ("hand and table",))

    def arm_points(self, posed: Posed, seen: SeenPoints, base_from_tip_taken: np.ndarray | None = None) -> Clearance:
        """Arm links against points; a lower bound of the distance, at most 1 mm low near contact.

        Args:
            seen: the world's `target` or `obstacles`.
            base_from_tip_taken: (4, 4) tip pose at which the hand took the object, whose points then move
                with the tip; None for what still stands where it was seen.
        """
        way = posed.end - posed.start
        lengths = np.linalg.norm(self._local[:, 1] - self._local[:, 0], axis=1)  # (C,)
        share = np.linspace(0.0, 1.0, int(np.ceil(lengths.max(initial=0.0) / CAPSULE_STEP)) + 1)
        points = posed.start[:, :, None] + share[:, None] * way[:, :, None]  # (T, C, K, 3)
        if base_from_tip_taken is not None:
            moved = base_from_tip_taken @ np.linalg.inv(posed.base_from_tip)  # (T, 4, 4)
            points = points @ moved[:, None, :3, :3].transpose(0, 1, 3, 2) + moved[:, None, None, :3, 3]
        near = seen.distance(points).min(axis=2)
        # the axis runs between the sampled points, so it may be nearer than they are
        half = lengths / (2 * max(len(share) - 1, 1))
        axis = np.sqrt(np.maximum(near**2 - half**2, 0.0))
        return _least(axis - self._radius, tuple(f"{name} and {seen.name}" for name in self._names))

    def hand_points(self, posed: Posed, seen: SeenPoints) -> Clearance:
        """Hand spheres against points."""
        reach = HAND_FAR + self._hand_radius.max(initial=0.0)
        near = (seen.distance(posed.spheres, reach) - self._hand_radius).min(axis=1, initial=np.inf)
        return _least(near[:, None], (f"hand and {seen.name}",))

    def nearest(self, posed: Posed, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how far points (M, 3) m are from the robot at the first configuration, and from which part.

        Returns:
            distance (M,) m, negative inside; part (M,): a capsule's link, or "the hand".
        """
        start, end = posed.start[0], posed.end[0]
        arm = point_segment_distance(points[:, None], start, end) - self._radius
        hand = np.linalg.norm(points[:, None] - posed.spheres[0], axis=2) - self._hand_radius
        gaps = np.concatenate([arm, hand], axis=1)  # (M, C + S)
        parts = np.array([*self._names, *["the hand"] * hand.shape[1]])
        least = gaps.argmin(axis=1)
        return gaps[np.arange(len(points)), least], parts[least]

    def covers(self, posed: Posed, points: np.ndarray, margin: float) -> np.ndarray:
        """Return (M,) bool: which points lie within `margin` m of the robot at the first configuration."""
        return self.nearest(posed, points)[0] < margin

    def _table(self) -> float:
        return -np.inf if self.world.table_height is None else self.world.table_height


def distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows (U, J) to four digits and, for each of rows (T, J), which of them it is."""
    if (rows == rows[:1]).all():  # a hand that stands still, as in most of a motion
        return np.round(rows[:1], 4), np.zeros(len(rows), dtype=np.int64)
    shapes, which = np.unique(np.round(rows, 4), axis=0, return_inverse=True)
    return shapes, np.reshape(which, -1)


def _least(gaps: np.ndarray, labels: tuple[str, ...]) -> Clearance:
    """Reduce gaps (T, P) to the least of each configuration."""
    if gaps.shape[1] == 0:
        return Clearance(np.full(len(gaps), np.inf), np.zeros(len(gaps), dtype=int), ("nothing",))
    pair = np.argmin(gaps, axis=1)
    return Clearance(gaps[np.arange(len(gaps)), pair], pair, labels)


def point_segment_distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the distance of points to segments, all (..., 3) and broadcast against each other."""
    way = end - start
    length = np.maximum((way * way).sum(axis=-1), 1e-18)
    share = np.clip(((point - start) * way).sum(axis=-1) / length, 0.0, 1.0)
    return np.linalg.norm(point - start - share[..., None] * way, axis=-1)


def segment_distance(start_a: np.ndarray, end_a: np.ndarray, start_b: np.ndarray, end_b: np.ndarray) -> np.ndarray:
    """Return the distance between segments a and b, all (..., 3).

    The least distance of two segments lies either inside both, where both lines' feet fall inside, or at
    one of the four ends.
    """
    ends = np.minimum(
        np.minimum(point_segment_distance(start_a, start_b, end_b), point_segment_distance(end_a, start_b, end_b)),
        np.minimum(point_segment_distance(start_b, start_a, end_a), point_segment_distance(end_b, start_a, end_a)),
    )
    a, b, between = end_a - start_a, end_b - start_b, start_a - start_b
    aa, bb, ab = (a * a).sum(-1), (b * b).sum(-1), (a * b).sum(-1)
    da, db = (a * between).sum(-1), (b * between).sum(-1)
    area = aa * bb - ab * ab
    safe = np.maximum(area, 1e-18)
    s, t = (ab * db - bb * da) / safe, (aa * db - ab * da) / safe
    inside = (area > 1e-15) & (s >= 0.0) & (s <= 1.0) & (t >= 0.0) & (t <= 1.0)
    lines = np.linalg.norm(between + s[..., None] * a - t[..., None] * b, axis=-1)
    return np.where(inside, np.minimum(lines, ends), ends)
