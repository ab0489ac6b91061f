"""What lift trials are about: objects to load one by one, and what is said about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.metrics.subjects import Subject, drawn, folder_subjects, unseen_subjects
from maskdex_core.objects.target_object import TargetObject

# Tasks that end with the object in the hand; "" is of an object without tasks.
LIFTING = ("", "handle-grasp", "wrap-grasp", "use", "hand-over", "support", "lift", "hold")


@dataclass(frozen=True)
class LiftObject:
    """One object: its name, how to load it, and the texts to try on it."""

    name: str
    load: Callable[[], TargetObject]
    texts: tuple[str, ...]


def folder_objects(folder: Path, texts: int, limit: int | None, seed: int) -> list[LiftObject]:
    """Return the objects of a folder with an `index.json`, annotated or not, `texts` sentences each.

    Raises:
        DatasetError: when the index is missing or damaged, or names no usable object.
    """
    return _with_texts(folder_subjects(folder), texts, limit, seed)


def unseen_objects(data: GraspDataset, texts: int, limit: int | None, seed: int) -> list[LiftObject]:
    """Return procedural objects of the dataset's unseen splits, `texts` sentences each.

    Raises:
        DatasetError: when there are none.
    """
    return _with_texts(unseen_subjects(data), texts, limit, seed)


def _with_texts(subjects: Sequence[Subject], texts: int, limit: int | None, seed: int) -> list[LiftObject]:
    rng = np.random.default_rng(seed)
    found = []
    for subject in drawn(subjects, limit, rng):
        sentences = [request.text for request in subject.requests(rng) if request.task in LIFTING]
        found.append(LiftObject(subject.name, subject.load, tuple(sentences[:texts])))
    return found
