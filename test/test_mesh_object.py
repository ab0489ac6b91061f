"""An object from a mesh: its distances, normals and frame are right, and bad meshes are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from maskdex_core.errors import MeshError
from maskdex_core.objects.meshes.mesh_object import load_mesh_object, mesh_object

RADIUS = 0.05


def sphere() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=RADIUS)


def distance(found, points) -> np.ndarray:
    return found.sdf.query(torch.tensor(np.atleast_2d(points), dtype=torch.float32))[0].numpy()


def test_distance_and_normals_of_a_sphere():
    found = mesh_object(sphere(), "ball")
    points = np.random.default_rng(0).uniform(-0.07, 0.07, (3000, 3))
    radius = np.linalg.norm(points, axis=1)
    points, radius = points[radius > 0.02], radius[radius > 0.02]
    value, normal = found.sdf.query(torch.tensor(points, dtype=torch.float32))
    assert np.abs(value.numpy() - (radius - RADIUS)).max() < 3e-4  # the icosphere's own flatness is 0.1 mm
    assert (normal.numpy() * points / radius[:, None]).sum(1).min() > 0.999


def test_surface_points_lie_on_the_surface_and_spread_by_area():
    found = mesh_object(trimesh.creation.box((0.04, 0.06, 0.12)), "box", points=4000)
    assert found.points.shape == found.normals.shape == (4000, 3)
    assert np.abs(distance(found, found.points)).max() < 1.5e-3
    outward = np.abs(found.points / (0.02, 0.03, 0.06))
    assert np.allclose(outward.max(1), 1.0, atol=1e-5)
    share = np.mean(np.abs(found.normals[:, 2]) > 0.5)
    expected = 2 * 0.04 * 0.06 / (2 * (0.04 * 0.06 + 0.04 * 0.12 + 0.06 * 0.12))
    assert share == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("kind", ["obj", "stl", "ply", "off", "glb"])
def test_every_kind_gives_the_same_object_in_the_mesh_s_frame(tmp_path: Path, kind: str):
    mesh = trimesh.creation.cylinder(0.03, 0.1)
    mesh.apply_translation((0.4, -0.3, 0.2))
    mesh.export(tmp_path / f"can.{kind}")
    found = load_mesh_object(tmp_path / f"can.{kind}")
    assert found.name == "can"
    assert np.allclose(found.center, (0.4, -0.3, 0.2), atol=2e-3)
    assert np.allclose(found.extent, (0.06, 0.06, 0.1), atol=1e-6)
    assert distance(found, (0.4, -0.3, 0.2))[0] == pytest.approx(-0.03, abs=5e-4)


def test_bodies_that_overlap_are_one_solid():
    left, right = trimesh.creation.box((0.06, 0.06, 0.06)), trimesh.creation.box((0.06, 0.06, 0.06))
    right.apply_translation((0.03, 0, 0))
    found = mesh_object(trimesh.util.concatenate([left, right]), "two")
    # Ray parity over both at once would call the overlap outside.
    assert (distance(found, [(0.015, 0, 0), (0, 0, 0), (0.03, 0, 0)]) < -0.01).all()
    inside_other = (np.abs(found.points[:, 0] - 0.015) < 0.0149) & (np.abs(found.points[:, 1:]) < 0.0299).all(1)
    assert not inside_other.any()


def test_a_cavity_is_outside():
    hollow = sphere()
    inner = trimesh.creation.icosphere(subdivisions=3, radius=0.03)
    inner.invert()
    found = mesh_object(trimesh.util.concatenate([hollow, inner]), "shell")
    assert distance(found, [(0, 0, 0)])[0] > 0.02
    assert distance(found, [(0.04, 0, 0)])[0] < -0.005


def test_inside_out_is_turned_around():
    mesh = sphere()
    mesh.invert()
    found = mesh_object(mesh, "ball")
    assert ((found.normals * found.points).sum(1) > 0).all()
    assert distance(found, (0, 0, 0))[0] < 0


def test_large_objects_get_a_coarser_grid_not_a_larger_one():
    found = mesh_object(trimesh.creation.box((0.9, 0.9, 0.9)), "crate")
    assert found.sdf.field[0, 0].numel() < 1.1e6
    assert found.sdf.spacing > 0.0025
    assert distance(found, (0.46, 0, 0))[0] == pytest.approx(0.01, abs=1e-3)


def flat() -> trimesh.Trimesh:
    return trimesh.Trimesh([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], [[0, 1, 2], [0, 2, 1]])


def with_nan() -> trimesh.Trimesh:
    mesh = sphere()
    mesh.vertices[3] = np.nan
    return mesh


def opened() -> trimesh.Trimesh:
    mesh = sphere()
    mesh.update_faces(mesh.triangles_center[:, 2] < 0.03)
    return mesh


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        (flat(), "flat"),
        (with_nan(), "NaN"),
        (opened(), r"not watertight \(\d+ open edges\); close it"),
        (trimesh.creation.box((80, 60, 100)), "millimetres"),
        (trimesh.creation.box((0.001, 0.001, 0.002)), "must be metres"),
    ],
    ids=["flat", "NaN", "open", "millimetres", "tiny"],
)
def test_meshes_no_hand_can_grasp(mesh: trimesh.Trimesh, message: str):
    with pytest.raises(MeshError, match=message):
        mesh_object(mesh, "bad")


def test_a_missing_triangle_is_closed():
    mesh = sphere()
    mesh.update_faces(np.arange(len(mesh.faces)) != 7)
    assert mesh_object(mesh, "ball").extent == pytest.approx((0.1, 0.1, 0.1), abs=1e-3)


def test_points_are_no_mesh(tmp_path: Path):
    trimesh.PointCloud(np.random.default_rng(0).uniform(size=(50, 3))).export(tmp_path / "p.ply")
    with pytest.raises(MeshError, match="triangles"):
        load_mesh_object(tmp_path / "p.ply")
