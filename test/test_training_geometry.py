"""The loss of expected codes in space: a true grasp costs nothing, one that is off, too deep or lifted costs that."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from grasp_model_support import PALM_FRAME, FakeEncoder, shadow, tiny_experiment, tiny_model

from maskdex_core.grasp.decoder import DecodedGrasp, PalmPose
from maskdex_core.training.geometry_loss import GeometryLoss, ObjectSkin, signed_distance
from maskdex_core.training.random_data import random_dataset
from maskdex_core.training.transformer_stage import TransformerStage

RADIUS = 0.05


@pytest.fixture(scope="module")
def ball() -> ObjectSkin:
    """A ball about the origin, twice."""
    normals = torch.nn.functional.normalize(torch.randn(2, 4000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    return ObjectSkin(RADIUS * normals, normals)


def _palm(*height: float) -> PalmPose:
    """Palms upright above the ball's middle, their skin's lowest point at z = `height` m."""
    rest = shadow().surface_points(torch.zeros(1, len(shadow().joint_names)))[0]
    middle = torch.tensor([rest[:, 0].mean(), rest[:, 1].mean(), float(rest[:, 2].min())])
    place = torch.tensor([[0.0, 0.0, z] for z in height]) - middle
    return PalmPose(torch.eye(3).expand(len(height), 3, 3), place)


def test_distance_is_to_the_surface_and_negative_inside(ball):
    away, near = signed_distance(torch.tensor([[[0.0, 0.0, 0.06], [0.0, 0.04, 0.0], [0.2, 0.0, 0.0]]] * 2), ball)
    assert away[0, :2] == pytest.approx(torch.tensor([0.01, -0.01]), abs=5e-4)
    assert near[0].tolist() == [True, True, False]


def test_a_true_grasp_costs_nothing_and_another_what_it_is_off_in_space_and_on_the_object(ball):
    loss, joints = GeometryLoss(shadow()), torch.zeros(2, len(shadow().joint_names))
    true, made = _palm(0.05, 0.05), DecodedGrasp(joints, _palm(0.02, 0.08))
    assert loss(DecodedGrasp(joints, true), joints, true, ball) == pytest.approx(torch.zeros(2), abs=1e-4)
    elsewhere = ObjectSkin(ball.points + 10.0, ball.normals)
    assert loss(made, joints, true, elsewhere) == pytest.approx(torch.full((2,), 0.3), abs=1e-3)  # dm of 3 cm
    deep, far = loss(made, joints, true, ball).tolist()
    assert 0.5 < deep < 0.61 and 0.5 < far < 0.61  # 3 cm off the contact too; one is inside, by a little of the hand


def test_its_gradient_moves_the_palm_back(ball):
    joints, true = torch.zeros(2, len(shadow().joint_names)), _palm(0.05, 0.05)
    made = _palm(0.04, 0.06)
    made.translation.requires_grad_()
    GeometryLoss(shadow())(DecodedGrasp(joints, made), joints, true, ball).sum().backward()
    deep, far = made.translation.grad[:, 2].tolist()
    assert deep < 0.0 < far


def test_the_stage_trains_on_it_and_says_so():
    data = random_dataset(shadow(), 16, points=300, objects=3)
    config = tiny_experiment(geometry_weight=2.0).transformer_training
    model = tiny_model(tokenizer=PALM_FRAME, view_points=8, dropout=0.0)
    stage = TransformerStage(model, shadow(), config, data, encoder=FakeEncoder())
    loss, report = stage.loss(torch.Generator().manual_seed(0))
    assert report["geometry"] > 0.0
    assert report["loss"] == pytest.approx(report["nll"] + 2.0 * report["geometry"], rel=1e-5)
    loss.backward()
    plain = dataclasses.replace(config, geometry_weight=0.0)
    stage = TransformerStage(model, shadow(), plain, data, encoder=FakeEncoder())
    assert "geometry" not in stage.loss(torch.Generator().manual_seed(0))[1]
