"""Training of the completion: true labels, views kept on disk, held-out objects kept out, exact resume."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open

from maskdex_core.errors import DatasetError
from maskdex_core.objects.procedural import make_object
from maskdex_core.perception.completion_network import CompletionNetwork, load_completion
from maskdex_core.perception.rendered_view import draw_scene
from maskdex_core.perception.view_grid import BAND, view_voxels
from maskdex_core.training import completion_shapes
from maskdex_core.training.completion_data import banded_distance, make_views, read_view, view_rows
from maskdex_core.training.completion_shapes import drawn_shape
from maskdex_core.training.completion_stage import COMPLETION, CompletionStage, train_completion
from maskdex_core.training.loop import TrainingRun


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    return make_views(folder, objects=2, views=1)


def quick(**changes):
    return dataclasses.replace(COMPLETION, batch=1, **changes)


def test_a_drawn_object_is_solid_rests_on_the_table_and_repeats():
    for index in range(6):
        shape = drawn_shape(index)
        vertices = np.asarray(shape.mesh.vertices)
        assert abs(vertices[:, 2].min()) < 1e-3
        assert 0.02 < np.ptp(vertices, axis=0).max() < 0.45
        inside = shape.distance(np.random.default_rng(0).uniform(vertices.min(0), vertices.max(0), (4000, 3))) < 0
        assert inside.any()
        assert np.array_equal(vertices, np.asarray(drawn_shape(index).mesh.vertices))


def test_no_object_of_a_held_out_split_is_drawn(monkeypatch):
    drawn = []

    def noted(family: str, seed: int):
        drawn.append((family, seed))
        return make_object(family, seed)

    monkeypatch.setattr(completion_shapes, "make_object", noted)
    for index in range(40):
        completion_shapes._of_a_family(np.random.default_rng(index))
    assert len(drawn) == 40
    assert all(completion_shapes.split_of(family, seed) == "train" for family, seed in drawn)


def test_the_label_is_the_true_distance_cut_off_at_the_band():
    shape = drawn_shape(3)
    scene = draw_scene(shape.mesh, np.random.default_rng(0))
    assert scene is not None
    grid = view_voxels(scene).grid
    label = banded_distance(shape.distance, grid)
    truth = shape.distance(grid.centers()).reshape(grid.shape) / (BAND * grid.spacing)
    assert np.allclose(label, np.clip(truth, -1, 1), atol=1e-5)


def test_views_are_made_once(views):
    made = [path.stat().st_mtime_ns for path in views]
    assert make_views(views[0].parent, objects=2, views=1) == views
    assert [path.stat().st_mtime_ns for path in views] == made
    channels, label = read_view(*view_rows(views)[0])
    assert channels.shape[1:] == label.shape and label.abs().max() <= 1


def test_a_damaged_file_of_views_is_named(tmp_path):
    (tmp_path / "shape_00000.safetensors").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="shape_00000"):
        view_rows([tmp_path / "shape_00000.safetensors"])


def test_the_loss_falls_on_a_view_and_a_resumed_run_goes_on_exactly(views, tmp_path):
    def run(folder) -> TrainingRun:
        torch.manual_seed(0)
        stage = CompletionStage(CompletionNetwork(), quick(learning_rate=1e-3, warmup_steps=5), views[:1])
        return TrainingRun(stage, folder, 1000)

    whole = run(tmp_path / "a")
    losses = [whole.advance()["fit"] for _ in range(20)]
    assert np.mean(losses[-3:]) < 0.92 * losses[0]
    first = run(tmp_path / "b")
    for _ in range(2):
        first.advance()
    first.save()
    second = run(tmp_path / "b")
    second.restore()
    assert [second.advance()["fit"] for _ in range(2)] == losses[2:4]


def test_the_whole_run_leaves_weights_that_load(views, tmp_path):
    (tmp_path / "views").symlink_to(views[0].parent)
    path = train_completion(tmp_path, objects=2, config=quick(epochs=1), families=("can",))
    assert load_completion(path).state_dict().keys() == CompletionNetwork().state_dict().keys()
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
    assert facts["objects"] == "1" and 0.5 < float(facts["rule_iou"]) <= 1
    log = (tmp_path / "completion" / "log.jsonl").read_text()
    assert re.search('"kind": "held-out".*"iou"', log)


def test_a_run_without_views_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no training views"):
        CompletionStage(CompletionNetwork(), quick(), [])
