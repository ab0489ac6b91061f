"""What stage 2 learns of touch: what tasks ask of an object's parts, and what the loss trains."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from grasp_model_support import PALM_FRAME, FakeEncoder, shadow, tiny_experiment, tiny_model

from maskdex_core.data import GraspDataset
from maskdex_core.data.tasks import load_tasks
from maskdex_core.training import StageConfig
from maskdex_core.training.object_clouds import ObjectClouds
from maskdex_core.training.random_data import random_dataset
from maskdex_core.training.task_rows import MISNAMED, TaskRows, stretched
from maskdex_core.training.transformer_stage import TransformerStage

MUG_PARTS = ["body", "handle", "rim"]
TOUCHED = (["body", "body", "body", "rim"], ["handle", "handle", "body"], ["body", "rim"], ["body"])
TASKS = (["hold", "wrap-grasp"], ["hold", "handle-grasp", "pull"], ["hold"], ["hold"])
LINKS = ["rh_thdistal", "rh_ffdistal", "rh_mfdistal", "rh_rfdistal"]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data() -> GraspDataset:
    """Ellipsoids as mugs: body below, rim on top, a quarter of it all handle; grasps touch as `TOUCHED` says."""
    made = random_dataset(shadow(), 16, points=300, objects=3)
    objects = {
        name: dataclasses.replace(
            surface, part_ids=_part(surface.points), facts={"family": "mug", "part_names": MUG_PARTS}
        )
        for name, surface in made.objects.items()
    }
    rows = range(len(made))
    table = {
        **made.table,
        "contact_parts": [TOUCHED[row % 4] for row in rows],
        "contact_links": [LINKS[: len(TOUCHED[row % 4])] for row in rows],
        "tasks": [TASKS[row % 4] for row in rows],
    }
    return dataclasses.replace(made, objects=objects, table=table)


def _part(points: torch.Tensor) -> torch.Tensor:
    part = 2 * (points[..., 2] > 0.0).long()
    part[(points[..., 0] > 0.0) & (points[..., 1] > 0.0)] = 1
    return part


def _seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


# ---------------------------------------------------------------------- what is asked
def _kinds(rows: TaskRows) -> dict[tuple[float, ...], int]:
    shares, counts = rows.shares.unique(dim=0, return_counts=True)
    return {tuple(round(value, 3) for value in share.tolist()): int(n) for share, n in zip(shares, counts, strict=True)}


def test_a_task_asks_for_the_parts_that_its_grasps_touch(data):
    rows = TaskRows(data, FakeEncoder(), balance=0.5)
    kinds = _kinds(rows)
    assert kinds[0.333, 0.667, 0.0] == 2 * 3  # handle-grasp and pull, on each of three mugs
    assert kinds[0.75, 0.0, 0.25] == 3  # wrap-grasp
    assert rows.shares.sum(1) == pytest.approx(1.0)


def test_a_task_without_a_grasp_asks_for_what_its_rule_names(data):
    kinds = _kinds(TaskRows(data, FakeEncoder(), balance=0.0))
    assert kinds[0.0, 1.0, 0.0] == 3  # use: the handle
    assert kinds[0.5, 0.0, 0.5] == 3  # hand-over: body and rim


def test_an_object_whose_family_has_no_tasks_is_asked_for_as_its_grasps_are(data):
    objects = {
        name: dataclasses.replace(surface, facts={"part_names": MUG_PARTS}) for name, surface in data.objects.items()
    }
    alone = dataclasses.replace(data, objects=objects)
    rows = TaskRows(alone, FakeEncoder(), balance=0.5)
    assert len(rows) == 3
    for row, name in enumerate(alone.object_names):
        own = [TOUCHED[i % 4] for i, owner in enumerate(alone.table["object"]) if owner == name]
        expected = sum(parts.count("body") / len(parts) for parts in own) / len(own)
        assert float(rows.shares[row, 0]) == pytest.approx(expected, abs=1e-6)


def test_sentences_ask_for_the_task_and_some_call_the_object_something_else(data):
    said: list[str] = []

    class Listening(FakeEncoder):
        def encode(self, texts):
            said.extend(texts)
            return super().encode(texts)

    TaskRows(data, Listening(), balance=0.5)
    names = load_tasks().families["mug"].names
    named = [text for text in said if "handle" in text]
    strange = [text for text in named if not any(name in text for name in names) and "grasp the handle" not in text]
    assert len(said) > 60 and 0.2 * MISNAMED < len(strange) / len(named) < 1.4 * MISNAMED
    assert all(any(name in text for name in (*names, "rim", "body", "handle")) for text in said)


# ---------------------------------------------------------------------- on which points
@pytest.mark.parametrize("augment", [False, True])
def test_points_of_a_whole_cloud_know_their_part(data, augment):
    clouds = ObjectClouds(data, StageConfig(point_jitter=0.0), 80)
    drawn = clouds.draw(torch.arange(3), _seed(0), augment)
    assert drawn.points.shape == (3, 80, 3) and (drawn.turn is not None) == augment
    assert (drawn.part == _part(_back(drawn))).float().mean() > 0.99


def test_points_of_a_view_are_of_the_nearest_part(data):
    """Views of 60 surface points with half a millimetre of noise, far from the lines between the parts."""
    views = {}
    for name in data.object_names:
        points = data.objects[name].points
        clear = points[points.abs().amin(1) > 0.006]
        noise = 5e-4 * torch.randn(3, 60, 3, generator=_seed(1)).clamp(-2.0, 2.0)
        views[name] = clear[torch.arange(60) % len(clear)].expand(3, -1, -1) + noise
    clouds = ObjectClouds(data, StageConfig(partial_share=0.5, point_jitter=0.0), 40, views)
    drawn = clouds.draw(torch.arange(3).repeat(16), _seed(2))
    points = _back(drawn)
    single = points.abs().amin(-1).amin(1) > 0.003
    assert 10 < single.sum() < 38  # others see the whole cloud
    assert torch.equal(drawn.part[single], _part(points[single]))


def _back(drawn) -> torch.Tensor:
    """Return drawn points in the mesh's frame again."""
    points = drawn.points if drawn.turn is None else drawn.points @ drawn.turn
    return points + drawn.centroid.unsqueeze(1)


def test_a_stretch_keeps_the_origin_and_the_order_along_each_axis(data):
    points = ObjectClouds(data, StageConfig(), 80).draw(torch.arange(3), _seed(0)).points
    made = stretched(points, _seed(1))
    ratio = made / points
    assert (ratio > 0.3).all() and (ratio < 3.0).all()
    assert ratio.std(1).max() < 1e-3 and len(ratio[:, 0].unique()) == 9


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
    stage = _stage(data, touch_width=32)
    optimizer, draws = torch.optim.Adam(stage.module.touch.parameters(), 3e-3), _seed(0)
    with torch.no_grad():
        before = stage.evaluate()["touch"]
    for _ in range(40):
        optimizer.zero_grad()
        stage._touch_loss(stage.tasks, stage.batches, draws, 16).backward()
        optimizer.step()
    with torch.no_grad():
        after = stage.evaluate()["touch"]
    assert after < 0.9 * before
