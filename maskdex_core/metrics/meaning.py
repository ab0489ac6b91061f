"""Does a grasp do what the words say? Two tasks on one cloud, and edits that stay where they were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from maskdex_core.errors import CloudError
from maskdex_core.grasp.model import GraspModel
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.contact_labels import ContactLabels
from maskdex_core.metrics.observation import observe
from maskdex_core.metrics.requests import Request
from maskdex_core.metrics.subjects import LeaveOut, Subject, drawn, left_out, loaded, trial_seed
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.planning.object_grasps import EditReport, edit_on_object, likely_on_object, moved, sample_on_object
from maskdex_core.planning.proposals import pose_of
from maskdex_core.planning.redraw import best_row
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig

EDITED = ("ring", "little")


def opposite_requests(requests: Sequence[Request]) -> tuple[Request, Request] | None:
    """Return the first two requests that name parts which have nothing in common; None when there are none."""
    named = [request for request in requests if request.rule is not None and request.rule.touch]
    for first, second in combinations(named, 2):
        if first.rule and second.rule and not set(first.rule.touch) & set(second.rule.touch):
            return first, second
    return None


@dataclass(frozen=True)
class SwapResult:
    """Two requests on one cloud: whether the top-1 of each touches what it names."""

    first: bool
    second: bool

    @property
    def differs_as_asked(self) -> bool:
        """Both grasps are where their text wants them."""
        return self.first and self.second


@dataclass(frozen=True)
class MeaningTrial:
    """One object: two requests that name different parts, what came of them, and what an edit moved."""

    name: str
    requests: tuple[Request, Request]
    swap: SwapResult
    edit: EditReport


def meaning_trials(
    model: GraspModel, subjects: Sequence[Subject], observation: str, samples: int, limit: int | None, seed: int,
    leave_out: LeaveOut = left_out,
) -> Iterator[MeaningTrial]:  # fmt: skip
    """Yield trials of up to `limit` objects with two opposite requests, drawn at random (None: of all).

    Objects that cannot be read, or that no camera sees well enough, are left out.
    """
    hand, rng, tried = HandModel.load("shadow"), np.random.default_rng(seed), 0
    for subject, target in loaded(drawn(subjects, len(subjects), rng), leave_out):
        pair = opposite_requests(subject.requests(rng))
        if pair is None:
            continue
        if tried == limit:
            return
        own = trial_seed(seed, subject.name)
        try:
            geometry = observe(target, observation, np.random.default_rng([own, 3]))
        except CloudError as error:
            leave_out(subject.name, error)
            continue
        swap = swap_texts(model, hand, target, geometry, pair, samples, own)
        first, second = (request.text for request in pair)
        yield MeaningTrial(subject.name, pair, swap, edit_locality(model, hand, geometry, first, second, samples, own))
        tried += 1


def swap_texts(
    model: GraspModel, hand: HandModel, target: TargetObject, geometry: ObjectGeometry,
    requests: tuple[Request, Request], samples: int, seed: int,
) -> SwapResult:  # fmt: skip
    """Grasp one observation (`geometry`) of an object under two requests; see what the best grasp of each touches."""
    labels = ContactLabels(HandOnObject(hand, target.sdf, 0.0), target)
    agreed = []
    for request in requests:
        generator = torch.Generator().manual_seed(seed)
        grasps = likely_on_object(model, hand, geometry, request.text, samples, generator, RefineConfig())
        best = moved(grasps.index([best_row(grasps)]), torch.as_tensor(geometry.center, dtype=torch.float32))
        agreed.append(bool(request.agrees(labels(pose_of(best))[0].parts)))
    return SwapResult(*agreed)


def edit_locality(
    model: GraspModel, hand: HandModel, geometry: ObjectGeometry, before: str, after: str, samples: int, seed: int
) -> EditReport:
    """Draw grasps under one text, ring and little finger anew under another, and report what else moved."""
    first = torch.Generator().manual_seed(seed)
    grasps = sample_on_object(model, hand, geometry, before, samples, first, RefineConfig())
    generator = torch.Generator().manual_seed(seed + 1)
    return edit_on_object(model, hand, geometry, grasps, EDITED, after, generator, RefineConfig())[1]
