"""Grasps that hold, through tokens and refinement: of a tokenizer that keeps all, and of one that keeps little."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli_support import fails, run
from grasp_model_support import PALM_FRAME, tiny_model
from held_grasps import write_held

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.metrics.subjects import split_subjects
from maskdex_core.metrics.token_grasps import TokenTrial, by_tip_error, token_summary, token_trials

pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")


class Perfect:
    """A tokenizer whose tokens are the grasp."""

    def tokenize(self, hand, joints, palm):
        return SimpleNamespace(joints=joints, palm=palm)

    def decode(self, tokens):
        return tokens


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> Path:
    return write_held(tmp_path_factory.mktemp("held") / "data")


def test_what_tokens_keep_is_all_that_tells_decoded_from_stored(held: Path):
    data = GraspDataset.load(held)
    subjects = split_subjects(data, "unseen")
    kept = list(token_trials(Perfect(), data, subjects, 4, None, 0))
    assert len(kept) == 2
    for trial in kept:
        assert trial.tip_mm.tolist() == [0.0] and trial.stored.tolist() == [True]
        assert trial.decoded_refined.tolist() == trial.stored_refined.tolist()
    lost = token_summary(list(token_trials(tiny_model(tokenizer=PALM_FRAME).tokenizer, data, subjects, 4, None, 0)))
    assert lost["stored"].mean == 1.0 and lost["tips_mm"].mean > 20.0 and lost["decoded"].mean == 0.0
    assert lost["stored_refined"].mean == token_summary(kept)["stored_refined"].mean


def _trial(name: str, tip_mm: list[float], held_as: dict[str, list[bool]]) -> TokenTrial:
    fields = {key: np.array(values) for key, values in held_as.items()}
    return TokenTrial(name, np.array(tip_mm), **fields)


def test_rates_count_grasps_and_groups_go_by_tip_error():
    yes, no, first, second = ([a, b] for a, b in ((True, True), (False, False), (True, False), (False, True)))
    trials = [
        _trial("a", [4.0, 1.0], dict(stored=yes, stored_refined=yes, decoded=second, decoded_refined=yes)),
        _trial("b", [9.0, 2.0], dict(stored=first, stored_refined=second, decoded=no, decoded_refined=second)),
    ]
    table = token_summary(trials)
    assert table["tips_mm"].mean == 4.0 and table["stored"].mean == 0.75 == table["stored_refined"].mean
    assert table["stays_valid"].mean == pytest.approx(2 / 3) and table["stays_valid"].grasps == 3
    near, far = by_tip_error(trials, groups=2)
    assert (near["tips_mm"], near["decoded"], near["decoded_refined"]) == ([1.0, 2.0], 0.5, 1.0)
    assert (far["tips_mm"], far["decoded"], far["decoded_refined"]) == ([4.0, 9.0], 0.0, 0.5)
    assert len(by_tip_error(trials, groups=40)) == 4


def test_the_command_tests_unseen_grasps_of_the_dataset(held: Path, tmp_path: Path):
    tiny_model(tokenizer=PALM_FRAME).save(tmp_path / "model")
    out = tmp_path / "tokens.json"
    ended = run(
        "evaluate", "--tokens", "--data", held, "--limit", "1", "--checkpoint", tmp_path / "model", "--out", out
    )
    assert ended.code == 0, ended.err
    content = json.loads(out.read_text())
    assert content["objects"] == "unseen" and "mug" not in ended.err
    assert content["stored"]["mean"] == 1.0 and content["stored"]["grasps"] == content["stored"]["objects"] == 1
    assert ended.out.splitlines()[0].startswith("tips_mm") and "refined" in ended.out.splitlines()[-1]


def test_what_does_not_fit_is_refused():
    fails(run("evaluate", "--tokens", "--meaning"), 2, "--meaning and --tokens are 2 evaluations")
    fails(run("evaluate", "--tokens", "--texts", "2"), 2, "--texts 2", "--tokens")
    fails(run("evaluate", "--tokens", "--split", "fresh"), 2, "--split fresh", "--tokens")
