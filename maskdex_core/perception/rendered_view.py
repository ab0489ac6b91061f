"""One rendered view of an object on a table, as the deployed path would see it: for training and evaluation.

A stereo camera's noisy depth image, points cut above the table's plane, which is itself a little off.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maskdex_core.perception.object_shot import Margin, depth_noise_across, take_shot
from maskdex_core.perception.render import DepthNoise, Mesh
from maskdex_core.perception.segment import Scene, SegmentConfig

TRIES = 24
MARGIN = Margin(table=0.06)
TABLE_NOISE = 0.0004  # m, standard deviation of the fitted plane's height
# Where cameras stand, and how much worse or better than usual they measure.
ELEVATION, DISTANCE = (15.0, 75.0), (0.4, 1.0)  # degrees; m from the object's middle
FOCAL = (400.0, 640.0)  # pixels
NOISE = (0.6, 1.6)  # times the camera's depth noise


def draw_scene(mesh: Mesh, rng: np.random.Generator) -> Scene | None:
    """Return what a random camera sees of an object that rests on z = 0; None when no camera sees enough.

    Args:
        mesh: of the object, base frame.
        rng: of camera and noise.
    """
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    for _ in range(TRIES):
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(*ELEVATION))
        level = np.cos(elevation)
        away = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
        noise = _scaled(DepthNoise(), float(rng.uniform(*NOISE)))
        scene = rendered_scene(mesh, middle + rng.uniform(*DISTANCE) * away, middle, rng.uniform(*FOCAL), rng, noise)
        if scene is not None:
            return scene
    return None


def rendered_scene(
    mesh: Mesh,
    position: NDArray[np.float64],
    target: NDArray[np.float64],
    focal: float,
    rng: np.random.Generator,
    noise: DepthNoise | None = None,
) -> Scene | None:
    """Return what segmentation keeps of an object on a table seen by one camera; None when that is too little.

    Args:
        mesh: at rest on z = 0, base frame. position, target: (3,) m, of the camera and on its axis.
        focal: pixels. rng: of the noise. noise: how the camera errs.
    """
    noise = noise or DepthNoise()
    shot = take_shot(mesh, position, target, focal, rng, noise, MARGIN)
    points, config = shot.points.astype(np.float32), SegmentConfig()
    height = float(rng.normal(0.0, TABLE_NOISE))
    across = depth_noise_across(noise, float(np.median(shot.depth)), shot.base_from_camera)
    cut = float(np.clip(4 * across, config.min_above, config.max_above)) + height
    chosen = shot.on_object & (points[:, 2] > cut)
    if chosen.sum() < config.min_points:
        return None
    nothing = np.zeros((0, 3), np.float32)
    return Scene(
        base_from_camera=shot.base_from_camera,
        extrinsics_assumed=False,
        table_plane=np.array([0.0, 0.0, 1.0, -height]),
        table_height=height,
        object_points=points[chosen],
        object_indices=np.flatnonzero(chosen),
        camera_position=position,
        scene_points=nothing,
        points=points,
    )


def _scaled(noise: DepthNoise, factor: float) -> DepthNoise:
    return replace(
        noise, axial_floor=factor * noise.axial_floor, axial_quadratic=factor * noise.axial_quadratic,
        edge_loss=min(1.0, factor * noise.edge_loss), blob_share=factor * noise.blob_share,
    )  # fmt: skip
