"""Retrieval: a training object, however it is turned, brings its own grasps back, those of the asked text first."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from grasp_model_support import FakeEncoder, tiny_config, tiny_experiment
from small_datasets import write_ellipsoids

from maskdex_core.baselines.kinds import load_sampler, train_baseline
from maskdex_core.baselines.retrieval import Retrieval, profile
from maskdex_core.data.dataset import GraspDataset
from maskdex_core.data.views import write_views
from maskdex_core.errors import CloudError
from maskdex_core.grasp.rotation import geodesic_angle, rotation_about_z

TURN = rotation_about_z(torch.tensor(math.radians(45.0)))
SHIFT = torch.tensor([0.5, -0.3, 0.2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    folder = write_ellipsoids(tmp_path_factory.mktemp("data") / "eggs")
    points = GraspDataset.load(folder).objects["egg_2"].points
    write_views(folder, {"egg_2": points[points[:, 0] > 0][:128][None].numpy()})
    return folder


@pytest.fixture(scope="module")
def retrieval(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    experiment = dataclasses.replace(tiny_experiment(), model=tiny_config())
    loaded = load_sampler(train_baseline("retrieval", folder, experiment, out, encoder=FakeEncoder()))
    assert isinstance(loaded, Retrieval)
    return loaded


@pytest.mark.parametrize("name", ["egg_0", "egg_3"])
@pytest.mark.parametrize("text", ["way 0", "way 1"])
def test_a_known_object_turned_brings_its_own_grasps(folder, retrieval, name: str, text: str):
    data = GraspDataset.load(folder).split("train")
    own = [row for row, owner in enumerate(data.table["object"]) if owner == name and data.texts[row] == (text,)]
    cloud = data.objects[name].points @ TURN.T + SHIFT
    found = retrieval.sample(cloud, FakeEncoder().encode([text])[0], len(own))
    order = [int((found.joints - data.joints[row]).abs().sum(-1).argmin()) for row in own]
    assert sorted(order) == list(range(len(own)))
    found = found.index(order)
    assert torch.equal(found.joints, data.joints[own])
    assert geodesic_angle(found.palm_rotation, TURN @ data.palm_rotation[own]).max() < 1e-3
    wanted = data.palm_translation[own] @ TURN.T + SHIFT
    assert (found.palm_translation - wanted).norm(dim=-1).max() < 0.004  # 128 of the points have another centroid


def test_a_view_is_compared_with_views(folder, retrieval):
    data = GraspDataset.load(folder).split("train")
    points = data.objects["egg_2"].points
    seen = points[points[:, 0] > 0][:128]
    own = {
        tuple(row.tolist()) for row, owner in zip(data.joints, data.table["object"], strict=True) if owner == "egg_2"
    }
    found = retrieval.sample(seen @ TURN.T, FakeEncoder().encode(["way 0"])[0], 3)
    assert {tuple(row.tolist()) for row in found.joints} <= own
    first = int((data.joints - found.joints[0]).abs().sum(-1).argmin())
    assert (found.palm_translation[0] - TURN @ data.palm_translation[first]).norm() < 0.002


def test_more_grasps_than_there_are_repeat(retrieval):
    found = retrieval.sample(0.03 * torch.randn(64, 3), torch.randn(8), 60)
    assert len(found) == 60 and len({tuple(row.tolist()) for row in found.joints}) == 24
    assert torch.equal(found.joints[:24], found.joints[24:48])


def test_a_profile_does_not_change_when_the_object_turns():
    cloud = torch.randn(1, 200, 3)
    assert torch.allclose(profile(cloud @ TURN.T), profile(cloud), atol=1e-5)
    assert not torch.allclose(profile(cloud[..., [2, 0, 1]]), profile(cloud), atol=1e-2)


def test_unusable_points_are_named(retrieval):
    with pytest.raises(CloudError, match="all finite"):
        retrieval.sample(torch.full((5, 3), torch.nan), torch.zeros(8))
