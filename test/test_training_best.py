"""Early stopping: the best held-out state is kept, patience ends a run, and a restart changes nothing."""

import pytest
import torch
from grasp_model_support import FakeEncoder, shadow, tiny_experiment
from safetensors.torch import load_file
from torch import nn

from maskdex_core.errors import ConfigError
from maskdex_core.grasp import GraspModel
from maskdex_core.training import StageConfig, TrainingRun, train_tokenizer, train_transformer
from maskdex_core.training.log import read_log
from maskdex_core.training.random_data import random_dataset
from maskdex_core.training.state import kept_state, module_state, read_header


class ScriptedStage:
    """One weight that is pulled to 1, and held-out numbers as given, an evaluation each."""

    name = "scripted"

    def __init__(self, held_out, **settings):
        torch.manual_seed(0)
        self.module = nn.Linear(1, 1, bias=False)
        self.held_out = held_out
        self.config = StageConfig(**({"evaluate_every": 1, "save_every": 1, "log_every": 1, "patience": 3} | settings))
        self.step = 0

    def loss(self, generator):
        self.step += 1
        loss = (self.module.weight - 1.0).square().sum()
        return loss, {"loss": float(loss.detach())}

    def evaluate(self):
        return {"error": self.held_out[self.step - 1], "other": 0.0}


def _run(stage, folder, steps=20, best_by="error"):
    return TrainingRun(stage, folder, steps, best_by=best_by)


def _weight_at(step, tmp_path, steps=20):
    run = _run(ScriptedStage([1.0] * 20), tmp_path / "reference", steps, best_by=None)
    for _ in range(step):
        run.advance()
    return run.stage.module.weight.detach().clone()


NUMBERS = [5.0, 3.0, 4.0, 2.0, 2.0, 2.5, float("nan"), 0.0]


def test_patience_ends_a_run_and_the_best_state_is_left(tmp_path):
    run = _run(ScriptedStage(NUMBERS), tmp_path / "run")
    numbers = run.run()
    # An equal number is no better, nor is one that is none: three in a row after step 4.
    assert run.step == 7 and numbers == {"error": 2.0, "other": 0.0}
    best = module_state(tmp_path / "run" / "best.safetensors")["weight"]
    assert torch.equal(best, _weight_at(4, tmp_path)) and torch.equal(run.stage.module.weight, best)
    assert torch.equal(module_state(run.state_path)["weight"], _weight_at(7, tmp_path))
    header = read_header(kept_state(tmp_path / "run"))
    assert (header["step"], header["criterion"]) == (4, "error")


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_a_restart_ends_where_the_whole_run_ends(tmp_path, stop):
    whole = _run(ScriptedStage(NUMBERS), tmp_path / "whole")
    whole.run()
    broken = _run(ScriptedStage(NUMBERS[:stop]), tmp_path / "broken")
    with pytest.raises(IndexError):  # the numbers end: as good as a lost machine
        broken.run()
    stage = ScriptedStage(NUMBERS)
    stage.step = stop
    again = _run(stage, tmp_path / "broken")
    assert again.run(resume=True) == {"error": 2.0, "other": 0.0}
    assert again.step == whole.step == 7 and again.best.step == 4
    assert torch.equal(again.stage.module.weight, whole.stage.module.weight)
    finished = _run(ScriptedStage(NUMBERS), tmp_path / "broken")
    assert finished.run(resume=True)["error"] == 2.0 and finished.step == 7
    assert torch.equal(finished.stage.module.weight, whole.stage.module.weight)


def test_without_patience_or_criterion_a_run_goes_to_its_end(tmp_path):
    rising = [float(step) for step in range(1, 9)]
    patient = _run(ScriptedStage(rising, patience=0), tmp_path / "patient", steps=8)
    assert patient.run()["error"] == 1.0 and patient.step == 8
    assert torch.equal(patient.stage.module.weight, _weight_at(1, tmp_path, 8))
    # A new run into the same folder that keeps the last state must not leave the other's best.
    last = _run(ScriptedStage(rising), tmp_path / "patient", steps=8, best_by=None)
    assert last.run()["error"] == 8.0 and kept_state(tmp_path / "patient") == last.state_path
    with pytest.raises(ConfigError, match="patience -1 is below 0"):
        StageConfig(patience=-1)


def test_both_stages_stop_on_unseen_objects_and_hand_on_the_best(tmp_path):
    """A rate far too high makes every later evaluation worse than an early one."""
    data = random_dataset(shadow(), 44, points=100, unseen=4)
    experiment = tiny_experiment(epochs=40, evaluate_every=2, patience=2, warmup_steps=1, learning_rate=0.5)
    train_tokenizer(data, experiment, tmp_path, hand=shadow())
    folder = train_transformer(data, experiment, tmp_path, hand=shadow(), encoder=FakeEncoder(), dtype=torch.float32)
    for stage, criterion in (("tokenizer", "loss"), ("transformer", "nll")):
        rows = [row for row in read_log(tmp_path / stage / "log.jsonl") if row["kind"] == "held-out"]
        best = min(range(len(rows)), key=lambda index: rows[index][criterion])
        assert len(rows) == best + 3 and rows[-1]["step"] < 100, (stage, rows)
        assert read_header(tmp_path / stage / "best.safetensors")["step"] == rows[best]["step"]
    weights = load_file(folder / "model.safetensors")
    kept = module_state(tmp_path / "tokenizer" / "best.safetensors")
    assert torch.equal(weights["tokenizer.quantizer.stages.0.codebook"], kept["quantizer.stages.0.codebook"])
    kept = module_state(tmp_path / "transformer" / "best.safetensors")
    assert torch.equal(weights["network.transformer.head_weight"], kept["transformer.head_weight"])
    assert GraspModel.load(folder).info["seeds"] == {"tokenizer": 0, "transformer": 0}
