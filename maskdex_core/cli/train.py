"""`maskdex train tokenizer`, `transformer`, `judge`, `completion` and `baseline`.

The first two also run as one of torchrun's processes:
torchrun --nproc-per-node 2 --no-python maskdex train tokenizer --data DIR --out DIR
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, check_minutes, log_to_stderr, output_folder, say
from maskdex_core.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stage(TorchCommand):
    data: Annotated[Path, arg(metavar="DIR")]
    """Dataset folder."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder of the whole experiment, the same for both stages."""
    config: str = "small"
    """Sizes and schedules: paper, small, or a YAML file."""
    minutes: Annotated[float | None, arg(metavar="M")] = None
    """Time limit of the stage, earlier runs of a resume counted."""
    resume: bool = False
    """Go on from the saved state, exactly, if there is one."""
    device: str = "cpu"
    """Where to train: cpu or cuda; under torchrun cuda is each process's own GPU."""

    def _prepare(self) -> Callable[[str], None]:
        """Check the options, join the other processes, and return what tells the person: the first one does."""
        check_minutes(self.minutes)
        self.set_threads()
        from maskdex_core import distributed
        from maskdex_core.data.dataset import GraspDataset
        from maskdex_core.training.config import load_experiment

        load_experiment(self.config)
        if not self.data.is_dir():
            GraspDataset.load(self.data)  # names what is missing
        output_folder(self.out)
        distributed.join(self.device)
        self._check_device()
        if not distributed.is_first():
            return lambda line: None
        log_to_stderr()
        return say

    def _check_device(self) -> None:
        import torch

        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"--device {self.device!r} cannot be used ({reason[:120]})") from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokenizer(_Stage):
    """Stage 1: one token a part rebuilds a grasp. Leaves state and log in OUT/tokenizer."""

    def run(self) -> int:
        """Train stage 1."""
        tell = self._prepare()
        from maskdex_core.training import train_tokenizer

        folder = train_tokenizer(self.data, self.config, self.out, self.resume, self.minutes, self.device)
        tell(f"saved in {folder}")
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transformer(_Stage):
    """Stage 2, after stage 1: tokens from object and text. Leaves the checkpoint in OUT/model."""

    def run(self) -> int:
        """Train stage 2."""
        tell = self._prepare()
        from maskdex_core.training import train_transformer

        folder = train_transformer(self.data, self.config, self.out, self.resume, self.minutes, self.device)
        tell(f"checkpoint in {folder}")
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge(TorchCommand):
    """After both stages: what tells grasps that hold, from tests in simulation. Leaves OUT/hold_judge.safetensors."""

    data: Annotated[Path, arg(metavar="DIR")]
    """Dataset folder; the training split's procedural objects are grasped."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder of the experiment."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Grasp model; the shipped one by default."""
    objects: Annotated[int, arg(metavar="N")] = 235
    """Objects, each shown whole and from two sides."""
    samples: Annotated[int, arg(metavar="K")] = 8
    """Grasps a draw: the network's, and its fingers on palms laid where the text wants them."""

    def run(self) -> int:
        """Grasp, test, fit."""
        for option, value in (("objects", self.objects), ("samples", self.samples)):
            if value < 1:
                raise UsageError(f"--{option} {value} is below 1")
        self.set_threads()
        output_folder(self.out)
        log_to_stderr()
        from maskdex_core.data.dataset import GraspDataset
        from maskdex_core.grasp.model import GraspModel
        from maskdex_core.training.judge_stage import train_judge

        model, data = GraspModel.load(self.checkpoint), GraspDataset.load(self.data)
        path = self.out / "hold_judge.safetensors"
        for name, value in train_judge(model, data, path, self.objects, self.samples).items():
            say(f"{name} {value:.3f}")
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion(TorchCommand):
    """The unseen side: distance field from one view. Leaves views, state, log and weights in OUT."""

    out: Annotated[Path, arg(metavar="DIR")]
    """Folder of the run; views already there are used again."""
    meshes: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of real meshes with an index.json; its training split is learned from too."""
    objects: Annotated[int, arg(metavar="N")] = 400
    """Procedural objects to make views of."""
    minutes: Annotated[float | None, arg(metavar="M")] = None
    """Time limit of the training, the making of views not counted."""
    resume: bool = False
    """Go on from the saved state, exactly, if there is one."""

    def run(self) -> int:
        """Make views and train on them."""
        check_minutes(self.minutes)
        if self.objects < 1:
            raise UsageError(f"--objects {self.objects} is below 1")
        self.set_threads()
        output_folder(self.out)
        log_to_stderr()
        from maskdex_core.training.completion_stage import train_completion

        say(f"weights in {train_completion(self.out, self.meshes, self.resume, self.minutes, self.objects)}")
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline(_Stage):
    """Another way to propose grasps, of the transformer's size and schedule. Leaves the checkpoint in OUT/model."""

    kind: str = "flow"
    """retrieval (nearest objects and texts), cvae (conditional VAE) or flow (conditional flow matching)."""

    def run(self) -> int:
        """Train or store it."""
        from maskdex_core.baselines.kinds import check_kind, train_baseline
        from maskdex_core.training.config import load_experiment

        check_kind(self.kind)
        tell = self._prepare()
        experiment = load_experiment(self.config)
        folder = train_baseline(self.kind, self.data, experiment, self.out, self.resume, self.minutes, self.device)
        tell(f"checkpoint in {folder}")
        return 0
