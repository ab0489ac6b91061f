"""Which evaluation of a run was the best, and its weights in `best.safetensors`: early stopping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import nn

from maskdex_core import distributed
from maskdex_core.training.state import BEST, module_state, save_module


class BestState:
    """Keeps the module of the lowest held-out number and counts the evaluations since."""

    def __init__(self, folder: Path, criterion: str, patience: int) -> None:
        """Begin with nothing kept.

        Args:
            folder: of the file.
            criterion: name of the number, lower is better.
            patience: evaluations in a row without a better number that end the run; 0 never ends it.
        """
        self.path, self.criterion, self.patience = folder / BEST, criterion, patience
        self.step, self.stale = 0, 0
        self.numbers: dict[str, float] = {}

    @property
    def exhausted(self) -> bool:
        """Whether the run should end."""
        return 0 < self.patience <= self.stale

    def offer(self, numbers: dict[str, float], module: nn.Module, facts: dict[str, Any]) -> None:
        """Take an evaluation; the first process writes the module when it is the best so far.

        Args:
            numbers: of the evaluation, the criterion among them.
            module: as it was evaluated.
            facts: for the file's header: stage, step and the like.
        """
        if not numbers[self.criterion] < self.numbers.get(self.criterion, math.inf):
            self.stale += 1
            return
        self.step, self.stale, self.numbers = int(facts["step"]), 0, dict(numbers)
        if distributed.is_first():
            save_module(self.path, module, facts | {"criterion": self.criterion})

    def give_back(self, module: nn.Module) -> None:
        """Fill the module with what is kept, if anything is.

        Raises:
            CheckpointError: when the file has been lost or is of another module.
        """
        if self.numbers:
            module.load_state_dict(module_state(self.path))

    def facts(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON can carry it."""
        return {"step": self.step, "stale": self.stale, "numbers": self.numbers}

    def restore(self, facts: dict[str, Any]) -> None:
        """Go on from the facts of a saved run."""
        self.step, self.stale = int(facts["step"]), int(facts["stale"])
        self.numbers = {name: float(value) for name, value in facts["numbers"].items()}
