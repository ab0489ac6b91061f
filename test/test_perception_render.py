"""Rendered depth is exact without noise, and wrong in the ways of a real camera with it."""

import numpy as np
import trimesh
from perception_scenes import SIZE, K, box, camera, placed, table

from maskdex_core.perception.files import points_from_depth
from maskdex_core.perception.render import DepthNoise, cast_rays, degrade, render_depth


def test_exact_depth_lies_on_the_surfaces():
    pose = camera(35)
    depth = render_depth([placed(box()), table()], K, SIZE, pose, rng=None)
    points = points_from_depth(depth, K)
    points = points[np.isfinite(points[:, 2])] @ pose[:3, :3].T + pose[:3, 3]
    assert depth.shape == SIZE
    assert len(points) > 0.8 * depth.size
    table_points = points[points[:, 0] < 0.35]
    assert np.abs(table_points[:, 2]).max() < 1e-4
    assert points[:, 2].max() < 0.12 + 1e-4


def test_same_seed_same_image_other_seed_other_image():
    meshes, pose = [placed(box()), table()], camera(35)
    images = [render_depth(meshes, K, SIZE, pose, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(images[0], images[1], equal_nan=True)
    assert not np.array_equal(images[0], images[2], equal_nan=True)


def test_noise_grows_with_the_square_of_depth():
    floor = trimesh.creation.box((4, 4, 0.01))
    spread = {}
    for height in (0.5, 1.5):
        pose = np.diag([1.0, -1.0, -1.0, 1.0])
        pose[2, 3] = height + 0.005
        depth = render_depth([floor], K, SIZE, pose, np.random.default_rng(0))
        spread[height] = float(np.nanstd(depth))
        assert np.nanmean(depth) == np.float32(height).round(3) or abs(np.nanmean(depth) - height) < 5e-4
    noise = DepthNoise()
    for height, found in spread.items():
        expected = np.hypot(noise.axial_floor + noise.axial_quadratic * height**2, noise.quantum / np.sqrt(12))
        assert abs(found / expected - 1) < 0.15


def test_shadow_lies_on_one_side_of_the_object_and_edges_have_holes():
    meshes, pose, noise = [placed(box()), table()], camera(35), DepthNoise(blob_share=0.0)
    hits = cast_rays(meshes, K, SIZE, pose, noise.baseline)
    depth = degrade(hits, K, pose, np.random.default_rng(0), noise)
    columns = np.flatnonzero((hits.mesh == 0).any(axis=0))
    shadow_columns = np.flatnonzero(hits.shadow.sum(axis=0) > 3)
    assert shadow_columns.mean() < columns.mean()
    assert np.isnan(depth[hits.shadow]).all()
    on_object = hits.mesh == 0
    assert 0.02 < np.isnan(depth[on_object]).mean() < 0.2


def test_nothing_hit_is_nan():
    pose = camera(35)
    pose[:3, :3] = pose[:3, :3] @ np.diag([1.0, -1.0, -1.0])
    assert np.isnan(render_depth([placed(box())], K, SIZE, pose, np.random.default_rng(0))).all()
