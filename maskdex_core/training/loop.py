"""One training loop for both stages: AdamW, cosine rate with warm-up, log, exact resume."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from maskdex_core.errors import CheckpointError
from maskdex_core.training.config import StageConfig
from maskdex_core.training.state import load_state, save_state

logger = logging.getLogger(__name__)


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
        """Return the loss of one random batch and numbers for the log."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Return numbers on held-out grasps, the same draws every time."""
        ...


class TrainingRun:
    """Steps of one stage, its state file `state.safetensors` and its log `log.jsonl` in a folder."""

    def __init__(self, stage: Stage, folder: str | Path, total_steps: int, max_minutes: float | None = None) -> None:
        """Prepare a run.

        Args:
            stage: what is trained.
            folder: of state and log; made if need be.
            total_steps: length of the learning-rate schedule.
            max_minutes: the run also ends after this many minutes, those before a resume counted; the
                learning rate falls with whichever of steps and minutes is further.
        """
        self.stage, self.folder = stage, Path(folder)
        self.total_steps, self.max_minutes = total_steps, max_minutes
        self.folder.mkdir(parents=True, exist_ok=True)
        self.step, self.minutes = 0, 0.0
        config = stage.config
        self.generator = torch.Generator().manual_seed(config.seed)
        trained = [value for value in stage.module.parameters() if value.requires_grad]
        self._trained = trained
        # Decay shapes matrices only; biases, norms and lone vectors keep their scale.
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99))

    @property
    def state_path(self) -> Path:
        """File of the saved state."""
        return self.folder / "state.safetensors"

    @property
    def log_path(self) -> Path:
        """File of the log, one JSON object a line."""
        return self.folder / "log.jsonl"

    @property
    def progress(self) -> float:
        """How far the run is, 0..1, by steps or minutes, whichever is further."""
        by_steps = self.step / self.total_steps
        by_time = self.minutes / self.max_minutes if self.max_minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def learning_rate(self) -> float:
        """Return the rate of the next step: linear warm-up, then half a cosine down to the final share."""
        config = self.stage.config
        warmup = min(config.warmup_steps, max(1, self.total_steps // 10))
        rise = min(1.0, (self.step + 1) / warmup)
        fall = 0.5 * (1.0 + math.cos(math.pi * self.progress))
        return config.learning_rate * rise * (config.final_share + (1.0 - config.final_share) * fall)

    def advance(self) -> dict[str, float]:
        """Do one optimisation step and return its numbers."""
        started = time.perf_counter()
        self.stage.module.train()
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, report = self.stage.loss(self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._trained, self.stage.config.clip_norm)
        self.optimizer.step()
        self.step += 1
        self.minutes += (time.perf_counter() - started) / 60.0
        return {**report, "learning_rate": rate}

    def save(self) -> None:
        """Write the state file."""
        facts = {"stage": self.stage.name, "step": self.step, "minutes": self.minutes}
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
        if self.log_path.exists():
            lines = self.log_path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if json.loads(line)["step"] <= self.step]
            self.log_path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def run(self, resume: bool = False) -> dict[str, float]:
        """Train to the end, with log, saved states and progress; return the last evaluation.

        Args:
            resume: go on from the saved state if there is one.
        """
        config = self.stage.config
        if resume and self.state_path.exists():
            self.restore()
            logger.info("%s: resumed at step %d", self.stage.name, self.step)
        elif self.log_path.exists():
            self.log_path.unlink()
        sums: dict[str, float] = {}
        count = 0
        bar = tqdm(total=self.total_steps, initial=self.step, desc=self.stage.name, disable=not sys.stderr.isatty())
        with bar:
            while self.progress < 1.0:
                for name, value in self.advance().items():
                    sums[name] = sums.get(name, 0.0) + value
                count += 1
                bar.update(1)
                if self.step % config.log_every == 0:
                    line = {name: value / count for name, value in sums.items()}
                    self._log("train", line)
                    bar.set_postfix(loss=f"{line['loss']:.3f}")
                    sums, count = {}, 0
                if self.step % config.evaluate_every == 0 and self.progress < 1.0:
                    self._evaluate()
                if self.step % config.save_every == 0:
                    self.save()
        result = self._evaluate()
        self.save()
        return result

    def _evaluate(self) -> dict[str, float]:
        self.stage.module.eval()
        with torch.no_grad():
            result = self.stage.evaluate()
        self._log("held-out", result)
        return result

    def _log(self, kind: str, numbers: dict[str, float]) -> None:
        line = {"step": self.step, "minutes": round(self.minutes, 3), "kind": kind}
        rounded = {name: float(f"{value:.5g}") for name, value in numbers.items()}
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, **rounded}) + "\n")
        text = ", ".join(f"{name} {value:.4g}" for name, value in rounded.items())
        logger.info("%s %s, step %d of %d: %s", self.stage.name, kind, self.step, self.total_steps, text)
