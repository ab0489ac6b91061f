"""Rendered single views: what is seen of an object, how noisy, as the pipeline sees it; kept and found again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import trimesh
from perception_scenes import SIZE, K, real_capture
from scipy.spatial import KDTree

from maskdex_core.data import GraspDataset, ObjectSurface
from maskdex_core.data import views as views_module
from maskdex_core.data.view_rendering import CameraRange, View, render_view, render_views
from maskdex_core.data.views import (
    VIEW_POINTS,
    VIEWS,
    VIEWS_EACH,
    object_views,
    pack_views,
    read_views,
    rebuilt_object,
    write_views,
)
from maskdex_core.errors import DatasetError
from maskdex_core.objects.procedural import ObjectModel, make_object
from maskdex_core.perception.camera import look_at
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.files import load_cloud, points_from_depth
from maskdex_core.perception.render import render_depth
from maskdex_core.perception.segment import segment

BOX = np.array([0.06, 0.09, 0.12])


def _box(size=BOX) -> ObjectModel:
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)]) * size
    return ObjectModel.from_parts("box", "box", {"body": [corners]})


def _rng(seed=0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _roughness(points: np.ndarray) -> tuple[float, float]:
    """Median distance to the plane of 16 neighbours and to the next point, m."""
    distance, nearby = KDTree(points).query(points, k=16)
    group = points[nearby]
    centred = group - group.mean(1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred))
    off = np.einsum("ni,ni->n", points - group.mean(1), axes[:, :, 0])
    return float(np.median(np.abs(off))), float(np.median(distance[:, 1]))


# ---------------------------------------------------------------------- rendering
def test_a_camera_sees_the_sides_that_face_it_down_to_the_cut():
    camera = np.array([0.5, 0.0, 0.4])
    view = render_view(_box(), camera, (0, 0, 0.06), 600.0, _rng())
    points, half = view.points.astype(float), BOX / 2
    assert view.points.dtype == np.float32 and np.array_equal(view.camera_position, camera)
    front = np.abs(points[:, 0] - half[0]) < 0.006
    top = np.abs(points[:, 2] - BOX[2]) < 0.006
    assert (front | top).all() and front.mean() > 0.3 and top.mean() > 0.1
    assert np.abs(points[:, 1]).max() < half[1] + 0.004
    assert 0.005 < points[:, 2].min() < 0.010
    # One point a pixel: the front covers f² · area · cosine / z² of them, less what is lost.
    pixels = (600.0 / 0.47 * 0.75) ** 2 * BOX[1] * (BOX[2] - 0.005) * 1.05
    assert 0.6 * pixels < front.sum() < 1.1 * pixels


def test_depth_noise_grows_with_the_square_of_the_distance():
    def spread(distance: float) -> float:
        tile = _box((0.2, 0.2, 0.05))
        views = [render_view(tile, (0, 0, 0.05 + distance), (0, 0, 0), 600.0, _rng(seed)).points for seed in range(4)]
        middle = [v[np.abs(v[:, :2]).max(1) < 0.08, 2] for v in views]
        return float(np.std(np.concatenate(middle)))

    near, far = spread(0.5), spread(1.0)
    # 0.3 mm + 3.2 mm/m² · z², and a millimetre's rounding: 1.1 mm and 3.5 mm.
    assert near == pytest.approx(0.00114, rel=0.15) and far == pytest.approx(0.0035, rel=0.15)


def test_a_mesh_is_seen_rather_than_the_convex_parts_that_fill_it():
    cup = trimesh.creation.revolve([(0, 0), (0.04, 0), (0.04, 0.1), (0.036, 0.1), (0.036, 0.004), (0, 0.004)])

    @dataclasses.dataclass
    class Filled:
        mesh: trimesh.Trimesh
        pieces: tuple

    filled = Filled(cup, (cup.convex_hull,))
    for shape, depth in ((cup, 0.02), (filled, 0.02), (cup.convex_hull, 0.09)):
        points = render_view(shape, (0.05, 0.0, 0.6), (0, 0, 0.05), 600.0, _rng()).points
        inside = points[np.linalg.norm(points[:, :2], axis=1) < 0.02]
        assert len(inside) > 100 and (inside[:, 2].mean() > 0.09) == (depth > 0.05)


def test_views_repeat_by_object_and_seed_and_go_all_round():
    mug = make_object("mug", 3)
    views = render_views(mug, 8)
    again = render_views(mug, 3)
    assert all(np.array_equal(a.points, b.points) for a, b in zip(views, again, strict=False))
    assert not np.array_equal(render_views(mug, 1, seed=1)[0].camera_position, views[0].camera_position)
    assert not np.array_equal(render_views(make_object("mug", 4), 1)[0].camera_position, views[0].camera_position)
    away = np.array([view.camera_position for view in views]) - mug.bounds.mean(0)
    distance = np.linalg.norm(away, axis=1)
    azimuth = np.sort(np.arctan2(away[:, 1], away[:, 0]))
    assert np.diff(np.append(azimuth, azimuth[0] + 2 * np.pi)).max() < np.deg2rad(100)
    assert ((distance > 0.45) & (distance < 1.0)).all()
    elevation = np.rad2deg(np.arcsin(away[:, 2] / distance))
    assert elevation.min() > 15 and elevation.max() < 80 and np.ptp(elevation) > 20
    assert all(len(view.points) >= 60 for view in views)


@pytest.mark.parametrize("size", [(0.1, 0.1, 0.003), (0.002, 0.002, 0.02)])
def test_what_no_camera_finds_on_a_table_is_refused(size):
    with pytest.raises(DatasetError, match=r"none of 32 cameras saw the object of \d+ x \d+ x \d+ mm"):
        render_views(_box(size), 1, cameras=CameraRange(distance=(0.45, 0.6)))


# ---------------------------------------------------------------------- the real thing
@pytest.mark.parametrize("family", ["mug", "bowl", "knife"])
def test_a_view_is_what_segmentation_finds_in_the_whole_image(family):
    shape = make_object(family, 5)
    middle = shape.bounds.mean(0)
    position = middle + 0.6 * np.array([-0.7, 0.3, 0.65])
    view = render_view(shape, position, middle, float(K[0, 0]), _rng(1)).points
    base_from_camera = look_at(position, middle)
    corners = np.array([[-3, -3, 0], [3, -3, 0], [3, 3, 0], [-3, 3, 0]], dtype=float)
    table = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
    meshes = [*(trimesh.Trimesh(p.vertices, p.faces, process=False) for p in shape.pieces), table]
    depth = render_depth(meshes, K, SIZE, base_from_camera, _rng(2))
    found = segment(Cloud(points_from_depth(depth, K), base_from_camera=base_from_camera)).object_points
    assert len(view) == pytest.approx(len(found), rel=0.1)
    assert np.linalg.norm(view.mean(0) - found.mean(0)) < 0.003
    there, back = KDTree(found).query(view)[0], KDTree(view).query(found)[0]
    assert max(there.mean(), back.mean()) < 0.003 and max(np.percentile(there, 99), np.percentile(back, 99)) < 0.015


def test_a_view_is_as_rough_and_as_dense_as_a_real_capture_of_a_box():
    capture = real_capture("sugar") / "scene.npz"
    scene = segment(load_cloud(capture))
    height = scene.object_points @ scene.table_plane[:3] + scene.table_plane[3]
    focal = float(np.load(capture)["K"][0, 0])
    away = scene.camera_position - scene.object_centroid
    view = render_view(_box((0.045, 0.09, 0.176)), np.array([0, 0, 0.09]) + away, (0, 0, 0.09), focal, _rng()).points
    assert np.min(height) == pytest.approx(view[:, 2].min(), abs=0.001)
    (rough, spacing), (real_rough, real_spacing) = _roughness(view), _roughness(scene.object_points)
    assert 0.7 < rough / real_rough < 1.4
    assert 0.8 < spacing / real_spacing < 1.25


# ---------------------------------------------------------------------- kept beside a dataset
def test_packed_views_have_one_size_and_lose_a_tenth_of_a_millimetre():
    full = View(_rng().uniform(-0.2, 0.2, (900, 3)).astype(np.float32), np.zeros(3))
    few = View(full.points[:7], np.zeros(3))
    packed = pack_views([full, few], points=100)
    assert packed.shape == (2, 100, 3) and packed.dtype == np.float16
    error, row = KDTree(full.points).query(packed[0])
    assert error.max() < 1.2e-4 and len(set(row)) == 100  # different points, from all over the list
    assert row.max() > 800
    assert len(np.unique(packed[1], axis=0)) == 7


def test_views_come_back_as_written(tmp_path):
    assert read_views(tmp_path) == {}
    views = {"a/b": np.ones((2, 5, 3), np.float16), "c": np.zeros((1, 4, 3), np.float16)}
    write_views(tmp_path, views)
    back = read_views(tmp_path)
    assert set(back) == set(views) and all(np.array_equal(back[name], views[name]) for name in views)
    assert [path.name for path in tmp_path.iterdir()] == [VIEWS]


@pytest.mark.parametrize(
    ("points", "message"),
    [(np.zeros((5, 3)), r"'mug' have shape \(5, 3\)"), (np.full((1, 5, 3), np.nan), "'mug' contain NaN")],
)
def test_unusable_views_are_not_written(tmp_path, points, message):
    with pytest.raises(DatasetError, match=message):
        write_views(tmp_path, {"mug": points})
    assert not list(tmp_path.iterdir())


def test_damaged_or_foreign_files_are_refused(tmp_path):
    from safetensors.numpy import save_file

    write_views(tmp_path, {"a": np.ones((2, 5, 3))})
    whole = (tmp_path / VIEWS).read_bytes()
    (tmp_path / VIEWS).write_bytes(whole[:-20])
    with pytest.raises(DatasetError, match="not a readable safetensors"):
        read_views(tmp_path)
    save_file({"a": np.ones((2, 5, 3))}, tmp_path / VIEWS)
    with pytest.raises(DatasetError, match="expected maskdex-views 1"):
        read_views(tmp_path)


# ---------------------------------------------------------------------- found again
def _surface(shape: ObjectModel, **facts) -> ObjectSurface:
    points, normals, parts = shape.sample_surface(400)
    arrays = (torch.from_numpy(points.astype(np.float16).astype(np.float32)), torch.from_numpy(normals).float())
    return ObjectSurface(*arrays, torch.from_numpy(parts), facts)


@pytest.fixture(scope="module")
def data() -> GraspDataset:
    objects = {
        "can_000": _surface(make_object("can", 0), family="can", seed=0),
        "can_001": _surface(make_object("can", 1), family="can", seed=1),
        "real": _surface(make_object("mug", 0), family="mug"),
        "changed": _surface(make_object("bottle", 0), family="bottle", seed=1),
    }
    names = list(objects)
    table = {
        "object": names,
        "split": ["train"] * 4,
        "texts": [["hold it"]] * 4,
        "joints": np.zeros((4, 1)),
        "palm_translation": np.zeros((4, 3)),
        "palm_rotation": np.tile(np.eye(3).ravel(), (4, 1)),
    }
    return GraspDataset.from_table(table, objects, ("J",), {})


def test_only_an_object_that_is_the_same_again_is_rebuilt(data):
    assert rebuilt_object(data.objects["can_001"]) is not None
    assert rebuilt_object(data.objects["real"]) is None
    assert rebuilt_object(data.objects["changed"]) is None
    assert rebuilt_object(dataclasses.replace(data.objects["can_001"], facts={"family": "x", "seed": 1})) is None


def test_stored_views_come_first_others_are_rendered_once(data, tmp_path, monkeypatch):
    stored = np.ones((2, 5, 3), np.float16)
    write_views(tmp_path, {"can_001": stored, "real": stored, "of another set": stored})
    views = object_views(data, tmp_path, tmp_path / "cache")
    assert set(views) == {"can_000", "can_001", "real"}
    assert torch.equal(views["real"], torch.ones(2, 5, 3)) and torch.equal(views["can_001"], torch.ones(2, 5, 3))
    assert views["can_000"].shape == (VIEWS_EACH, VIEW_POINTS, 3) and views["can_000"].dtype == torch.float32
    top = make_object("can", 0).bounds[1, 2]
    assert views["can_000"][..., 2].max() == pytest.approx(top, abs=0.01)

    def no_more(*_: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(views_module, "render_views", no_more)
    again = object_views(data, tmp_path, tmp_path / "cache")
    assert torch.equal(again["can_000"], views["can_000"])


def test_a_damaged_or_impossible_cache_only_costs_time(data, tmp_path):
    first = object_views(data.subset([0]), None, tmp_path)["can_000"]
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"half a file")
    assert torch.equal(object_views(data.subset([0]), None, tmp_path)["can_000"], first)
    blocked = tmp_path / "a file"
    blocked.write_text("")
    assert torch.equal(object_views(data.subset([0]), None, blocked / "cache")["can_000"], first)
