"""`maskdex evaluate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, check_seed, print_json, say
from maskdex_core.cli.evaluate_lift import LiftOptions, evaluate_lift
from maskdex_core.errors import UsageError

DEFAULT_OBJECTS, MAX_OBJECTS = 20, 10_000
MAX_SAMPLES = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(TorchCommand):
    """FC6 on objects of a split: raw, refined, top-ranked, and without the network. Full clouds.

    With --lift: the whole path instead, from a rendered cloud to an object held in the air."""

    data: Annotated[Path, arg(metavar="DIR")] = Path("data/shadow")
    """Dataset whose procedural objects are grasped."""
    split: str = "unseen_instance"
    """Split of the dataset."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Grasp model; the shipped one by default."""
    samples: int = 16
    """Grasps an object and text."""
    limit: int | None = None
    """Objects; 20 by default, and all of --objects."""
    seed: int = 0
    """Of objects, texts and samples."""
    json: bool = False
    """Print JSON."""
    lift: bool = False
    """Plan, move and lift in a simulated world, on objects of the unseen splits or of --objects."""
    objects: Annotated[Path | None, arg(metavar="DIR")] = None
    """With --lift: folder of meshes with an index.json."""
    hand: str = "freedom_v2"
    """With --lift: target hand."""
    out: Annotated[Path | None, arg(metavar="FILE.json")] = None
    """With --lift: where the trials go."""

    def run(self) -> int:
        """Grasp every object once, test in physics, print rates."""
        check_seed(self.seed)
        limit = DEFAULT_OBJECTS if self.limit is None else self.limit
        for option, value, most in (("limit", limit, MAX_OBJECTS), ("samples", self.samples, MAX_SAMPLES)):
            if not 1 <= value <= most:
                raise UsageError(f"--{option} {value} is out of range; expected 1 to {most}")
        self.set_threads()
        if self.lift:
            most = self.limit if self.objects else limit
            return evaluate_lift(
                LiftOptions(
                    self.data, self.objects, self.hand, self.checkpoint, self.samples, most, self.seed, self.out,
                    self.json,
                )
            )  # fmt: skip
        if self.objects is not None or self.out is not None:
            raise UsageError("--objects and --out go with --lift")
        from maskdex_core.data.dataset import GraspDataset
        from maskdex_core.grasp.model import GraspModel
        from maskdex_core.metrics.success import evaluate_success, summary

        data, model = GraspDataset.load(self.data), GraspModel.load(self.checkpoint)
        outcomes = []
        for outcome in evaluate_success(model, data, self.split, self.samples, limit, self.seed):
            outcomes.append(outcome)
            say(f"{outcome.name}: “{outcome.text}” {'held' if outcome.top1 else 'lost'}")
        rates = summary(outcomes)
        if self.json:
            content = {name: dataclasses.asdict(rate) for name, rate in rates.items()}
            print_json({"split": self.split, "protocol": "FC6, full cloud", "samples": self.samples, **content})
            return 0
        for name, rate in rates.items():
            print(f"{name:28s} {rate}")
        return 0
