"""Which baselines there are, and how a folder says what it holds."""

from __future__ import annotations

import json

import pytest
import torch
from cli_support import fails, run
from grasp_model_support import tiny_model

from maskdex_core.baselines.files import CONFIG, Stored, write_baseline
from maskdex_core.baselines.kinds import load_sampler
from maskdex_core.errors import CheckpointError
from maskdex_core.grasp.model import GraspModel


def test_a_grasp_model_is_a_sampler_too(tmp_path):
    tiny_model().save(tmp_path)
    assert isinstance(load_sampler(tmp_path), GraspModel)


def test_a_folder_that_is_neither_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        load_sampler(tmp_path / "nowhere")


def test_an_unknown_kind_or_version_is_named(tmp_path):
    write_baseline(tmp_path, Stored("oracle", {}, {}, {"x": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match="'oracle' is unknown; known: cvae, flow, retrieval"):
        load_sampler(tmp_path)
    content = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(content | {"version": 9}))
    with pytest.raises(CheckpointError, match="version 9"):
        load_sampler(tmp_path)


def test_the_command_names_the_kinds(tmp_path):
    ended = run("train", "baseline", "--kind", "oracle", "--data", tmp_path, "--out", tmp_path / "out")
    fails(ended, 2, "oracle", "cvae, flow, retrieval")
    assert not (tmp_path / "out").exists()
    missing = run("train", "baseline", "--kind", "flow", "--data", tmp_path / "gone", "--out", tmp_path / "out")
    fails(missing, 3, "gone")
