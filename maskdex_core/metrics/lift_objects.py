"""What lift trials are about: objects to load one by one, and what is said about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from maskdex_core.metrics.requests import Request
from maskdex_core.metrics.subjects import Subject, drawn
from maskdex_core.objects.target_object import TargetObject

# Tasks that end with the object in the hand; "" is of an object without tasks.
LIFTING = ("", "handle-grasp", "wrap-grasp", "use", "hand-over", "support", "lift", "hold")


@dataclass(frozen=True)
class LiftObject:
    """One object: its name, how to load it, and what to ask for on it."""

    name: str
    load: Callable[[], TargetObject]
    requests: tuple[Request, ...]


def lift_objects(subjects: Sequence[Subject], texts: int, limit: int | None, seed: int) -> list[LiftObject]:
    """Return up to `limit` subjects drawn at random (None: all), with up to `texts` requests each."""
    rng = np.random.default_rng(seed)
    found = []
    for subject in drawn(subjects, limit, rng):
        requests = [request for request in subject.requests(rng) if request.task in LIFTING]
        found.append(LiftObject(subject.name, subject.load, tuple(requests[:texts])))
    return found
