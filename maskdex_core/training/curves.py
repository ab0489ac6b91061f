"""The curves of finished stages: what their logs and states tell, and a picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskdex_core.training.log import LOG, read_log
from maskdex_core.training.state import kept_state, read_header

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = "curves.png"


MARKERS = ".x+v^s"


@dataclass(frozen=True)
class StageCurves:
    """One stage's log and which of its states is kept."""

    stage: str
    train: list[dict[str, Any]]
    """Rows of the log, by step: means since the row before."""
    held_out: list[dict[str, Any]]
    """Rows of the log, by step: evaluations."""
    kept_step: int
    criterion: str
    """Held-out number that chose the kept state; empty when it is the last one."""
    processes: int

    def train_loss(self, step: int) -> float | None:
        """Return the last training loss that was logged up to a step."""
        losses = [row["loss"] for row in self.train if row["step"] <= step]
        return losses[-1] if losses else None


def read_curves(folder: Path) -> StageCurves:
    """Read a stage's folder.

    Raises:
        CheckpointError: when it holds no readable state.
    """
    facts, rows = read_header(kept_state(folder)), read_log(folder / LOG)
    train = [row for row in rows if row["kind"] == "train"]
    held_out = [row for row in rows if row["kind"] == "held-out"]
    return StageCurves(
        stage=folder.name,
        train=train,
        held_out=held_out,
        kept_step=int(facts["step"]),
        criterion=str(facts.get("criterion", "")),
        processes=int(facts.get("processes", 1)),
    )


def draw_curves(stages: list[Path], path: Path) -> None:
    """Draw the loss of each stage by step: training, held-out, and the kept step.

    Args:
        stages: folder of each stage, with its states and log.
        path: PNG to write.
    """
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    figure = Figure(figsize=(6.5 * len(stages), 3.4), layout="constrained")
    for place, folder in enumerate(stages):
        _draw_stage(figure.add_subplot(1, len(stages), place + 1), read_curves(folder))
    figure.savefig(path, dpi=110)


def _draw_stage(axes: Axes, curves: StageCurves) -> None:
    axes.plot([row["step"] for row in curves.train], [row["loss"] for row in curves.train], lw=0.8, label="train loss")
    for place, name in enumerate(_likelihoods(curves)):
        rows = [row for row in curves.held_out if name in row]
        steps, values = [row["step"] for row in rows], [row[name] for row in rows]
        axes.plot(steps, values, marker=MARKERS[place % len(MARKERS)], ms=4, label=f"held-out {name}")
    axes.axvline(curves.kept_step, color="0.6", ls=":", label="kept")
    axes.set(title=curves.stage, xlabel="step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))  # beside, where no curve runs


def _likelihoods(curves: StageCurves) -> list[str]:
    """Return the held-out numbers that share the loss's scale."""
    names = {name for row in curves.held_out for name in row}
    return sorted(name for name in names if name == "loss" or name.startswith("nll"))
