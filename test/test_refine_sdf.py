"""The distance field: accurate on a sphere, smooth outwards, the same when its frame moves."""

import numpy as np
import pytest
import torch

from maskdex_core.errors import CloudError
from maskdex_core.refine.sdf import SdfGrid

RADIUS, SPACING, HALF = 0.03, 0.0025, 0.06
CENTER = np.array([0.01, -0.02, 0.05])


@pytest.fixture(scope="module")
def ball():
    axis = np.arange(-HALF, HALF + SPACING / 2, SPACING)
    # Unequal sides, so that mixed-up axes show.
    axes = (axis, axis[2:-2], np.append(axis, axis[-1] + SPACING))
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    origin = np.array([a[0] for a in axes]) + CENTER
    return SdfGrid.from_values(np.linalg.norm(nodes, axis=-1) - RADIUS, origin, SPACING)


def _around(low, high, count=500, seed=0):
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    radius = rng.uniform(low, high, (count, 1))
    return (
        torch.tensor(CENTER + radius * direction, dtype=torch.float32),
        torch.tensor(direction),
        radius[:, 0],
    )


def test_distances_of_a_sphere(ball):
    points, _, radius = _around(0.01, 0.05)
    distance, _ = ball.query(points)
    assert np.abs(distance.numpy() - (radius - RADIUS)).max() < 2e-4
    clear = np.abs(radius - RADIUS) > 2e-4
    assert ((distance.numpy() < 0) == (radius < RADIUS))[clear].all()


def test_normals_point_outwards(ball):
    points, direction, _ = _around(0.02, 0.05)
    _, normal = ball.query(points)
    assert (normal.double() * direction).sum(-1).min() > 0.995
    assert (normal.norm(dim=-1) - 1).abs().max() < 1e-5


def test_gradient_of_the_distance_is_the_normal(ball):
    points, direction, _ = _around(0.02, 0.05)
    points.requires_grad_()
    ball.query(points)[0].sum().backward()
    assert (points.grad.double() * direction).sum(-1).min() > 0.95
    assert (points.grad.norm(dim=-1) - 1).abs().max() < 0.06


def test_far_points_feel_the_way_back(ball):
    points, direction, radius = _around(0.15, 0.6)
    points.requires_grad_()
    distance, _ = ball.query(points)
    # Never nearer than true (1 % for the corners' sake), never farther than by way of the grid's corner.
    true = radius - RADIUS
    assert (distance.detach().numpy() > 0.99 * true).all() and (distance.detach().numpy() < true + 0.04).all()
    distance.sum().backward()
    assert (points.grad.double() * direction).sum(-1).min() > 0.8


def test_no_step_at_the_grids_border(ball):
    direction = torch.tensor([[1.0, 0.3, -0.2]])
    steps = torch.linspace(0.03, 0.12, 400)[:, None]
    distance, _ = ball.query(torch.tensor(CENTER, dtype=torch.float32) + steps * direction / direction.norm())
    assert (distance.diff() > 0).all() and distance.diff().max() < 2 * float(steps[1] - steps[0])


def test_shapes_of_points_are_kept(ball):
    distance, normal = ball.query(torch.zeros(2, 5, 7, 3))
    assert distance.shape == (2, 5, 7) and normal.shape == (2, 5, 7, 3)


def test_moved_frame_sees_the_same_object(ball):
    offset = np.array([0.3, -0.1, 0.02])
    points, _, _ = _around(0.01, 0.2)
    here, there = (
        ball.query(points),
        ball.moved(offset).query(points - torch.tensor(offset, dtype=torch.float32)),
    )
    assert (here[0] - there[0]).abs().max() < 1e-6 and (here[1] - there[1]).abs().max() < 1e-3


@pytest.mark.parametrize("values", [np.ones((4, 4, 4)), np.full((4, 4, 4), np.nan)])
def test_fields_without_an_inside_are_refused(values):
    with pytest.raises(CloudError, match="the object has no inside"):
        SdfGrid.from_values(values, np.zeros(3), 0.01)
