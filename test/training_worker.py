"""Trains both stages in one of torchrun's processes, or alone, and writes down what the tests compare.

usage: training_worker.py DATA CONFIG OUT
"""

import json
import sys
from pathlib import Path

import torch
from grasp_model_support import FakeEncoder, shadow, tiny_experiment, tiny_model
from safetensors.torch import save_file

from maskdex_core import distributed
from maskdex_core.cli import main
from maskdex_core.data import GraspDataset
from maskdex_core.errors import MaskdexError
from maskdex_core.training import TrainingRun, train_transformer
from maskdex_core.training.transformer_stage import TransformerStage


def train_both(data: Path, config: Path, out: Path) -> None:
    """Stage 1 by the command line, stage 2 by the library (its texts need no real encoder)."""
    code = main(["train", "tokenizer", "--data", str(data), "--config", str(config), "--out", str(out)])
    assert code == 0
    train_transformer(data, config, out, hand=shadow(), encoder=FakeEncoder())


def _run(data: GraspDataset, folder: Path) -> TrainingRun:
    settings = tiny_experiment().transformer_training
    stage = TransformerStage(tiny_model(), shadow(), settings, data, encoder=FakeEncoder())  # with dropout
    return TrainingRun(stage, folder, total_steps=20)


def _weights(run: TrainingRun) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.stage.module.state_dict().items()}


def interrupt(data: GraspDataset, folder: Path) -> dict[str, torch.Tensor]:
    """Weights after six steps at once, and after three, a restart and three more."""
    through, broken = _run(data, folder / "through"), _run(data, folder / "broken")
    weights = {}
    for run in (through, broken):
        torch.manual_seed(100 + distributed.rank())
        for _ in range(3):
            run.advance()
        run.save()
        if run is broken:
            torch.manual_seed(9)  # another process would have another global state
            run = _run(data, folder / "broken")
            run.restore()
        for _ in range(3):
            run.advance()
        name = "through" if run.folder.name == "through" else "resumed"
        weights |= {f"{name}/{key}": value for key, value in _weights(run).items()}
        weights[f"{name}/dropout"] = torch.get_rng_state()
    return weights


def refusals(data: GraspDataset, folder: Path) -> list[str]:
    """What the processes say when a batch cannot be shared, and when they do not see the same folder."""
    said = []
    try:
        distributed.own_rows(15)
    except MaskdexError as error:
        said.append(str(error))
    run = _run(data, folder / f"apart_{distributed.rank()}")
    run.advance()
    run.save()  # the first process alone has a state now
    try:
        _run(data, run.folder).run(resume=True)
    except MaskdexError as error:
        said.append(str(error))
    return said


if __name__ == "__main__":
    torch.set_num_threads(1)
    data, config, out = map(Path, sys.argv[1:])
    train_both(data, config, out)
    grasps = GraspDataset.load(data)
    save_file(interrupt(grasps, out), out / f"interrupt_{distributed.rank()}.safetensors")
    said = refusals(grasps, out)
    (out / f"refusals_{distributed.rank()}.json").write_text(json.dumps(said))
