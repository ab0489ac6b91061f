"""`maskdex bench`: what each stage costs on this machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, print_json, say
from maskdex_core.errors import UsageError

if TYPE_CHECKING:
    from maskdex_core.benchmark import StageTime

MAX_BATCH = 256
MAX_CALLS = 100_000
NOTE = "paper: the paper's sizes with random weights; its grasps mean nothing, its times do"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench(TorchCommand):
    """Time every stage: medians and 95th percentiles after warm-up."""

    batch: Annotated[tuple[int, ...], arg(metavar="K ...")] = (1, 16)
    """Grasps in a batch."""
    calls: int = 50
    """Calls of each stage."""
    model: Literal["shipped", "paper", "both"] = "both"
    """The checkpoint, the paper's sizes with random weights, or both."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the grasp model; the shipped one by default."""
    hand: str = "freedom_v2"
    """Target hand of the whole path."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Measure and print."""
        for batch in self.batch or (0,):
            if not 1 <= batch <= MAX_BATCH:
                raise UsageError(f"--batch {batch} is out of range; expected 1 to {MAX_BATCH}")
        if not 1 <= self.calls <= MAX_CALLS:
            raise UsageError(f"--calls {self.calls} is out of range; expected 1 to {MAX_CALLS}")
        self.set_threads()
        from maskdex_core.benchmark import machine, table

        sizes: dict[str, dict[str, int]] = {}
        rows = self._rows(sizes)
        facts = machine()
        if self.json:
            stages = [dataclasses.asdict(row) for row in rows]
            print_json({**facts, "note": NOTE, "parameters": sizes, "stages": stages})
            return 0
        print(table(rows))
        for name, counts in sizes.items():
            parts = ", ".join(f"{part} {count / 1e6:.2f}" for part, count in counts.items() if part != "total")
            print(f"{name}: {counts['total'] / 1e6:.2f} M parameters and codes ({parts})")
        print(f"{facts['threads']} thread(s), {facts['processor']}, torch {facts['torch']}, {facts['dtype']}")
        if self.model != "shipped":
            print(NOTE)
        return 0

    def _rows(self, sizes: dict[str, dict[str, int]]) -> list[StageTime]:
        """Return the measurements; put each model's parameter counts into `sizes`."""
        from maskdex_core.benchmark import paper_model, time_network, time_text
        from maskdex_core.grasp.model import GraspModel

        rows: list[StageTime] = []
        makers = {"shipped": lambda: GraspModel.load(self.checkpoint), "paper": paper_model}
        for name, make in makers.items():
            if self.model not in (name, "both"):
                continue
            say(f"{name}: load")
            model = make()
            sizes[name] = model.parameter_counts()
            say(f"{name}: text")
            rows.append(time_text(name, model, self.calls))
            for batch in self.batch:
                say(f"{name}: network, batch {batch}")
                rows += time_network(name, model, batch, self.calls)
            if name == "shipped":
                rows += self._path()
        return rows

    def _path(self) -> list[StageTime]:
        from maskdex_core.benchmark import time_path
        from maskdex_core.cli.replay import DEMO_BAG
        from maskdex_core.perception.files import load_cloud
        from maskdex_core.planner import PlannerConfig
        from maskdex_core.resources import resource_path

        cloud = load_cloud(resource_path(DEMO_BAG))
        checkpoint = None if self.checkpoint is None else str(self.checkpoint)
        config = PlannerConfig(hand=self.hand, checkpoint=checkpoint)
        rows: list[StageTime] = []
        for batch in self.batch:
            say(f"shipped: {self.calls} whole plans, batch {batch}")
            rows += time_path(cloud, cloud.text or "hold the object", batch, self.calls, config)
        return rows
