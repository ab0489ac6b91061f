"""Procedural objects: sane sizes, parts, surfaces and distance fields, the same for the same seed."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from maskdex_core.errors import DatasetError
from maskdex_core.objects.object_model import ConvexPiece
from maskdex_core.objects.procedural import FAMILIES, make_object
from maskdex_core.objects.procedural.shapes import box, lathe_wall, rod

# Families whose inside is open above the floor.
HOLLOW = ("mug", "bowl")
FIELDS = ("mug", "bowl", "knife", "can", "wine_glass", "screwdriver", "hammer")  # thin walls, blades, stems


@lru_cache(maxsize=64)
def _object(family, seed):
    return make_object(family, seed)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1, 7, 41])
def test_builds_at_a_size_that_a_hand_can_hold(family, seed):
    target = make_object(family, seed)
    low, high = target.bounds
    assert target.name == f"{family}_{seed:03d}" and target.family == family
    assert low[2] == pytest.approx(0, abs=1e-12)
    extent = high - low
    assert extent.min() > 0.005 and 0.05 < extent.max() < 0.4, extent
    volume = sum(piece.volume for piece in target.pieces)
    assert 1e-5 < volume < 3e-3 and min(piece.volume for piece in target.pieces) > 1e-9  # m³
    assert {piece.part for piece in target.pieces} == set(range(len(target.part_names)))


@pytest.mark.parametrize("family", FAMILIES)
def test_surface_samples(family):
    target = make_object(family, 3)
    points, normals, parts = target.sample_surface(2048)
    assert points.shape == normals.shape == (2048, 3) and parts.shape == (2048,)
    assert np.abs(np.linalg.norm(normals, axis=-1) - 1).max() < 1e-9
    assert np.abs(target.inside_depth(points)).max() < 0.02  # on a piece's face, though another may reach over
    assert (target.inside_depth(points + 5e-4 * normals) > 0).mean() > 0.99
    assert (target.inside_depth(points - 5e-4 * normals) < 0).mean() > 0.97  # rims may be thinner
    # Every named part is to be seen.
    shares = np.bincount(parts, minlength=len(target.part_names)) / len(parts)
    assert shares.min() > 0.003, dict(zip(target.part_names, shares, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_lie_on_their_part(family):
    target = make_object(family, 2)
    points, _, parts = target.sample_surface(600)
    for index, name in enumerate(target.part_names):
        mine = [piece for piece in target.pieces if piece.part == index]
        depth = np.min([piece.depth(points[parts == index]) for piece in mine], axis=0)
        assert depth.max() < 1e-9, name


@pytest.mark.parametrize("family", FIELDS)
def test_distance_field(family):
    target = _object(family, 5)
    rng = np.random.default_rng(0)
    low, high = target.bounds
    points = rng.uniform(low - 0.02, high + 0.02, (4000, 3))
    distance, _ = target.sdf.query(torch.tensor(points, dtype=torch.float32))
    inside, distance = target.inside_depth(points) < 0, distance.numpy()
    clear = np.abs(distance) > 0.0015
    assert (inside == (distance < 0))[clear].all()
    surface, normals, _ = target.sample_surface(3000, seed=9)
    on_surface, field_normal = target.sdf.query(torch.tensor(surface, dtype=torch.float32))
    assert np.quantile(np.abs(on_surface.numpy()), 0.99) < 0.0015
    assert np.median((field_normal.numpy() * normals).sum(-1)) > 0.98


@pytest.mark.parametrize("family", HOLLOW)
def test_vessels_are_hollow(family):
    target = _object(family, 5)
    inside = np.array([[0.0, 0.0, target.bounds[1, 2] * 0.6]])
    assert target.inside_depth(inside)[0] > 0.005
    assert float(target.sdf.query(torch.tensor(inside, dtype=torch.float32))[0]) > 0.005


def test_same_seed_same_object_and_other_seed_other_object():
    one, same, other = make_object("mug", 4), make_object("mug", 4), make_object("mug", 5)
    assert np.array_equal(one.bounds, same.bounds) and not np.array_equal(one.bounds, other.bounds)
    for mine, again in zip(one.pieces, same.pieces, strict=True):
        assert np.array_equal(mine.vertices, again.vertices)
    for mine, again in zip(one.sample_surface(100), same.sample_surface(100), strict=True):
        assert np.array_equal(mine, again)
    assert not np.array_equal(one.sample_surface(100)[0], one.sample_surface(100, seed=1)[0])


def test_unknown_family_lists_the_known_ones():
    with pytest.raises(DatasetError, match=r"object family 'teapot' is unknown; known: bottle, bowl.*wine_glass"):
        make_object("teapot", 0)


def test_convex_pieces_know_their_volume_and_face_outwards():
    piece = ConvexPiece.from_points(box((0.1, 0.2, 0.3), (1.0, 0, 0)), part=3)
    assert piece.volume == pytest.approx(0.006) and piece.part == 3 and len(piece.vertices) == 8
    corners = piece.vertices[piece.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((corners.mean(1) - [1.0, 0, 0]) * normals).sum(-1).min() > 0
    assert piece.depth(np.array([[1.0, 0, 0], [1.06, 0, 0]])) == pytest.approx([-0.05, 0.01])


def test_bars_and_walls_have_the_size_asked_for():
    bar = ConvexPiece.from_points(rod(np.zeros(3), np.array([0.2, 0, 0]), 0.02, 0.01), 0)
    extent = np.ptp(bar.vertices, axis=0)
    assert extent[0] == pytest.approx(0.2) and sorted(extent[1:]) == pytest.approx([0.01, 0.02])
    staves = lathe_wall([0.05, 0.05], [0, 0.1], 0.005)
    points = np.concatenate(staves)
    radius = np.linalg.norm(points[:, :2], axis=-1)
    assert len(staves) == 16 and radius.min() == pytest.approx(0.045) and radius.max() == pytest.approx(0.05)


def test_inside_is_the_union_of_the_pieces():
    target = _object("mug", 5)
    points = np.random.default_rng(1).uniform(target.bounds[0] - 0.01, target.bounds[1] + 0.01, (5000, 3))
    union = np.min([piece.depth(points) for piece in target.pieces], axis=0)
    depth = target.inside_depth(points)
    assert 0.05 < (union < 0).mean() < 0.9
    assert np.array_equal(depth < 0, union < 0) and np.array_equal(depth[union < 0], union[union < 0])
