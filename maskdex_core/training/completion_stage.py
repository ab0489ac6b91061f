"""Training of the completion network: stored views of training objects, the true distance as the label.

The surface is fitted by the mean absolute error: where several shapes are possible it settles on the median,
not on a blurred mean. The expected error is fitted beside it (a Laplace likelihood whose gradient does not
reach the surface).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from maskdex_core.errors import DatasetError
from maskdex_core.objects.procedural import FAMILIES
from maskdex_core.perception.completion_network import WEIGHTS, CompletionNetwork, save_completion
from maskdex_core.precision import fast_products
from maskdex_core.training.completion_data import make_views, read_view, view_rows
from maskdex_core.training.completion_report import completion_report
from maskdex_core.training.config import StageConfig
from maskdex_core.training.loop import TrainingRun

log = logging.getLogger(__name__)

HELD_OUT_EVERY = 24  # of the files of training objects: those watch the training, and choose nothing
HELD_OUT_VIEWS = 48
FAR_WEIGHT = 0.15  # of voxels that the rule and the truth both have far from the surface
ERROR_WEIGHT = 0.1
COMPLETION = StageConfig(
    epochs=4, batch=2, learning_rate=8e-4, warmup_steps=100, bfloat16=True, save_every=100, log_every=25,
    evaluate_every=400,
)  # fmt: skip
VIEWS_EACH = 5


class CompletionStage:
    """Loss and evaluation of the completion network on stored views."""

    name = "completion"

    def __init__(self, module: CompletionNetwork, config: StageConfig, files: Sequence[Path]) -> None:
        self.module, self.config = module, config
        watched = files[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        self.rows = view_rows([path for path in files if path not in set(watched)])
        self.held_out = (view_rows(watched) or self.rows)[:HELD_OUT_VIEWS]
        if not self.rows:
            raise DatasetError(f"{len(files)} files hold no training views")

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the mean loss of a batch of random views; views differ in shape, so that they go one by one."""
        total = torch.zeros(())
        report: dict[str, float] = {}
        for _ in range(self.config.batch):
            row = int(torch.randint(len(self.rows), (1,), generator=generator))
            channels, label = read_view(*self.rows[row])
            if torch.rand(1, generator=generator) < 0.5:  # the mirrored scene is as likely
                channels, label = channels.flip(2), label.flip(1)
            part, numbers = self._loss_of(channels, label)
            total = total + part / self.config.batch
            for name, value in numbers.items():
                report[name] = report.get(name, 0.0) + value / self.config.batch
        return total, report

    def evaluate(self) -> dict[str, float]:
        """Return the numbers of the loss on views of objects that training leaves out."""
        sums: dict[str, float] = {}
        for row in self.held_out:
            for name, value in self._loss_of(*read_view(*row))[1].items():
                sums[name] = sums.get(name, 0.0) + value / len(self.held_out)
        return sums

    def _loss_of(self, channels: Tensor, label: Tensor) -> tuple[Tensor, dict[str, float]]:
        with fast_products(channels.device, self.config.bfloat16):
            surface, error = self.module(channels[None])
        surface, error, rule = surface[0], error[0], channels[0]
        near = (label.abs() < 1) | (rule.abs() < 1)
        weight = torch.where(near, 1.0, FAR_WEIGHT)
        off = (surface - label).abs()
        # Beyond the band only the side counts.
        off = torch.where((label.abs() >= 1) & (surface * label >= 1), 0.0, off)
        fit = (weight * off).sum() / weight.sum()
        expected = (weight * (off.detach() / error + error.log())).sum() / weight.sum()
        with torch.no_grad():
            close = label.abs() < 0.75
            numbers = {
                "error": float(off[close].mean()), "rule_error": float((rule - label).abs()[close].mean()),
                "iou": overlap(surface, label), "rule_iou": overlap(rule, label), "fit": float(fit),
            }  # fmt: skip
        loss = fit + ERROR_WEIGHT * expected
        return loss, {"loss": float(loss.detach()), **numbers}


def overlap(first: Tensor, second: Tensor) -> float:
    """Return intersection over union of the insides of two implicit surfaces."""
    a, b = first < 0, second < 0
    return float((a & b).sum() / (a | b).sum().clamp(min=1))


def train_completion(
    out: str | Path,
    meshes: Path | None = None,
    resume: bool = False,
    max_minutes: float | None = None,
    objects: int = 400,
    config: StageConfig = COMPLETION,
    families: tuple[str, ...] = tuple(FAMILIES),
) -> Path:
    """Make the views that are missing, train, and leave state, log and weights in `out`/completion.

    Args:
        out: folder of the run: views, state, log.
        meshes: folder of real meshes with an index; their training split is learned from too.
        resume: go on from the saved state if there is one.
        max_minutes: time limit of the training, the making of views not counted.
        objects: number of procedural objects.
        config: schedule. families: those whose held-out objects are measured at the end.

    Returns:
        The file of weights.

    Raises:
        DatasetError, CheckpointError: on unusable input.
    """
    folder = Path(out) / CompletionStage.name
    files = make_views(Path(out) / "views", objects, VIEWS_EACH, meshes)
    torch.manual_seed(config.seed)
    stage = CompletionStage(CompletionNetwork(), config, files)
    run = TrainingRun(stage, folder, config.total_steps(len(stage.rows)), max_minutes)
    log.info("completion: %d views, %d steps of %d", len(stage.rows), run.total_steps, config.batch)
    run.run(resume)
    report = completion_report(stage.module.eval(), families)
    log.info("completion of unseen objects: %s", ", ".join(f"{name} {value:.3g}" for name, value in report.items()))
    facts = {"views": len(stage.rows), "steps": run.step, **report}
    save_completion(stage.module, folder / WEIGHTS, {name: f"{value:.4g}" for name, value in facts.items()})
    return folder / WEIGHTS
