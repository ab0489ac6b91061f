"""What a model's grasps are worth on one object: raw, refined, top-ranked, and beside them no network at all.

Protocols: `maskdex_core/physics/hold_test.py`; raw grasps are closed by the same solved squeeze as refined ones.
All samples take the quick FC6; the top-1, which the system would execute, takes every protocol in full. While the
best is doubtful others are drawn, as the planner does: they count for the top-1 alone. The network-free baseline gets
as many starts as there are samples, and more for the rest of the time that sampling and refinement took; where they
took longer, its top-1 at equal time is that of a random share of them, on average.

Index legend: K samples of an object.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from maskdex_core.antipodal.observed import antipodal_starts
from maskdex_core.grasp.sampler import GraspSampler
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.grasp_test import GraspScores, GraspTest, RawScores, TopScores
from maskdex_core.metrics.observation import observe
from maskdex_core.metrics.requests import Request
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.planning.object_grasps import likely_on_object
from maskdex_core.planning.proposals import concatenate, judged, pose_of, refine_grasps, with_open_hand
from maskdex_core.planning.redraw import best_row, firmest_row
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig

BASELINE_ROUNDS = 4  # at most so many times K starts, however slow the network was


@dataclass(frozen=True)
class ObjectTrial:
    """One object, one request, one observation.

    Attributes:
        raw: measures of the samples as drawn. confidence: (K,) the network's own; (0,) of one that has none.
        refined: measures of the refined samples. chance: (K,) that the judge gives them to hold.
        drawn: samples until the best was likely. top: the best of them, which would be executed, by all protocols.
        top_scores: its measures, (1,) each. top_chance: that the judge gives it to hold.
        firmest_fc6: whether the grasp ranked best by holding alone, as the baseline is, passes the quick FC6.
        joints: (K, J) rad of the refined samples.
        baseline_fc6: (N,) of the network-free starts; baseline_top1: of the one ranked best; baseline_timely_top1: how
            often the best of as many as the network's time allows.
        seconds: of sampling and refinement; baseline_seconds: of the baseline's.
    """

    name: str
    request: Request
    raw: RawScores
    confidence: np.ndarray
    refined: GraspScores
    chance: np.ndarray
    drawn: int
    top: TopScores
    top_scores: GraspScores
    top_chance: float
    firmest_fc6: bool
    joints: np.ndarray
    baseline_fc6: np.ndarray
    baseline_top1: bool
    baseline_timely_top1: float
    seconds: float
    baseline_seconds: float

    @property
    def agrees(self) -> np.ndarray:
        """Whether each refined grasp touches what the request names (0..K,) bool; empty where nothing is named."""
        found = [self.request.agrees(parts) for parts in self.refined.parts]
        return np.array([one for one in found if one is not None], bool)

    @property
    def top_agrees(self) -> np.ndarray:
        """The same of the top-1, (0 or 1,)."""
        found = self.request.agrees(self.top_scores.parts[0])
        return np.array([] if found is None else [found], bool)


def try_object(
    model: GraspSampler, hand: HandModel, target: TargetObject, request: Request, observation: str, samples: int,
    seed: int, config: RefineConfig | None = None,
) -> ObjectTrial:  # fmt: skip
    """Grasp one object once.

    Args:
        model: proposes the grasps. hand: the Shadow hand. target: the object at rest. request: what is asked.
        observation: see `observe`. samples: K. seed: of observation, samples and baseline.
        config: refinement.

    Raises:
        CloudError: when no camera sees enough of the object.
    """
    config = config or RefineConfig()
    geometry = observe(target, observation, np.random.default_rng([seed, 3]))
    model.embed(request.text)  # cached: the network's time does not count it twice
    begun = time.perf_counter()
    draws = list[GraspBatch]()
    generator = torch.Generator().manual_seed(seed)
    made = likely_on_object(model, hand, geometry, request.text, samples, generator, config, draws.append)
    seconds = time.perf_counter() - begun
    raw, refined, top = draws[0], made.index(slice(0, samples)), made.index([best_row(made)])
    begun = time.perf_counter()
    baseline = _without_network(hand, geometry, config, samples, seed, begun + seconds)
    baseline_seconds = time.perf_counter() - begun
    test = GraspTest(hand, target)
    top_scores = test.scores(top, geometry.center)
    held, rating = test.holds(baseline, geometry.center), judged(baseline.score)
    return ObjectTrial(
        name=target.name,
        request=request,
        raw=test.raw(with_open_hand(hand, raw, geometry), geometry.center),
        confidence=np.zeros(0) if raw.confidence is None else raw.confidence.numpy(),
        refined=test.scores(refined, geometry.center),
        chance=judged(refined.chance).numpy(),
        drawn=len(made),
        top=test.top(top, 0, geometry.center, float(top_scores.pen_mesh_mm[0])),
        top_scores=top_scores,
        top_chance=float(judged(top.chance)[0]),
        firmest_fc6=bool(test.holds(made.index([firmest_row(made)]), geometry.center)[0]),
        joints=refined.joints.numpy(),
        baseline_fc6=held,
        baseline_top1=bool(held[int(rating.argmax())]),
        baseline_timely_top1=top_of_share(held, rating.numpy(), seconds / baseline_seconds),
        seconds=seconds,
        baseline_seconds=baseline_seconds,
    )


def _without_network(
    hand: HandModel, geometry: ObjectGeometry, config: RefineConfig, count: int, seed: int, until: float
) -> GraspBatch:
    """Return refined antipodal starts: `count`, and as many more as fit until a time, by what the first took."""
    scene = HandOnObject(hand, geometry.sdf, geometry.table_height)
    made: list[GraspBatch] = []
    begun, starts = time.perf_counter(), count
    for turn in range(BASELINE_ROUNDS):
        start = antipodal_starts(scene, starts, seed + 7919 * turn)
        if len(start) == 0:  # nothing to hold between two fingers: the hand as it is, in the middle
            start = pose_of(_at_rest(hand, starts))
        batch = GraspBatch(hand.joint_names, start.joints, start.rotation, start.translation)
        made.append(with_open_hand(hand, refine_grasps(hand, batch, geometry, config), geometry))
        now, done = time.perf_counter(), sum(map(len, made))
        starts = min(count, round(done * (until - now) / (now - begun)))
        if starts < 1:
            break
    return concatenate(made)


def top_of_share(held: np.ndarray, rating: np.ndarray, share: float) -> float:
    """Return how often the best-rated of a random share of the grasps holds, over all such shares.

    Args:
        held: (N,) bool. rating: (N,), higher is better. share: of N, at least one and at most all are drawn.
    """
    count = len(held)
    drawn = max(1, round(min(1.0, share) * count))
    # The grasp with `better` ahead of it is the best of a share that has it and none of those.
    chance = np.array([math.comb(count - 1 - better, drawn - 1) for better in range(count)]) / math.comb(count, drawn)
    return float(chance @ held[np.argsort(-rating, kind="stable")])


def _at_rest(hand: HandModel, count: int) -> GraspBatch:
    joints = hand.clamp(torch.zeros(count, len(hand.joint_names)))
    return GraspBatch(hand.joint_names, joints, torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3))
