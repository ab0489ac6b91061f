"""The completion network's input: voxels that look along the view, whatever stands before whatever camera."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import trimesh
from perception_scenes import box, camera, capture, cup, placed, signed_distance, table

from maskdex_core.perception.segment import Scene, segment
from maskdex_core.perception.view_grid import BAND, BORDER, CHANNELS, MULTIPLE, VOXELS, view_voxels


def seen(mesh: trimesh.Trimesh, elevation: float = 40) -> Scene:
    return segment(capture([placed(mesh), table()], camera(elevation))[0])


@pytest.mark.parametrize("size", [(0.03, 0.03, 0.03), (0.06, 0.09, 0.12), (0.34, 0.05, 0.03)])
def test_the_grid_holds_the_object_in_about_as_many_voxels_whatever_its_size(size):
    scene = seen(box(size))
    voxels = view_voxels(scene)
    cells = voxels.grid.cells(scene.object_points)
    assert cells.min() > 1 and (cells < np.array(voxels.grid.shape) - 2).all()
    assert all(side % MULTIPLE == 0 for side in voxels.grid.shape)
    assert voxels.channels.shape == (CHANNELS, *voxels.grid.shape)
    assert voxels.channels[0].size < 2 * VOXELS
    assert np.isfinite(voxels.channels).all()


def test_x_leads_away_from_the_camera_and_z_off_the_table():
    scene = seen(box())
    axes = view_voxels(scene).grid.axes
    ahead = (scene.object_centroid - scene.camera_position) * [1, 1, 0]
    assert axes[0] @ ahead / np.linalg.norm(ahead) > 0.999
    assert axes[2] @ scene.table_plane[:3] > 0.999
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-9) and np.linalg.det(axes) > 0


def test_places_and_cells_are_each_others_inverse():
    grid = view_voxels(seen(box())).grid
    cells = np.random.default_rng(0).uniform(0, 30, (50, 3))
    assert np.allclose(grid.cells(grid.places(cells)), cells, atol=1e-6)
    assert np.allclose(grid.centers()[0], grid.origin, atol=1e-6)


def test_the_first_channel_is_the_distance_where_the_camera_looked():
    mesh = placed(box())
    scene = segment(capture([mesh, table()], camera(40))[0])
    voxels = view_voxels(scene)
    truth = signed_distance(mesh, voxels.grid.centers()).reshape(voxels.grid.shape) / (BAND * voxels.grid.spacing)
    rule, near = voxels.channels[0], np.abs(truth) < 0.5
    assert np.mean(np.abs(rule - truth)[near]) < 0.15
    assert np.mean((rule < 0) == (truth < 0)) > 0.98


def test_what_is_seen_does_not_depend_on_where_the_base_stands():
    scene = seen(cup())
    turn = trimesh.transformations.rotation_matrix(1.1, (0, 0, 1))[:3, :3]
    turned = dataclasses.replace(
        scene,
        table_plane=np.append(turn @ scene.table_plane[:3], scene.table_plane[3]),
        object_points=(scene.object_points @ turn.T).astype(np.float32),
        points=(scene.points @ turn.T).astype(np.float32),
        camera_position=turn @ scene.camera_position,
    )
    one, other = view_voxels(scene), view_voxels(turned)
    assert one.grid.shape == other.grid.shape
    assert one.grid.spacing == pytest.approx(other.grid.spacing, rel=0.02)
    assert np.mean(np.abs(one.channels[0] - other.channels[0])) < 0.05


def test_free_voxels_surround_the_outline():
    voxels = view_voxels(seen(box()))
    cells = voxels.grid.cells(voxels.outline)
    for axis in (0, 1):
        assert cells[:, axis].min() >= BORDER - 1
        assert cells[:, axis].max() <= voxels.grid.shape[axis] - BORDER
