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
from maskdex_core.cli.evaluate_objects import ChosenObjects
from maskdex_core.cli.evaluate_tokens import evaluate_tokens
from maskdex_core.errors import UsageError, unknown_choice

DEFAULT_OBJECTS, MAX_OBJECTS = 20, 10_000
DEFAULT_HAND, UNSEEN = "freedom_v2", "unseen"
MAX_SAMPLES, MAX_TEXTS = 256, 11
OBSERVATIONS = ("full", "noisy", "view", "view_by_rule", "view_by_network")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(TorchCommand):
    """Grasps on objects of a split or a folder: raw, refined, top-ranked, and without the network.

    With --meaning: whether grasps follow the words, edits stay local and tokens keep a grasp.
    With --tokens: what the tokens' error costs, and whether refinement keeps what holds.
    With --lift: the whole path, from a rendered cloud to an object held in the air."""

    data: Annotated[Path, arg(metavar="DIR")] = Path("data/shadow")
    """Dataset with the splits; its procedural objects are grasped."""
    split: str | None = None
    """Split of the dataset ("unseen": all unseen ones), or "fresh": new procedural objects of all families, which
    need no dataset; by default unseen_instance, with --lift and --tokens unseen. With --objects: only those of its
    objects that the dataset has in this split; by default all."""
    observation: str | None = None
    """What is shown of an object: full (default), noisy (both all round), or view (one noisy depth image, its unseen
    side closed by rule and network; view_by_rule, view_by_network: by one). With --lift always a camera's view."""
    texts: int | None = None
    """Requests an object, 1 by default; with --meaning always two."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Grasp model or (without --lift, --meaning and --tokens) baseline; the shipped model by default."""
    samples: int = 16
    """Grasps an object and text."""
    limit: int | None = None
    """Objects; 20 by default, and all of --objects."""
    seed: int = 0
    """Of objects, texts and samples."""
    json: bool = False
    """Print JSON."""
    lift: bool = False
    """Plan, move and lift in a simulated world."""
    meaning: bool = False
    """Exchange texts and edit fingers on objects with two tasks that name different parts."""
    tokens: bool = False
    """Encode, decode and refine grasps of the dataset, --samples an object: how many still hold?"""
    objects: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of meshes with an index.json, instead of procedural objects."""
    hand: str | None = None
    """With --lift: target hand; freedom_v2 by default."""
    out: Annotated[Path | None, arg(metavar="FILE.json")] = None
    """Where the table and the trials go."""

    def run(self) -> int:
        """Grasp every object once, test in physics, print rates."""
        self._check()
        self.set_threads()
        limit = self.limit if self.objects or self.limit is not None else DEFAULT_OBJECTS
        chosen = ChosenObjects(self.data, self._split(), self.objects)
        if self.lift:
            return evaluate_lift(
                LiftOptions(
                    chosen, self.hand or DEFAULT_HAND, self.checkpoint, self.samples, self.texts or 1, limit,
                    self.seed, self.out, self.json,
                )
            )  # fmt: skip
        judge = evaluate_meaning if self.meaning else evaluate_tokens if self.tokens else evaluate_grasps
        return judge(
            GraspOptions(
                chosen, self.observation or OBSERVATIONS[0], self.checkpoint, self.samples, self.texts or 1, limit,
                self.seed, self.out, self.json,
            )
        )  # fmt: skip

    def _split(self) -> str | None:
        if self.split is not None or self.objects is not None:
            return self.split
        return UNSEEN if self.lift or self.tokens else "unseen_instance"

    def _check(self) -> None:
        """Refuse what is unknown, out of range, or would do nothing."""
        check_seed(self.seed)
        modes = [f"--{name}" for name in ("lift", "meaning", "tokens") if getattr(self, name)]
        if len(modes) > 1:
            raise UsageError(f"{' and '.join(modes)} are {len(modes)} evaluations; choose one")
        if self.observation not in (None, *OBSERVATIONS):
            raise UsageError(unknown_choice("--observation", self.observation, OBSERVATIONS))
        most_of = {"limit": MAX_OBJECTS, "samples": MAX_SAMPLES, "texts": MAX_TEXTS}
        for option, most in most_of.items():
            value = getattr(self, option)
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"--{option} {value} is out of range; expected 1 to {most}")
        if self.lift and self.observation is not None:
            raise UsageError(f"--observation {self.observation} does nothing with --lift, which has its own camera")
        if self.meaning and self.texts is not None:
            raise UsageError(f"--texts {self.texts} does nothing with --meaning, which takes two an object")
        if self.tokens and self.texts is not None:
            raise UsageError(f"--texts {self.texts} does nothing with --tokens, which draws nothing under a text")
        if self.tokens and self.split == "fresh":
            raise UsageError("--split fresh has no grasps in a dataset: --tokens needs another split")
        if not self.lift and self.hand is not None:
            raise UsageError(f"--hand {self.hand} does nothing without --lift: grasps are made by the Shadow hand")
