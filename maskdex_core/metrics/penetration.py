"""Pen: how deep an object sits in a hand's collision shapes, and how deep the hand sits in itself.

The hand is the union of its primitives. A point's depth is its distance to the surface of the primitive
that holds it deepest, exactly; where primitives of one link overlap, the union's own depth may be more.

Index legend: B grasps, L links, S shapes, P points, N skin points, Q pairs of a point and a shape near it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.pose import HandPose

OBJECT_POINTS = 4096
TOUCHING_FLAT = 1e-4  # m; links that overlap with the hand flat do so by design
AT_ONCE = 8  # grasps; more do not fit the processor's cache
POINT, BOX, CYLINDER = 0, 1, 2  # a sphere is a capsule of no length: both are a point swept along z


class HandSolid:
    """A hand's collision shapes, asked for the depth of points inside them."""

    def __init__(self, hand: HandModel) -> None:
        """Take the hand's shapes as arrays."""
        self.hand = hand
        shapes = hand.shapes()
        self._link = torch.tensor([link for link, _ in shapes])
        self._pose = torch.tensor(np.array([shape.link_from_shape for _, shape in shapes]), dtype=torch.float32)
        self._kind = torch.tensor([{"box": BOX, "cylinder": CYLINDER}.get(shape.kind, POINT) for _, shape in shapes])
        # Half extents; of a round shape radius, radius, half length.
        self._half = torch.tensor([_half_extents(shape.kind, shape.size) for _, shape in shapes])
        corner = torch.where(self._kind[:, None] == BOX, self._half, self._half * torch.tensor([1.0, 0.0, 1.0]))
        # (S,) m, radius of the ball about each shape
        self._reach = torch.where(self._kind == POINT, self._half[:, 0] + self._half[:, 2], corner.norm(dim=-1))
        self._foreign = self._foreign_shapes()

    def penetration(self, pose: HandPose, points: np.ndarray | Tensor) -> Tensor:
        """Return Pen (B,) in m: the depth of the deepest object point, 0 if none is inside.

        Args:
            pose: B grasps.
            points: (P, 3) m on the object's surface, object frame; `farthest_points` of 4096 by definition.
        """
        placed = torch.as_tensor(np.asarray(points), dtype=torch.float32)
        with torch.no_grad():
            in_palm = (placed - pose.translation[:, None]) @ pose.rotation
            return self._deepest(self.hand.link_transforms(pose.joints), in_palm, None)

    def self_penetration(self, joints: Tensor) -> Tensor:
        """Return the depth (B,) in m of the deepest skin point inside another finger or the palm, 0 if none.

        Links that are joined or overlap with the hand flat do not count.
        """
        hand = self.hand
        with torch.no_grad():
            transforms = hand.link_transforms(joints)
            skin = hand.place(transforms, hand.surface_link, hand.surface_point)
            return self._deepest(transforms, skin, self._foreign)

    def _deepest(self, transforms: Tensor, points: Tensor, counts: Tensor | None) -> Tensor:
        """Return the largest depth (B,) of palm-frame points (B, P, 3); `counts` (S, P) bool picks pairs."""
        deepest = torch.zeros(len(points))
        for begin in range(0, len(points), AT_ONCE):
            some = slice(begin, begin + AT_ONCE)
            grasp, _, _, depth = self._pairs(transforms[some], points[some], counts)
            deepest[some] = deepest[some].scatter_reduce(0, grasp, depth, "amax")
        return deepest

    def _pairs(self, transforms: Tensor, points: Tensor, counts: Tensor | None) -> tuple[Tensor, ...]:
        """Return grasp, shape, point and depth (Q,) of all points near a shape; depth is negative outside."""
        palm_from_shape = transforms[:, self._link] @ self._pose
        center = palm_from_shape[..., :3, 3]
        near = torch.cdist(center, points) < self._reach[:, None]
        if counts is not None:
            near &= counts
        grasp, shape, point = near.nonzero(as_tuple=True)
        offset = points[grasp, point] - center[grasp, shape]
        local = (offset[:, None] @ palm_from_shape[grasp, shape, :3, :3]).squeeze(1)
        return grasp, shape, point, self._inside(local, shape)

    def _inside(self, local: Tensor, shape: Tensor) -> Tensor:
        """Return the depth (Q,) of points (Q, 3) in the frame of their shape (Q,); negative outside."""
        half, kind = self._half[shape], self._kind[shape]
        across = local[:, :2].norm(dim=-1)
        along = local[:, 2].abs()
        swept = half[:, 0] - torch.hypot(across, (along - half[:, 2]).clamp(min=0))
        boxed = (half - local.abs()).amin(-1)
        turned = torch.minimum(half[:, 0] - across, half[:, 2] - along)
        return torch.where(kind == POINT, swept, torch.where(kind == BOX, boxed, turned))

    def _foreign_shapes(self) -> Tensor:
        """Return (S, N) bool: which skin points must stay out of which shape."""
        hand, link = self.hand, self.hand.surface_link
        apart = ~_joined(hand) & (hand.link_part[:, None] != hand.link_part)
        transforms = hand.link_transforms(hand.clamp(torch.zeros(1, len(hand.joint_names))))
        skin = hand.place(transforms, link, hand.surface_point)
        _, shape, point, depth = self._pairs(transforms, skin, None)
        overlap = depth > TOUCHING_FLAT
        apart[self._link[shape[overlap]], link[point[overlap]]] = False
        return apart[self._link][:, link]


def farthest_points(points: np.ndarray, count: int = OBJECT_POINTS) -> np.ndarray:
    """Return the indices (min(count, P),) of points (P, 3) of which each is farthest from those before it."""
    flat = np.ascontiguousarray(points, np.float32)
    chosen = np.zeros(min(count, len(flat)), dtype=np.int64)
    distance = np.full(len(flat), np.inf, np.float32)
    for index in range(1, len(chosen)):
        offset = flat - flat[chosen[index - 1]]
        np.minimum(distance, np.einsum("pi,pi->p", offset, offset), out=distance)
        chosen[index] = distance.argmax()
    return chosen


def _half_extents(kind: str, size: tuple[float, ...]) -> tuple[float, float, float]:
    if kind == "box":
        return (size[0], size[1], size[2])
    return (size[0], size[0], 0.0 if kind == "sphere" else size[1])


def _joined(hand: HandModel) -> Tensor:
    """Return (L, L) bool: whether two links are at most two joints apart, as in the hold test."""
    index = {name: row for row, name in enumerate(hand.link_names)}
    steps = torch.eye(len(index))
    for joint in hand.urdf.joints.values():
        if joint.parent in index and joint.child in index:
            steps[index[joint.parent], index[joint.child]] = steps[index[joint.child], index[joint.parent]] = 1.0
    return steps @ steps > 0
