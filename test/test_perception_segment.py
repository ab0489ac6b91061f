"""The table and the one object on it, on real captures and on rendered ones with known truth."""

from __future__ import annotations

import re

import numpy as np
import pytest
import trimesh
from perception_scenes import CAPTURES, bowl, box, camera, capture, cup, placed, real_capture, table
from scipy.spatial import cKDTree

from maskdex_core.errors import CloudError
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.clusters import find_objects
from maskdex_core.perception.files import load_cloud
from maskdex_core.perception.render import DepthNoise
from maskdex_core.perception.segment import segment


def voxel_overlap(a: np.ndarray, b: np.ndarray, size: float = 0.005) -> float:
    """Share of a's voxels with a voxel of b at most one away (along each axis)."""
    cells = [np.unique(np.floor(points / size).astype(int), axis=0) for points in (a, b)]
    return float(np.mean(cKDTree(cells[1]).query(cells[0], p=np.inf)[0] <= 1))


@pytest.mark.parametrize("source", ["bag", "scene.npz"])
@pytest.mark.parametrize("name", CAPTURES)
def test_real_objects_match_their_reference(name: str, source: str):
    folder = real_capture(name)
    reference = np.load(folder / "scene.npz")["object_points_reference"]
    cloud = load_cloud(folder / source)
    scene = segment(cloud)
    found = cloud.points[scene.object_indices]
    assert voxel_overlap(found, reference) >= 0.95
    assert voxel_overlap(reference, found) >= 0.95
    assert abs(scene.table_height) < 0.003
    assert scene.extrinsics_assumed == (source == "scene.npz")


def recall_and_precision(cloud: Cloud, mesh_index: np.ndarray, truth: int = 0) -> tuple[float, float]:
    scene = segment(cloud)
    found = np.zeros(len(cloud.points), bool)
    found[scene.object_indices] = True
    above = np.zeros(len(cloud.points), bool)
    transform = scene.base_from_camera
    above[cloud.valid_mask] = (cloud.valid_points() @ transform[2, :3] + transform[2, 3]) > 0.010
    wanted = (mesh_index == truth) & above
    return float(found[wanted].mean()), float((mesh_index[found] == truth).mean())


@pytest.mark.parametrize("lost_edge", [2, 8])
@pytest.mark.parametrize("elevation", [12, 20, 35, 55])
@pytest.mark.parametrize("make", [bowl, lambda: bowl(0.12, 0.06, 0.003, 0.04), cup])
def test_walls_of_a_vessel_are_one_object(make, elevation: int, lost_edge: int):
    """A camera that loses the rim splits a bowl into a near and a far wall."""
    noise = DepthNoise(edge_width=lost_edge, edge_loss=1.0 if lost_edge > 2 else 0.5)
    cloud, mesh = capture([placed(make()), table()], camera(elevation), noise=noise)
    recall, precision = recall_and_precision(cloud, mesh)
    assert recall > 0.95
    assert precision > 0.98


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.13), (0.14, 0.0), (0.12, 0.1)])
@pytest.mark.parametrize("elevation", [20, 50])
def test_two_objects_are_named_and_one_can_be_chosen(dx: float, dy: float, elevation: int):
    meshes = [placed(cup(), 0.40, 0.0), placed(box((0.06, 0.06, 0.1), 0.0), 0.40 + dx, dy), table()]
    cloud, mesh = capture(meshes, camera(elevation, 0.6))
    with pytest.raises(CloudError, match=r"2 objects stand on the table.*object_near") as caught:
        segment(cloud)
    places = re.findall(r"\((-?\d\.\d\d), (-?\d\.\d\d), (-?\d\.\d\d)\)", str(caught.value))
    named = np.array(places, dtype=float)
    for truth, place in enumerate(((0.40, 0.0, 0.05), (0.40 + dx, dy, 0.05))):
        assert np.linalg.norm(named[:, :2] - place[:2], axis=1).min() < 0.05
        scene = segment(cloud, object_near=place)
        assert (mesh[scene.object_indices] == truth).mean() > 0.98


def test_result_is_the_same_each_time_and_maps_to_the_cloud():
    cloud, _ = capture([placed(box()), table()], camera(35))
    one, two = segment(cloud), segment(cloud)
    assert np.array_equal(one.object_indices, two.object_indices)
    transform = one.base_from_camera
    moved = cloud.points[one.object_indices] @ transform[:3, :3].T + transform[:3, 3]
    assert np.abs(moved - one.object_points).max() < 1e-5


def test_known_and_assumed_pose_find_the_same_points():
    """The assumed base stands at the camera's foot and looks along the view."""
    pose = camera(35)
    known, _ = capture([placed(box()), table()], pose)
    assumed = segment(Cloud(known.points))
    given = segment(known)
    shared = np.intersect1d(assumed.object_indices, given.object_indices)
    assert len(shared) > 0.99 * len(given.object_indices)
    assert np.abs(assumed.camera_position - (0, 0, pose[2, 3])).max() < 0.004
    in_given = given.object_centroid - (*pose[:2, 3], 0)
    assert np.abs(assumed.object_centroid - in_given).max() < 0.006


def test_table_height_and_tilt_are_found():
    lift = trimesh.transformations.translation_matrix((0, 0, 0.12))
    tilt = trimesh.transformations.rotation_matrix(np.deg2rad(4), (0, 1, 0), (0.45, 0.02, 0))
    meshes = [placed(box()), table()]
    for mesh in meshes:
        mesh.apply_transform(lift @ tilt)
    pose = camera(35)
    pose[2, 3] += 0.12
    cloud, mesh = capture(meshes, pose)
    scene = segment(cloud)
    assert abs(scene.table_height - 0.12) < 0.003
    assert np.rad2deg(np.arccos(scene.table_plane[2])) == pytest.approx(4, abs=0.5)
    assert (mesh[scene.object_indices] == 0).mean() > 0.99


def test_scene_points_hold_the_table_and_not_the_object():
    cloud, _ = capture([placed(box()), table()], camera(35))
    scene = segment(cloud)
    assert cKDTree(scene.object_points).query(scene.scene_points)[0].min() > 0.0
    inside = np.abs(scene.scene_points[:, :2] - scene.object_centroid[:2]).max(axis=1) < 0.02
    assert (scene.scene_points[inside, 2] < 0.012).all()


def test_a_level_table_beats_a_larger_wall_when_the_pose_is_known():
    wall = trimesh.creation.box((0.02, 3.0, 3.0))
    wall.apply_translation((0.7, 0, 0))
    cloud, mesh = capture([placed(box()), table(), wall], camera(10, 0.7))
    assert (mesh == 2).sum() > (mesh == 1).sum()
    assert (mesh[segment(cloud).object_indices] == 0).mean() > 0.98


def test_no_table_is_said():
    ball = trimesh.creation.icosphere(radius=0.05)
    ball.apply_translation((0.45, 0.02, 0.05))
    for known in (True, False):
        cloud, _ = capture([ball], camera(35), known_pose=known)
        with pytest.raises(CloudError, match="no table was found"):
            segment(cloud)


@pytest.mark.parametrize(("height", "objects"), [(0.03, 1), (0.12, 2)])
def test_a_small_piece_behind_an_object_is_its_handle_and_a_large_one_another_object(height: float, objects: int):
    """The camera stands on -x; the piece hangs 27 mm behind the object, its foot hidden."""
    y, z = (grid.ravel() for grid in np.meshgrid(np.arange(-0.05, 0.05, 0.004), np.arange(0.002, 0.2, 0.004)))
    front = np.column_stack((np.zeros_like(y), y, z))
    y, z = (grid.ravel() for grid in np.meshgrid(np.arange(-0.02, 0.02, 0.004), np.arange(0.06, 0.06 + height, 0.004)))
    back = np.column_stack((np.full_like(y, 0.027), y, z))
    assert find_objects(np.concatenate((front, back)), np.array([-0.6, 0.0]))[1] == objects


def test_an_empty_table_is_said():
    cloud, _ = capture([table()], camera(35))
    with pytest.raises(CloudError, match="no object stands on the table"):
        segment(cloud)


@pytest.mark.parametrize("near", [(0.1, 0.2), (0.1, 0.2, float("nan"))])
def test_bad_object_near_is_named(near: tuple[float, ...]):
    cloud, _ = capture([placed(box()), table()], camera(35))
    with pytest.raises(CloudError, match="expected three finite numbers x y z"):
        segment(cloud, object_near=near)
