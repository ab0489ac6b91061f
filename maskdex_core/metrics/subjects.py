"""The objects of a test: which there are, and how to load each."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.errors import DatasetError, MaskdexError, MeshError
from maskdex_core.metrics.requests import Request, requests_for
from maskdex_core.objects.meshes.annotated_mesh import load_objects
from maskdex_core.objects.meshes.part_regions import Annotation
from maskdex_core.objects.procedural import FAMILIES, make_object
from maskdex_core.objects.target_object import TargetObject

logger = logging.getLogger(__name__)

FRESH, UNSEEN = "fresh", "unseen"
FRESH_SEED = 1_000_000  # datasets count seeds from 0
UNKNOWN = Annotation(family="object", rest="body")
LeaveOut = Callable[[str, MaskdexError], None]
"""told the name of an object that cannot be tested, and why"""


@dataclass(frozen=True)
class Subject:
    """One object of a test: its name, family, and how to load it."""

    name: str
    family: str
    load: Callable[[], TargetObject]

    def requests(self, rng: np.random.Generator) -> list[Request]:
        """Return sentences for it in random order, one for each task of its family."""
        return requests_for(self.family, spoken_name(re.sub(r"_\d+$", "", self.name)), rng)


def split_subjects(data: GraspDataset, split: str) -> list[Subject]:
    """Return the procedural objects of a split of a dataset, or of several; see `GraspDataset.splits`.

    Raises:
        DatasetError: when the split has no grasps, or none on a procedural object.
    """
    found = []
    for part in map(data.split, data.splits(split)):
        for name in part.object_names:
            facts = part.objects[name].facts
            if "seed" in facts:
                family, seed = str(facts["family"]), int(facts["seed"])
                found.append(Subject(name, family, partial(make_object, family, seed)))
    if not found:
        raise DatasetError(f"split {split!r} has no procedural object: others cannot be built again for a test")
    return found


def fresh_subjects(count: int = 10) -> list[Subject]:
    """Return `count` new procedural objects of every family; no dataset or training ever saw these seeds."""
    return [
        Subject(f"{family}_{FRESH_SEED + i}", family, partial(make_object, family, FRESH_SEED + i))
        for family in sorted(FAMILIES)
        for i in range(count)
    ]


def folder_subjects(folder: Path) -> list[Subject]:
    """Return the objects of a folder of meshes with an `index.json`, annotated or not.

    Raises:
        DatasetError: when the index is missing or damaged, or names no usable object.
    """
    entries = load_objects(folder, otherwise=UNKNOWN).values()
    return [Subject(entry.name, entry.annotation.family, entry.load) for entry in entries]


def in_split(subjects: Sequence[Subject], data: GraspDataset, split: str | None) -> list[Subject]:
    """Return the subjects that a dataset has, by the same name, in a split (None: in any).

    Raises:
        DatasetError: when the split is unknown, or holds none of them.
    """
    held = set((data if split is None else data.split(split)).object_names)
    found = [subject for subject in subjects if subject.name in held]
    if not found:
        where = "the dataset" if split is None else f"split {split!r} of the dataset"
        raise DatasetError(f"none of the {len(subjects)} objects is in {where}")
    return found


def drawn(subjects: Sequence[Subject], limit: int | None, rng: np.random.Generator) -> list[Subject]:
    """Return up to `limit` subjects in random order; None keeps all in theirs."""
    if limit is None:
        return list(subjects)
    return [subjects[i] for i in rng.permutation(len(subjects))[:limit]]


def left_out(name: str, error: MaskdexError) -> None:
    """Warn that an object cannot be tested."""
    logger.warning("%s is left out: %s", name, error)


def loaded(subjects: Sequence[Subject], leave_out: LeaveOut) -> Iterator[tuple[Subject, TargetObject]]:
    """Yield subjects with their objects; those that cannot be read are left out."""
    for subject in subjects:
        try:
            target = subject.load()
        except MeshError as error:
            leave_out(subject.name, error)
            continue
        yield subject, target


def trial_seed(seed: int, *of: str) -> int:
    """Return the seed of one trial of a run: each object, and each text, gets a camera and draws of its own."""
    return zlib.crc32("\n".join((str(seed), *of)).encode())


def spoken_name(name: str) -> str:
    """Return an object's name as a person says it: `ycb/006_mustard_bottle` is a mustard bottle."""
    return re.sub(r"^[\d\W_]+", "", name.rsplit("/", 1)[-1]).replace("_", " ").replace("-", " ").strip() or "object"
