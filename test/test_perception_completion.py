"""Half-seen objects close to nearly their true shape, and hollows stay hollow."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import trimesh
from perception_scenes import (
    bowl,
    box,
    camera,
    capture,
    cup,
    placed,
    real_capture,
    signed_distance,
    table,
)
from scipy.spatial import cKDTree

from maskdex_core.perception.completion import ClosedGeometry, close_geometry, surface_points
from maskdex_core.perception.files import load_cloud
from maskdex_core.perception.outline import half_turned
from maskdex_core.perception.range_view import RangeView
from maskdex_core.perception.segment import segment


def sphere() -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(4, radius=0.05)
    mesh.apply_translation((0, 0, 0.05))
    return mesh


def cylinder() -> trimesh.Trimesh:
    mesh = trimesh.creation.cylinder(0.035, 0.12, sections=64)
    mesh.apply_translation((0, 0, 0.06))
    return mesh


def closed_and_truth(mesh: trimesh.Trimesh, elevation: float) -> tuple[ClosedGeometry, trimesh.Trimesh]:
    mesh = placed(mesh)
    cloud, _ = capture([mesh, table()], camera(elevation))
    return close_geometry(segment(cloud)), mesh


# (shape, elevation, least and greatest volume ratio, 95th percentile of the unseen surface's error [m])
SHAPES = [
    (sphere, 35, 0.90, 1.10, 0.016),
    (sphere, 60, 0.95, 1.20, 0.020),
    (box, 15, 0.93, 1.07, 0.004),
    (box, 35, 0.95, 1.06, 0.003),
    (cylinder, 15, 0.92, 1.05, 0.005),
    (cylinder, 35, 0.94, 1.05, 0.003),
]


@pytest.mark.parametrize(("make", "elevation", "least", "greatest", "unseen_error"), SHAPES)
def test_half_seen_solids_close(make, elevation, least: float, greatest: float, unseen_error: float):
    mesh = placed(make())
    scene = segment(capture([mesh, table()], camera(elevation))[0])
    closed = close_geometry(scene)
    assert least < closed.volume / mesh.volume < greatest
    points, _ = surface_points(closed, 2000)
    error = np.abs(signed_distance(mesh, points))
    seen = cKDTree(scene.object_points).query(points)[0] < 1.5 * closed.spacing
    assert np.median(error[seen]) < 0.001
    assert np.quantile(error[~seen], 0.95) < unseen_error


def test_sdf_is_a_distance_of_the_right_sign():
    closed, mesh = closed_and_truth(box(), 35)
    near = np.random.default_rng(0).uniform(mesh.bounds[0] - 0.02, mesh.bounds[1] + 0.02, (3000, 3))
    near = near[near[:, 2] > 0.004]
    truth = signed_distance(mesh, near)
    ours = closed.distance(near)
    assert np.quantile(np.abs(ours - truth), 0.95) < 0.003
    clear = np.abs(truth) > 0.003
    assert (np.sign(ours[clear]) == np.sign(truth[clear])).mean() > 0.995


@pytest.mark.parametrize(("make", "elevation", "depth"), [(bowl, 50, 0.6), (cup, 60, 0.45), (bowl, 30, 0.35)])
def test_seen_hollows_stay_hollow(make, elevation: int, depth: float):
    """Along the axis of the vessel, at least this share of its depth is free."""
    closed, mesh = closed_and_truth(make(), elevation)
    height = mesh.bounds[1, 2]
    heights = np.linspace(0.01, height - 0.003, 60)
    axis = np.column_stack((np.full(60, 0.45), np.full(60, 0.02), heights))
    assert (closed.distance(axis) > 0).mean() > depth


def test_measured_walls_are_solid_behind():
    closed, _ = closed_and_truth(cup(), 60)
    far_wall = np.array([[0.45 + 0.038, 0.02, z] for z in np.linspace(0.05, 0.09, 20)])
    assert (closed.distance(far_wall) < 0.001).all()


def test_surface_points_lie_on_zero_and_normals_point_out():
    closed, _ = closed_and_truth(box(), 35)
    points, normals = surface_points(closed, 1500)
    assert points.shape == normals.shape == (1500, 3)
    assert np.abs(closed.distance(points)).max() < 0.0005
    assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 1e-4
    assert (closed.distance(points + 0.004 * normals) > 0.001).mean() > 0.99
    assert (closed.distance(points - 0.004 * normals) < -0.001).mean() > 0.99


@pytest.mark.parametrize("name", ["blue_mug", "mustard"])
def test_real_points_lie_on_the_closed_surface(name: str):
    scene = segment(load_cloud(real_capture(name) / "bag"))
    distance = close_geometry(scene).distance(scene.object_points)
    assert abs(np.median(distance)) < 0.0005
    assert np.quantile(np.abs(distance), 0.95) < 0.002


def test_an_outlier_beside_few_points_does_not_stop_the_half_turn():
    """The end of the outline then lies between two points that are centimetres apart."""
    scene = segment(capture([placed(box()), table()], camera(35))[0])
    cluster = scene.object_points[np.random.default_rng(0).permutation(len(scene.object_points))[:159]]
    outlier = cluster[cluster[:, 1].argmax()] + np.float32([0, 0.1, 0])
    few = dataclasses.replace(scene, object_points=np.concatenate((cluster, outlier[None])))
    assert np.isfinite(half_turned(few, RangeView.of_scene(few))).all()
