"""Further draws lay the palm where the text wants the hand; the network's fingers fill it in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from grasp_model_support import PALM_FRAME, TEXT_DIM, shadow, tiny_model

from maskdex_core.antipodal.observed import FieldSurface, antipodal_starts
from maskdex_core.grasp import GraspModel
from maskdex_core.metrics.observation import observe
from maskdex_core.objects.procedural import make_object
from maskdex_core.planning.draws import grasp_draws
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.refine.contacts import HandOnObject

COUNT = 10
TEXT = torch.nn.functional.normalize(torch.ones(TEXT_DIM), dim=0)


@pytest.fixture(scope="module")
def model() -> GraspModel:
    return tiny_model(tokenizer=PALM_FRAME, view_points=8, tie_codes=True, touch_width=16).eval()


@pytest.fixture(scope="module")
def geometry() -> ObjectGeometry:
    return observe(make_object("hammer", 0), "full", np.random.default_rng(0))


def _along(points: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Return where points (P, 3) lie on the longest axis of what is seen, from its middle, m."""
    return points @ torch.linalg.svd(seen - seen.mean(0), full_matrices=False).Vh[0]


@pytest.mark.parametrize("end", [1.0, -1.0])
def test_palms_of_the_second_draw_are_laid_at_the_end_that_is_wanted(model, geometry, end):
    touch = (end * _along(geometry.points, geometry.points) > 0.02).float() * 0.7 + 0.1
    generator = torch.Generator().manual_seed(0)
    draws = grasp_draws(model, shadow(), geometry, TEXT, touch, COUNT, generator)
    first, second, third = (draw() for draw in draws)
    again = torch.Generator().manual_seed(0)
    alone = model.sample(geometry.points, TEXT, COUNT, generator=again)
    assert torch.equal(first.joints, alone.joints) and not torch.equal(third.joints, first.joints)
    assert len(second) == COUNT
    scene = HandOnObject(shadow(), geometry.sdf, geometry.table_height)
    starts = antipodal_starts(
        scene, COUNT, int(torch.randint(1 << 31, (), generator=again)),
        [lambda points: end * _along(points, geometry.points) > 0.02],
    )  # fmt: skip
    for palms in (second.palm_translation, starts.translation):
        assert (end * _along(palms, geometry.points) > -0.03).float().mean() > 0.85
    assert second.tokens.shape == first.tokens.shape and second.checkpoint == model.fingerprint
    assert not torch.equal(second.joints, starts.joints)  # the network's fingers, not the preshape's


def test_the_same_seed_draws_the_same(model, geometry):
    touch = torch.linspace(0.1, 0.9, len(geometry.points))
    made = []
    for _ in range(2):
        draws = grasp_draws(model, shadow(), geometry, TEXT, touch, 4, torch.Generator().manual_seed(3))
        made.append([draw() for draw in draws])
    for one, other in zip(*made, strict=True):
        assert torch.equal(one.joints, other.joints) and torch.equal(one.palm_translation, other.palm_translation)


def test_where_nothing_tells_what_is_wanted_the_network_draws_every_time(model, geometry):
    generator = torch.Generator().manual_seed(0)
    draws = grasp_draws(model, shadow(), geometry, TEXT, None, 4, generator)
    again = torch.Generator().manual_seed(0)
    for draw in draws:
        assert torch.equal(draw().joints, model.sample(geometry.points, TEXT, 4, generator=again).joints)


def test_where_nothing_faces_the_network_draws_again(model, geometry):
    nothing = dataclasses.replace(geometry.sdf, field=torch.ones_like(geometry.sdf.field))
    touch = torch.ones(len(geometry.points))
    draws = grasp_draws(
        model, shadow(), dataclasses.replace(geometry, sdf=nothing), TEXT, touch, 4, torch.Generator().manual_seed(0)
    )
    assert len(draws[1]()) == 4


def test_a_surface_keeps_to_the_places_that_are_meant(geometry):
    above = FieldSurface(geometry.sdf, lambda points: points[:, 2] > 0.0)
    points, normals, parts = above.sample_surface(300)
    assert len(points) == len(normals) == len(parts) == 300
    assert points[:, 2].min() > -0.005  # of a voxel whose centre is above
    nowhere = FieldSurface(geometry.sdf, lambda points: points[:, 2] > 9.0)
    assert nowhere.sample_surface(300)[0].shape == (0, 3)
