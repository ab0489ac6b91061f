"""`maskdex train tokenizer` and `maskdex train transformer`, alone or as one of torchrun's processes.

torchrun --nproc-per-node 2 --no-python maskdex train tokenizer --data DIR --out DIR
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, log_to_stderr, output_folder, say
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
        if self.minutes is not None and not (self.minutes > 0 and math.isfinite(self.minutes)):
            raise UsageError(f"--minutes {self.minutes} is out of range; expected a number above 0")
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
