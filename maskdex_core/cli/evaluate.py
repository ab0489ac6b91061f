"""`maskdex evaluate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, check_seed
from maskdex_core.cli.evaluate_grasps import GraspOptions, evaluate_grasps
from maskdex_core.cli.evaluate_lift import LiftOptions, evaluate_lift
from maskdex_core.cli.evaluate_meaning import evaluate_meaning
from maskdex_core.errors import UsageError, unknown_choice

DEFAULT_OBJECTS, MAX_OBJECTS = 20, 10_000
MAX_SAMPLES, MAX_TEXTS = 256, 11
OBSERVATIONS = ("full", "noisy", "view")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(TorchCommand):
    """Grasps on objects of a split or a folder: raw, refined, top-ranked, and without the network.

    With --meaning: whether grasps follow the words, edits stay local and tokens keep a grasp.
    With --lift: the whole path, from a rendered cloud to an object held in the air."""

    data: Annotated[Path, arg(metavar="DIR")] = Path("data/shadow")
    """Dataset whose procedural objects are grasped."""
    split: str = "unseen_instance"
    """Split of the dataset, or "fresh": new procedural objects of all families, which need no dataset."""
    observation: str = "full"
    """What is shown of an object: full, noisy (both all round), or view (one noisy depth image)."""
    texts: int = 1
    """Requests an object."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Grasp model or baseline; the shipped model by default."""
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
    meaning: bool = False
    """Exchange texts and edit fingers on objects with two tasks that name different parts."""
    objects: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of meshes with an index.json, instead of the split."""
    hand: str = "freedom_v2"
    """With --lift: target hand."""
    out: Annotated[Path | None, arg(metavar="FILE.json")] = None
    """Where the table and the trials go."""

    def _bounds(self, limit: int) -> tuple[tuple[str, int, int], ...]:
        return ("limit", limit, MAX_OBJECTS), ("samples", self.samples, MAX_SAMPLES), ("texts", self.texts, MAX_TEXTS)

    def run(self) -> int:
        """Grasp every object once, test in physics, print rates."""
        check_seed(self.seed)
        if self.observation not in OBSERVATIONS:
            raise UsageError(unknown_choice("--observation", self.observation, OBSERVATIONS))
        limit = self.limit if self.objects or self.limit is not None else DEFAULT_OBJECTS
        for option, value, most in self._bounds(1 if limit is None else limit):
            if not 1 <= value <= most:
                raise UsageError(f"--{option} {value} is out of range; expected 1 to {most}")
        if self.lift and self.meaning:
            raise UsageError("--lift and --meaning are two evaluations; choose one")
        self.set_threads()
        if self.lift:
            return evaluate_lift(
                LiftOptions(
                    self.data, self.objects, self.hand, self.checkpoint, self.samples, limit, self.seed, self.out,
                    self.json,
                )
            )  # fmt: skip
        judge = evaluate_meaning if self.meaning else evaluate_grasps
        return judge(
            GraspOptions(
                self.data, self.split, self.objects, self.observation, self.checkpoint, self.samples, self.texts,
                limit, self.seed, self.out, self.json,
            )
        )  # fmt: skip
