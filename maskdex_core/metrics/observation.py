"""What a test shows of an object: all of it, a noisy cloud of all of it, or one camera's view.

The object rests on z = 0 of its own frame; grasps are made in the object frame (origin `center`, same axes).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from maskdex_core.errors import CloudError, UsageError, unknown_choice
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.refine.sdf import SdfGrid

BY_RULE, BY_NETWORK = "view_by_rule", "view_by_network"
OBSERVATIONS = ("full", "noisy", "view", BY_RULE, BY_NETWORK)
POINTS = 2048
NOISE, NORMAL_NOISE = 0.0015, np.deg2rad(10.0)  # m, rad: standard deviations of the noisy cloud
NEIGHBOURS = 6  # planes that vote on the distance at a voxel
SPACING, MARGIN = 0.003, 0.03  # m


def observe(target: TargetObject, kind: str, rng: np.random.Generator) -> ObjectGeometry:
    """Return what the grasp stages are told of an object.

    Args:
        target: the object at rest.
        kind: "full": points all over its surface and its true distance field. "noisy": such points with 1.5 mm
            and 10° of noise, and the field of their planes. "view": what segmentation keeps of one camera's noisy
            depth image from a random side, closed as in deployment. "view_by_rule", "view_by_network": the same view,
            closed in one of the two ways that deployment takes together.
        rng: of points, noise and camera.

    Raises:
        UsageError: when the kind is unknown. CloudError: when no camera sees enough of the object.
    """
    if kind not in OBSERVATIONS:
        raise UsageError(unknown_choice("observation", kind, OBSERVATIONS))
    if kind.startswith("view"):
        return _closed(_single_view(target, rng), kind)
    points, normals, _ = target.sample_surface(POINTS, seed=int(rng.integers(1 << 30)))
    field = target.sdf
    if kind == "noisy":
        points = points + rng.normal(0.0, NOISE, points.shape)
        normals = normals + rng.normal(0.0, NORMAL_NOISE, normals.shape)
        field = plane_field(points, normals / np.linalg.norm(normals, axis=1, keepdims=True))
    center = points.mean(0)
    shown = torch.tensor(points - center, dtype=torch.float32)
    return ObjectGeometry(center, shown, field.moved(center), -float(center[2]))


def plane_field(points: NDArray[np.floating], normals: NDArray[np.floating]) -> SdfGrid:
    """Return the distance field of oriented points (N, 3): the mean over the nearest points' planes (Hoppe 1992)."""
    from scipy.spatial import KDTree

    low, high = points.min(0) - MARGIN, points.max(0) + MARGIN
    axes = [np.arange(a, b, SPACING) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    near = KDTree(points).query(grid.reshape(-1, 3), k=NEIGHBOURS)[1]
    offset = grid.reshape(-1, 1, 3) - points[near]
    distance = (offset * normals[near]).sum(-1).mean(-1)
    # Far from the surface a mean of planes means little: the distance to the nearest point does.
    span = np.linalg.norm(offset[:, 0], axis=-1)
    signed = np.where(np.abs(distance) > 0.5 * span, distance, np.sign(distance) * span)
    return SdfGrid.from_values(signed.reshape(grid.shape[:3]).astype(np.float32), low, SPACING)


def _closed(seen: ObjectGeometry, kind: str) -> ObjectGeometry:
    """Return a view with both ways of closing it, or one."""
    if kind == BY_RULE and seen.second is not None:
        return replace(seen, sdf=seen.second, second=None)
    return replace(seen, second=None) if kind == BY_NETWORK else seen


def _single_view(target: TargetObject, rng: np.random.Generator) -> ObjectGeometry:
    from maskdex_core.objects.meshes.convex_parts import union_mesh
    from maskdex_core.perception.rendered_view import draw_scene

    scene = draw_scene(getattr(target, "mesh", None) or union_mesh(target.pieces), rng)
    if scene is None:
        raise CloudError(f"no camera sees enough of {target.name}")
    return ObjectGeometry.from_scene(scene)
