"""Two processes under torchrun train as one does: same curves, same weights, exact resume."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from grasp_model_support import shadow, tiny_experiment
from safetensors.torch import load_file
from training_worker import train_both

from maskdex_core import distributed
from maskdex_core.data.files import write_dataset
from maskdex_core.errors import ConfigError
from maskdex_core.training.log import read_log
from maskdex_core.training.random_data import random_dataset
from maskdex_core.training.state import read_state

STAGES = ("tokenizer", "transformer")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of the same training by one process and by two."""
    folder = tmp_path_factory.mktemp("processes")
    data = random_dataset(shadow(), 44, points=100, unseen=4)
    surfaces = {name: {"points": s.points.numpy(), "normals": s.normals.numpy()} for name, s in data.objects.items()}
    write_dataset(folder / "data", dict(data.table), surfaces, {"joint_names": data.joint_names})
    experiment = tiny_experiment(epochs=4, log_every=1, evaluate_every=4, save_every=5)
    model = experiment.model
    model = dataclasses.replace(model, transformer=dataclasses.replace(model.transformer, dropout=0.0))
    content = dataclasses.asdict(dataclasses.replace(experiment, model=model))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    arguments = [folder / "data", folder / "tiny.yaml"]
    train_both(*arguments, folder / "one")
    worker = Path(__file__).with_name("training_worker.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", worker]
    paths = os.pathsep.join([str(worker.parent), str(worker.parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*map(str, command), *map(str, arguments), str(folder / "two")],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("saved in") == 1  # the first process speaks for both
    return folder / "one", folder / "two"


@pytest.mark.parametrize("stage", STAGES)
def test_the_loss_curve_is_that_of_one_process(runs, stage):
    one, two = (read_log(folder / stage / "log.jsonl") for folder in runs)
    assert [(row["step"], row["kind"]) for row in one] == [(row["step"], row["kind"]) for row in two]
    assert sum(row["kind"] == "train" for row in one) == 10 and len(one) == 13
    for alone, shared in zip(one, two, strict=True):
        for name in set(alone) - {"minutes", "kind"}:
            assert shared[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-4), (alone["step"], name)


@pytest.mark.parametrize("stage", STAGES)
def test_weights_and_codebooks_are_those_of_one_process(runs, stage):
    (facts, one), (also, two) = (read_state(folder / stage / "state.safetensors", "module/") for folder in runs)
    assert (facts["processes"], also["processes"]) == (1, 2)
    moved = 0.0
    for name, value in one.items():
        assert torch.allclose(value.float(), two[name].float(), atol=2e-3, rtol=1e-2), name
        moved = max(moved, float(value.float().abs().max()))
    assert moved > 0.1


def test_both_processes_resume_exactly_and_stay_alike(runs):
    first, second = (load_file(runs[1] / f"interrupt_{rank}.safetensors") for rank in range(2))
    for states in (first, second):
        for name in [name for name in states if name.startswith("through/")]:
            assert torch.equal(states[name], states[name.replace("through/", "resumed/")]), name
    weights = [name for name in first if not name.endswith("dropout")]
    assert all(torch.equal(first[name], second[name]) for name in weights)
    assert not torch.equal(first["through/dropout"], second["through/dropout"])


def test_what_cannot_be_shared_is_refused_in_every_process(runs):
    for rank in range(2):
        batch, folder = yaml.safe_load((runs[1] / f"refusals_{rank}.json").read_text())
        assert "batch 15 cannot be shared evenly by 2 processes" in batch
        assert "begin at different (step, steps): [(1, 20), (0, 20)]" in folder


@pytest.mark.parametrize(
    ("device", "said"), [("cuda", "no GPU of its own: there are 0"), ("cuda:1", "'cuda:1' cannot")]
)
def test_a_gpu_that_is_not_there_is_named_before_anything_starts(monkeypatch, device, said):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=said):
        distributed.join(device)
    assert distributed.world() == 1 and distributed.is_first()
