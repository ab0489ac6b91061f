"""What stage 2 learns of touch: which points lie on the parts that a grasp touches, and what the loss trains."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from grasp_model_support import PALM_FRAME, FakeEncoder, shadow, tiny_experiment, tiny_model

from maskdex_core.data import GraspDataset
from maskdex_core.training import StageConfig
from maskdex_core.training.batches import BatchMaker, part_shares
from maskdex_core.training.random_data import random_dataset
from maskdex_core.training.transformer_stage import TransformerStage

CONTACTS = (["base", "base", "base", "top"], ["top"], [], ["top", "lid"])
TOP_SHARE, BASE_SHARE = torch.tensor([0.25, 1.0, 0.0, 0.5]), torch.tensor([0.75, 0.0, 0.0, 0.0])


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data() -> GraspDataset:
    """Ellipsoids of an upper half "top" and a lower half "base"; grasps touch as `CONTACTS` say, as do their texts."""
    made = random_dataset(shadow(), 16, points=300, objects=3)
    objects = {
        name: dataclasses.replace(
            surface, part_ids=(surface.points[:, 2] > 0.0).long(), facts={"part_names": ["base", "top"]}
        )
        for name, surface in made.objects.items()
    }
    rows = range(len(made))
    table = {**made.table, "contact_parts": [CONTACTS[row % 4] for row in rows]}
    return dataclasses.replace(made, objects=objects, table=table)


def _seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def test_shares_of_contacts_sum_to_what_lies_on_known_parts(data):
    shares = part_shares(data)
    assert shares.shape == (16, 2)
    assert torch.equal(shares, torch.stack((BASE_SHARE, TOP_SHARE), 1).repeat(4, 1))
    assert torch.equal(shares.sum(1), torch.tensor([1.0, 1.0, 0.0, 0.5]).repeat(4))


def _expected(rows, data, points: torch.Tensor) -> torch.Tensor:
    """Return the share of contacts on the half that points (B, P, 3), in the mesh's axes, lie in."""
    top, base = (share[rows.row % 4].unsqueeze(1) for share in (TOP_SHARE, BASE_SHARE))
    return torch.where(points[..., 2] > 0.0, top, base)


def _back(rows, data) -> torch.Tensor:
    """Return a batch's points with their height in the mesh again: yaw leaves it, centring does not."""
    height = data.palm_translation[rows.row, 2] - rows.palm.translation[:, 2]
    return rows.points + torch.stack((torch.zeros(len(height)), torch.zeros(len(height)), height), -1).unsqueeze(1)


@pytest.mark.parametrize("augment", [False, True])
def test_points_of_a_whole_cloud_carry_the_share_of_their_part(data, augment):
    config = StageConfig(point_jitter=0.0)
    rows = BatchMaker(data, data.joint_names, config, points=80).rows(torch.arange(16), _seed(0), augment=augment)
    points = _back(rows, data)
    clear = points[..., 2].abs() > 1e-5  # of rounding
    assert rows.touched.shape == (16, 80) and clear.float().mean() > 0.99
    assert torch.equal(rows.touched[clear], _expected(rows, data, points)[clear])
    assert len(rows.touched.unique()) == 5  # 0, ¼, ½, ¾ and 1: the test sees every case


def test_points_of_a_view_carry_the_share_of_the_nearest_part(data):
    """Views of 60 surface points with half a millimetre of noise, far from the line between the parts."""
    views = {}
    for name, surface in data.objects.items():
        clear = surface.points[surface.points[:, 2].abs() > 0.008]
        noise = 5e-4 * torch.randn(3, 60, 3, generator=_seed(1)).clamp(-2.0, 2.0)
        views[name] = clear[:60].expand(3, -1, -1) + noise
    config = StageConfig(partial_share=0.5, point_jitter=0.0)
    maker = BatchMaker(data, data.joint_names, config, points=40, views=views)
    rows = maker.rows(torch.arange(16).repeat(4), _seed(2))
    points = _back(rows, data)
    views_alone = points[..., 2].abs().amin(1) > 0.006
    assert 10 < views_alone.sum() < 54  # others see the whole cloud
    assert torch.equal(rows.touched[views_alone], _expected(rows, data, points)[views_alone])
    assert torch.equal(rows[3:5].touched, rows.touched[3:5])


def test_no_points_no_touch(data):
    assert BatchMaker(data, data.joint_names, StageConfig()).rows(torch.arange(4), _seed(0)).touched is None


# ---------------------------------------------------------------------- the loss
def _stage(data, **transformer) -> TransformerStage:
    config = tiny_experiment(expectation_weight=1.0).transformer_training
    model = tiny_model(tokenizer=PALM_FRAME, view_points=8, dropout=0.0, **transformer)
    return TransformerStage(model, shadow(), config, data, encoder=FakeEncoder())


def test_a_network_without_a_map_has_no_touch_loss(data):
    stage = _stage(data)
    assert "touch" not in stage.loss(_seed(0))[1]
    with torch.no_grad():
        assert "touch" not in stage.evaluate()


def test_the_map_is_trained_by_touch_alone_and_the_rest_by_the_codes(data):
    stage = _stage(data, touch_width=32)
    loss, report = stage.loss(_seed(0))
    assert report["loss"] == pytest.approx(report["nll"] + report["expectation"] + report["touch"], rel=1e-5)
    loss.backward()
    own = {name: p.grad for name, p in stage.module.named_parameters() if name.startswith("touch.")}
    assert own and all(grad is not None for grad in own.values())
    rows, codes, text = stage.batches.rows(torch.arange(4), _seed(1)), None, stage.texts.draw(torch.arange(4), _seed(1))
    codes, _ = stage._codes(rows)
    stage.module.zero_grad()
    stage._logits(rows, text, codes, torch.ones_like(codes, dtype=torch.bool), None).square().sum().backward()
    for name, parameter in stage.module.named_parameters():
        if name.startswith("touch."):
            assert parameter.grad is None or not parameter.grad.any(), name
    assert stage.module.condition.patch_encoder.first.weight.grad.abs().max() > 0.0


def test_the_touch_loss_falls_with_training(data):
    """Each text has its own way to touch here: the map learns it from the stage's own batches."""
    stage = _stage(data, touch_width=32)
    optimizer, draws = torch.optim.Adam(stage.module.touch.parameters(), 3e-3), _seed(0)
    with torch.no_grad():
        before = stage.evaluate()["touch"]
    for _ in range(40):
        rows = stage.batches.draw(draws, 8)
        optimizer.zero_grad()
        stage._touch_loss(stage._touch(rows, stage.texts.draw(rows.row, draws)), rows).backward()
        optimizer.step()
    with torch.no_grad():
        after = stage.evaluate()["touch"]
    assert after < 0.85 * before
