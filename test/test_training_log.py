"""The log of a run: lines, TensorBoard events, and what a restart leaves of them."""

import json
import logging
import sys
import time

import pytest

from maskdex_core.training.log import TrainingLog, read_log


def _written(folder, steps, start=0):
    log = TrainingLog(folder)
    log.begin(start)
    for step in steps:
        log.write("train", step, 0.5 * step, {"loss": 1.0 / step})
    log.close()
    return log


def _events(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator").EventAccumulator
    events = accumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_lines_hold_step_minutes_kind_and_five_digits(tmp_path):
    log = _written(tmp_path, [3])
    assert json.loads(log.path.read_text()) == {"step": 3, "minutes": 1.5, "kind": "train", "loss": 0.33333}
    assert read_log(log.path)[0]["loss"] == 0.33333 and read_log(tmp_path / "none") == []


def test_tensorboard_shows_what_the_lines_say(tmp_path):
    log = TrainingLog(tmp_path)
    log.begin()
    log.write("train", 1, 0.0, {"loss": 2.0, "nll": 1.5})
    log.write("held-out", 1, 0.0, {"loss": 3.0})
    log.close()
    assert _events(tmp_path) == {"train/loss": [(1, 2.0)], "train/nll": [(1, 1.5)], "held-out/loss": [(1, 3.0)]}


def test_a_restart_drops_what_came_after_the_saved_step(tmp_path):
    _written(tmp_path, [1, 2, 3, 4])
    time.sleep(1.1)  # event files are ordered by the second in their name
    _written(tmp_path, [3], start=2)
    assert [row["step"] for row in read_log(tmp_path / "log.jsonl")] == [1, 2, 3]
    assert [step for step, _ in _events(tmp_path)["train/loss"]] == [1, 2, 3]
    _written(tmp_path, [7])  # a new run begins anew
    assert [row["step"] for row in read_log(tmp_path / "log.jsonl")] == [7]
    assert [step for step, _ in _events(tmp_path)["train/loss"]] == [7]


def test_without_tensorboard_the_lines_are_there_and_it_is_said_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.INFO):
        _written(tmp_path, [1, 2])
    assert len(read_log(tmp_path / "log.jsonl")) == 2 and not (tmp_path / "tensorboard").exists()
    assert [record.message for record in caplog.records] == [
        "no TensorBoard logs, only log.jsonl: `tensorboard` is not installed"
    ]
