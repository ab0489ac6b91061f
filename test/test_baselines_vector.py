"""The models of the grasp vector: they learn what decides a grasp, and their files bring back what was saved."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from grasp_model_support import TEXT_DIM, FakeEncoder, shadow, tiny_config

from maskdex_core.baselines import vector_stage
from maskdex_core.baselines.cvae import ConditionalVae
from maskdex_core.baselines.files import WEIGHTS, read_baseline
from maskdex_core.baselines.flow import FlowMatching
from maskdex_core.baselines.kinds import load_sampler
from maskdex_core.baselines.vector import GraspVector
from maskdex_core.baselines.vector_model import VectorModel
from maskdex_core.baselines.vector_stage import VectorStage
from maskdex_core.errors import CheckpointError, CloudError
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.rotation import geodesic_angle, matrix_from_6d
from maskdex_core.training.config import StageConfig
from maskdex_core.training.loop import TrainingRun
from maskdex_core.training.random_data import random_dataset

MODELS = (ConditionalVae, FlowMatching)
SIZE = dataclasses.replace(tiny_config().transformer, width=48, heads=2, layers=1, object_patches=0, dropout=0.0)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def _random_poses(count: int) -> tuple[torch.Tensor, PalmPose]:
    hand, draws = shadow(), torch.Generator().manual_seed(3)
    share = torch.rand(count, len(hand.joint_names), generator=draws)
    rotation = matrix_from_6d(torch.randn(count, 6, generator=draws))
    return hand.lower + share * (hand.upper - hand.lower), PalmPose(rotation, torch.randn(count, 3, generator=draws))


def test_a_vector_is_the_grasp():
    vector, (joints, palm) = GraspVector(shadow()), _random_poses(64)
    vector.fit(joints, palm)
    numbers = vector.encode(joints, palm)
    assert numbers.mean(0).abs().max() < 1e-5 and (numbers.std(0) - 1.0).abs().max() < 1e-4
    offset = torch.tensor([0.3, 0.0, -0.2])
    grasps = vector.decode(numbers, offset)
    assert torch.allclose(grasps.joints, joints, atol=1e-5)
    assert torch.allclose(grasps.palm_translation, palm.translation + offset, atol=1e-5)
    assert geodesic_angle(grasps.palm_rotation, palm.rotation).max() < 1e-3


def test_decoded_joints_stay_inside_their_limits():
    hand, vector = shadow(), GraspVector(shadow())
    joints = vector.decode(50.0 * torch.randn(8, vector.size), torch.zeros(3)).joints
    assert (joints >= hand.lower).all() and (joints <= hand.upper).all()


@pytest.mark.parametrize("kind", MODELS)
def test_it_learns_that_the_text_decides_the_grasp(kind: type[VectorModel], tmp_path):
    """Two texts, one grasp each: after a few seconds samples under a text lie at its grasp, not at the other's."""
    data = random_dataset(shadow(), grasps=2, objects=1, texts=2)
    config = StageConfig(
        epochs=400, batch=32, learning_rate=3e-3, warmup_steps=20, yaw=False, centre_jitter=0.0, evaluate_every=10_000,
        save_every=10_000,
    )  # fmt: skip
    stage = VectorStage(kind(SIZE), config, data, None, FakeEncoder())
    before = stage.evaluate()["loss"]
    TrainingRun(stage, tmp_path, total_steps=240).run()
    assert stage.evaluate()["loss"] < 0.5 * before
    cloud = data.objects["ellipsoid_0"].points
    for row in range(2):
        text = FakeEncoder().encode(data.texts[row])[0]
        drawn = stage.module.eval().sample(cloud, text, 8, generator=torch.Generator().manual_seed(0))
        off = (drawn.palm_translation - data.palm_translation[row]).norm(dim=-1)
        apart = (data.palm_translation[0] - data.palm_translation[1]).norm()
        assert off.median() < 0.25 * apart
        turned = geodesic_angle(drawn.palm_rotation, data.palm_rotation[row])
        assert turned.median() < math.radians(20)


@pytest.mark.parametrize("kind", MODELS)
def test_processes_share_a_batch_and_its_noise(kind: type[VectorModel], monkeypatch):
    data = random_dataset(shadow(), grasps=8, objects=2, texts=1)
    stage = VectorStage(kind(SIZE), StageConfig(epochs=1, batch=8), data, None, FakeEncoder())
    stage.module.eval()  # no dropout
    losses = []
    for own in (slice(None), slice(0, 4), slice(4, 8)):
        monkeypatch.setattr(vector_stage, "own_rows", lambda total, own=own: own)
        losses.append(stage.loss(torch.Generator().manual_seed(5))[0].item())
    assert losses[0] == pytest.approx((losses[1] + losses[2]) / 2, rel=1e-4) and losses[1] != losses[2]


@pytest.mark.parametrize("kind", MODELS)
def test_saved_and_loaded_it_draws_the_same_grasps(kind: type[VectorModel], tmp_path):
    model, cloud, text = kind(SIZE, {"name": "x"}).eval(), 0.05 * torch.randn(200, 3), torch.randn(TEXT_DIM)
    model.vector.mean.fill_(0.1)
    model.save(tmp_path)
    again = load_sampler(tmp_path)
    assert again.info == {"name": "x"}
    one, two = (m.sample(cloud, text, 5, generator=torch.Generator().manual_seed(7)) for m in (model, again))
    assert torch.equal(one.joints, two.joints) and torch.equal(one.palm_translation, two.palm_translation)
    other = model.sample(cloud, text, 5, generator=torch.Generator().manual_seed(8))
    assert not torch.allclose(one.joints, other.joints)
    shift = torch.tensor([1.0, -2.0, 0.5])
    moved = model.sample(cloud + shift, text, 5, generator=torch.Generator().manual_seed(7))
    assert torch.allclose(moved.palm_translation, one.palm_translation + shift, atol=1e-4)
    assert torch.allclose(moved.joints, one.joints, atol=1e-3)


def test_unusable_points_and_damaged_files_are_named(tmp_path):
    model = FlowMatching(SIZE)
    with pytest.raises(CloudError, match=r"\(0, 3\)"):
        model.sample(torch.zeros(0, 3), torch.zeros(TEXT_DIM))
    model.save(tmp_path)
    stored = read_baseline(tmp_path)
    with pytest.raises(CheckpointError, match="'cvae' does not fit"):
        ConditionalVae.restore(stored)
    (tmp_path / WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        load_sampler(tmp_path)
