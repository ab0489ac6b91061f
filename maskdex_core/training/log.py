"""The log of a training run: `log.jsonl`, and the same numbers for TensorBoard where that is installed."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

LOG, EVENTS = "log.jsonl", "tensorboard"


class TrainingLog:
    """Lines of numbers by step and kind ("train", "held-out") in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path, self._events = folder / LOG, folder / EVENTS
        self._first_step = 0
        self._writer: SummaryWriter | None = None
        self._opened = False

    def begin(self, step: int = 0) -> None:
        """Drop what was logged after a step; at 0 everything."""
        self.close()
        self._first_step = step + 1
        if step == 0:
            self.path.unlink(missing_ok=True)
            shutil.rmtree(self._events, ignore_errors=True)
        elif self.path.exists():
            kept = [json.dumps(row) + "\n" for row in read_log(self.path) if row["step"] <= step]
            self.path.write_text("".join(kept), encoding="utf-8")

    def write(self, kind: str, step: int, minutes: float, numbers: Mapping[str, float]) -> dict[str, float]:
        """Add a line and return its numbers as they are written, rounded to five digits."""
        rounded = {name: float(f"{value:.5g}") for name, value in numbers.items()}
        line = {"step": step, "minutes": round(minutes, 3), "kind": kind, **rounded}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        writer = self._tensorboard()
        if writer is not None:
            for name, value in rounded.items():
                writer.add_scalar(f"{kind}/{name}", value, step)
            writer.flush()
        return rounded

    def close(self) -> None:
        """Finish the event file; the next line opens another."""
        if self._writer is not None:
            self._writer.close()
        self._writer, self._opened = None, False

    def _tensorboard(self) -> SummaryWriter | None:
        if not self._opened:
            self._opened = True
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                logger.info("no TensorBoard logs, only log.jsonl: `tensorboard` is not installed")
            else:
                # Readers hide what an interrupted run wrote from that step on.
                self._writer = SummaryWriter(str(self._events), purge_step=self._first_step)
        return self._writer


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log; none when there is no log."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
