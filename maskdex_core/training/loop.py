"""One training loop for both stages: AdamW, cosine rate with warm-up, log, early stopping, exact resume.

Under torchrun every process runs it on its own rows of the same batches; gradients are averaged, the first
process writes, and the loss is that of one process (less dropout, which each process draws for itself).
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from maskdex_core import distributed
from maskdex_core.errors import CheckpointError, ConfigError
from maskdex_core.training.best import BestState
from maskdex_core.training.config import StageConfig
from maskdex_core.training.log import TrainingLog
from maskdex_core.training.state import BEST, LAST, load_state, save_state

logger = logging.getLogger(__name__)

LOST_IN_A_ROW = 10  # steps without a finite gradient after which training has diverged


class Stage(Protocol):
    """What the loop trains."""

    @property
    def name(self) -> str:
        """Of the stage; its state file remembers it."""
        ...

    @property
    def module(self) -> nn.Module:
        """What is trained and saved."""
        ...

    @property
    def config(self) -> StageConfig:
        """How it is trained."""
        ...

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the mean loss of this process's rows of one random batch and numbers for the log."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Return numbers on held-out grasps, the same draws every time."""
        ...


class TrainingRun:
    """Steps of one stage in a folder: `state.safetensors`, `best.safetensors`, `log.jsonl` and TensorBoard events."""

    def __init__(
        self,
        stage: Stage,
        folder: str | Path,
        total_steps: int,
        max_minutes: float | None = None,
        best_by: str | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            stage: what is trained.
            folder: of state and log; made if need be, and the same one for all processes.
            total_steps: length of the learning-rate schedule.
            max_minutes: the run also ends after this many minutes, those before a resume counted; the
                learning rate falls with whichever of steps and minutes is further.
            best_by: held-out number, lower is better, by which the best state is kept and the run ends
                early; None trains to the end and keeps the last state.
        """
        self.stage, self.folder = stage, Path(folder)
        self.total_steps, self.max_minutes = total_steps, max_minutes
        self.folder.mkdir(parents=True, exist_ok=True)
        self.step, self.minutes, self._lost = 0, 0.0, 0
        config = stage.config
        self.log = TrainingLog(self.folder)
        self.best = BestState(self.folder, best_by, config.patience) if best_by else None
        self.generator = torch.Generator().manual_seed(config.seed)
        if distributed.rank():  # the weights are there: from here on the global generator draws dropout
            torch.manual_seed(config.seed + distributed.rank())
        trained = [value for value in stage.module.parameters() if value.requires_grad]
        self._trained = trained
        # Decay shapes matrices only; biases, norms and lone vectors keep their scale.
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99))
        self._loss = _shared_loss(stage)

    @property
    def state_path(self) -> Path:
        """File of the saved state."""
        return self.folder / LAST

    @property
    def progress(self) -> float:
        """How far the run is, 0..1, by steps or minutes, whichever is further."""
        by_steps = self.step / self.total_steps
        by_time = self.minutes / self.max_minutes if self.max_minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def finished(self) -> bool:
        """Whether steps, minutes or patience are used up."""
        return self.progress >= 1.0 or (self.best is not None and self.best.exhausted)

    def learning_rate(self) -> float:
        """Return the rate of the next step: linear warm-up, then half a cosine down to the final share."""
        config = self.stage.config
        warmup = min(config.warmup_steps, max(1, self.total_steps // 10))
        rise = min(1.0, (self.step + 1) / warmup)
        fall = 0.5 * (1.0 + math.cos(math.pi * self.progress))
        return config.learning_rate * rise * (config.final_share + (1.0 - config.final_share) * fall)

    def advance(self) -> dict[str, float]:
        """Do one optimisation step and return its numbers, the mean over processes."""
        started = time.perf_counter()
        self.stage.module.train()
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, report = self._loss(self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._trained, self.stage.config.clip_norm)
        self._descend(bool(torch.isfinite(norm)), rate)
        self.step += 1
        # The clock is shared like the other numbers: all processes must agree on when to end.
        numbers = distributed.averaged({**report, "seconds": time.perf_counter() - started})
        self.minutes += numbers.pop("seconds") / 60.0
        return {**numbers, "learning_rate": rate}

    def _descend(self, finite: bool, rate: float) -> None:
        """Take a step, or leave it out when its gradient is no number; one such step would end the weights."""
        self._lost = 0 if finite else self._lost + 1
        if finite:
            self.optimizer.step()
        elif self._lost < LOST_IN_A_ROW:
            logger.warning("%s, step %d: the gradient is not finite; the step is left out", self.stage.name, self.step)
        else:
            raise ConfigError(
                f"{self.stage.name}: {LOST_IN_A_ROW} gradients in a row were not finite at learning rate {rate:.3g}: "
                "resume from the saved state with a smaller learning_rate"
            )

    def evaluate(self) -> dict[str, float]:
        """Evaluate on held-out grasps, log it, and keep the state if it is the best; return the numbers."""
        self.stage.module.eval()
        numbers: dict[str, float] = {}
        if distributed.is_first():
            with torch.no_grad():
                numbers = self.stage.evaluate()
        numbers = distributed.from_first(numbers)
        self._report("held-out", numbers)
        if self.best is not None:
            self.best.offer(numbers, self.stage.module, self._facts())
        return numbers

    def save(self) -> None:
        """Write the state file."""
        facts = self._facts() | ({"best": self.best.facts()} if self.best is not None else {})
        save_state(self.state_path, self.stage.module, self.optimizer, self.generator, facts)

    def restore(self) -> None:
        """Go back to the saved state; log lines after it are dropped.

        Raises:
            CheckpointError: when there is none, or it is of another stage or model.
        """
        facts = load_state(self.state_path, self.stage.module, self.optimizer, self.generator)
        if facts.get("stage") != self.stage.name:
            raise CheckpointError(
                f"{self.state_path}: is of stage {facts.get('stage')!r}, expected {self.stage.name!r}"
            )
        self.step, self.minutes = int(facts["step"]), float(facts["minutes"])
        if self.best is not None and "best" in facts:
            self.best.restore(facts["best"])
        if distributed.is_first():
            self.log.begin(self.step)

    def run(self, resume: bool = False) -> dict[str, float]:
        """Train to the end and leave the stage's module in the kept state; return that state's evaluation.

        Args:
            resume: go on from the saved state if there is one.

        Raises:
            CheckpointError: when the saved state does not fit, or the processes do not share the folder.
            ConfigError: when training has diverged.
        """
        config = self.stage.config
        self._begin(resume)
        numbers: dict[str, float] = {}
        sums, count = dict[str, float](), 0
        hidden = not (distributed.is_first() and sys.stderr.isatty())
        with tqdm(total=self.total_steps, initial=self.step, desc=self.stage.name, disable=hidden) as bar:
            while not self.finished:
                for name, value in self.advance().items():
                    sums[name] = sums.get(name, 0.0) + value
                count += 1
                bar.update(1)
                if self.step % config.log_every == 0:
                    line = {name: value / count for name, value in sums.items()}
                    self._report("train", line)
                    bar.set_postfix(loss=f"{line['loss']:.3f}")
                    sums, count = {}, 0
                if self.step % config.evaluate_every == 0 or self.finished:
                    numbers = self.evaluate()
                if self.step % config.save_every == 0 or self.finished:
                    self.save()
        if self.best is not None and self.best.numbers:
            self.best.give_back(self.stage.module)
            numbers = self.best.numbers
        numbers = numbers or self.evaluate()
        self.log.close()
        return numbers

    def _begin(self, resume: bool) -> None:
        if resume and self.state_path.exists():
            self.restore()
            logger.info("%s: resumed at step %d", self.stage.name, self.step)
        elif distributed.is_first():
            self.log.begin()
            (self.folder / BEST).unlink(missing_ok=True)
        found = distributed.from_all((self.step, self.total_steps))
        if len(set(found)) > 1:
            raise CheckpointError(
                f"{self.folder}: the processes begin at different (step, steps): {found}; data and output folder "
                "must be the same for all"
            )

    def _facts(self) -> dict[str, Any]:
        facts = {"stage": self.stage.name, "step": self.step, "minutes": self.minutes}
        return facts | {"processes": distributed.world()}

    def _report(self, kind: str, numbers: dict[str, float]) -> None:
        if not distributed.is_first():
            return
        rounded = self.log.write(kind, self.step, self.minutes, numbers)
        text = ", ".join(f"{name} {value:.4g}" for name, value in rounded.items())
        logger.info("%s %s, step %d of %d: %s", self.stage.name, kind, self.step, self.total_steps, text)


class _StageLoss(nn.Module):
    """A stage's loss as a module's forward pass, which is where DistributedDataParallel averages gradients."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage, self.module = stage, stage.module

    def forward(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return self.stage.loss(generator)


def _shared_loss(stage: Stage) -> Callable[[torch.Generator], tuple[Tensor, dict[str, float]]]:
    """Return the stage's loss; with several processes its gradients come out averaged over them."""
    if distributed.world() == 1:
        return stage.loss
    # Buffers (codebooks) are the same everywhere by their own sums.
    return DistributedDataParallel(_StageLoss(stage), broadcast_buffers=False)
