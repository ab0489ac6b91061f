"""What a task asks of an object, for the map of touch: an object, a sentence, and for every point the share of
contacts that grasps for that task have on its part.

Drawn by object and task, not by grasp: "by the handle" is asked of every mug, though few grasps of mugs are at the
handle. The shares are means over the training grasps of a family that satisfy the task; where none does, the parts
that the task names share the contacts. An object whose family has no tasks is asked for in the sentences of its grasps.

Legend: B batch, P object points, R requests (an object and a task), F kinds of request (a family and a task),
T texts of a kind, E text embedding size, S parts of an object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from maskdex_core.data import GraspDataset
from maskdex_core.data.tasks import GraspFacts, TaskBook, TaskRule, load_tasks
from maskdex_core.text import TextEncoder

TEXTS = 40  # drawn for a family and a task, those that repeat dropped
ELEVATIONS = (-60.0, 0.0, 40.0, 70.0)  # degrees: a sentence may ask for any manner, the parts stay
MISNAMED = 0.5  # of the sentences that name a part call the object something else: "handle" means one whatever has it
THINGS = ("object", "thing", "item", "tool", "part", "piece", "container", "one")
SIZES, PROPORTIONS = 0.25, 0.1  # standard deviations of the log of a stretch: of all axes, of each
UNTOLD = ""  # task of an object whose family has none
TIPS = ("rh_thdistal", "rh_ffdistal", "rh_mfdistal")  # that a sentence may name where no grasp tells
Kind = tuple[str, str]  # family, or object where that has no tasks; task


@dataclass(frozen=True)
class TaskBatch:
    """Requests of a batch."""

    owner: Tensor
    """(B,) object of the dataset."""
    text: Tensor
    """(B, E)."""
    shares: Tensor
    """(B, S) share of contacts on each part."""


class TaskRows:
    """Every task of every object."""

    def __init__(self, data: GraspDataset, encoder: TextEncoder, balance: float, book: TaskBook | None = None) -> None:
        """Prepare the requests.

        Args:
            data: grasps with their tasks, and objects with named parts. encoder: of texts.
            balance: as `StageConfig.balance`, over the requests of a family. book: the tasks, if not those that ship.
        """
        self._book, self._data = book or load_tasks(), data
        self._grasps, self._means = self._grasps_by_kind(), dict[Kind, dict[str, float]]()
        kinds: dict[Kind, int] = {}
        owners, kind_of, shares = [], [], []
        for owner, kind, parts in self._requests():
            owners.append(owner)
            kind_of.append(kinds.setdefault(kind, len(kinds)))
            shares.append(self._shares(kind, parts))
        self.owner, self.kind = torch.tensor(owners), torch.tensor(kind_of)  # (R,)
        self.shares = pad_sequence([torch.tensor(row) for row in shares], batch_first=True)  # (R, S)
        self.weight = self._weights([family for family, _ in kinds], balance)  # (R,)
        rng = np.random.default_rng(0)
        texts = [self._texts(kind, rng) for kind in kinds]
        self.counts = torch.tensor([len(lines) for lines in texts])  # (F,)
        self.starts = self.counts.cumsum(0) - self.counts
        self.embeddings = encoder.encode([line for lines in texts for line in lines])  # (ΣT, E)

    def __len__(self) -> int:
        return len(self.owner)

    def draw(self, generator: torch.Generator, batch: int) -> TaskBatch:
        """Draw random requests."""
        row = torch.multinomial(self.weight, batch, replacement=True, generator=generator)
        kind = self.kind[row]
        within = (torch.rand(batch, generator=generator) * self.counts[kind]).long()
        return TaskBatch(self.owner[row], self.embeddings[self.starts[kind] + within], self.shares[row])

    def _requests(self) -> Iterator[tuple[int, Kind, list[str]]]:
        """Yield each object's index, each kind of request for it whose parts it has, and its parts."""
        for owner, name in enumerate(self._data.object_names):
            facts = self._data.objects[name].facts
            family, parts = str(facts.get("family", "")), list(facts.get("part_names", ()))
            if family not in self._book.families:
                yield owner, (name, UNTOLD), parts
                continue
            for task, rule in self._book.rules(family).items():
                if _wanted(rule, parts):
                    yield owner, (family, task), parts

    def _grasps_by_kind(self) -> dict[Kind, list[int]]:
        found = defaultdict(list)
        for row, owner in enumerate(self._data.table["object"]):
            family = str(self._data.objects[owner].facts.get("family", ""))
            if family not in self._book.families:
                found[owner, UNTOLD].append(row)
                continue
            for task in self._data.table["tasks"][row]:
                found[family, task].append(row)
        return found

    def _shares(self, kind: Kind, parts: Sequence[str]) -> list[float]:
        """Return the share of contacts on each part: of the grasps for a task, else the rule's parts alike."""
        if kind not in self._means:
            touched = [self._data.table["contact_parts"][row] for row in self._grasps.get(kind, ())]
            self._means[kind] = _mean_shares(touched)
        found = self._means[kind] or _mean_shares([_wanted(self._book.rule(*kind), parts)])
        return [found.get(part, 0.0) for part in parts]

    def _weights(self, families: Sequence[str], balance: float) -> Tensor:
        """Return how often each request is drawn (R,), up to a factor; families by kind."""
        place = {family: index for index, family in enumerate(dict.fromkeys(families))}
        own = torch.tensor([place[family] for family in families])[self.kind]
        return torch.bincount(own)[own].double().pow(-balance)

    def _texts(self, kind: Kind, rng: np.random.Generator) -> list[str]:
        """Return different sentences that ask for a task."""
        (family, task), rows, lines = kind, self._grasps.get(kind, ()), set()
        if task == UNTOLD:
            return sorted({text for row in rows for text in self._data.texts[row]})[:TEXTS]
        rule = self._book.rule(family, task)
        for _ in range(TEXTS):
            links, parts = TIPS, rule.touch or (rule.needs or "object",)
            if rows:
                row = int(rng.choice(rows))
                links, parts = (tuple(self._data.table[column][row]) for column in ("contact_links", "contact_parts"))
            facts = GraspFacts(family, links, parts, 0.5, float(rng.choice(ELEVATIONS)))
            lines.update(self._book.write(facts, [task], 1, rng))
        return [self._misnamed(line, family, rng) for line in sorted(lines)]

    def _misnamed(self, text: str, family: str, rng: np.random.Generator) -> str:
        """Return a sentence with another object's name, now and then, if it names a part."""
        known = sorted({name for name, _ in self._grasps} & set(self._book.families))
        others = (*THINGS, *(name for own in known for name in self._book.families[own].names))
        rules = self._book.rules(family).values()
        parts = {part for rule in rules for part in (*rule.touch, *rule.free)}
        if not any(part in text for part in parts) or rng.random() > MISNAMED:
            return text
        for name in sorted(self._book.families[family].names, key=len, reverse=True):
            if name in text:
                return text.replace(name, str(rng.choice(others)))
        return text


def stretched(points: Tensor, generator: torch.Generator) -> Tensor:
    """Return clouds (B, P, 3) larger or smaller and of other proportions: parts stay what they are."""
    size = SIZES * torch.randn(len(points), 1, 1, generator=generator)
    return points * (size + PROPORTIONS * torch.randn(len(points), 1, 3, generator=generator)).exp()


def _mean_shares(touched: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the mean share of contacts by part of grasps whose contacts lie on these parts."""
    found: dict[str, float] = defaultdict(float)
    for own in touched:
        for part in own:
            found[part] += 1.0 / (len(own) * len(touched))
    return found


def _wanted(rule: TaskRule, parts: Sequence[str]) -> list[str]:
    """Return those of an object's parts that a task may have touched."""
    return [part for part in parts if (not rule.touch or part in rule.touch) and part not in rule.free]
