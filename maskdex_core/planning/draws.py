"""Where the grasps for a request come from, draw after draw: the network; the network's fingers on palms that are laid
where the text wants the hand; the network again.

Some texts ask for what few grasps of the data do, a mug's handle among them: more samples are more of the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from maskdex_core.antipodal.observed import Places, antipodal_starts
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.sampler import GraspSampler
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.hands_off import PLACES
from maskdex_core.refine.ranking import best_chance

WANTED = (0.9, 0.75, 0.5, 0.25)  # shares of the best place's chance: a pair of facing places above the first has it
PALM = "palm"


def grasp_draws(
    model: GraspSampler, hand: HandModel, geometry: ObjectGeometry, text: str | Tensor, touch: Tensor | None,
    count: int, generator: torch.Generator | None,
) -> tuple[Callable[[], GraspBatch], ...]:  # fmt: skip
    """Return what draws `count` grasps each, in the order in which a request asks (`draw_until`).

    Args:
        model, hand: proposes the grasps, and the hand it speaks of. geometry: of the object.
        text: the task or its embedding. touch: (P,) where it wants the hand (`touch_map`); None: nothing tells.
        generator: of all draws, so that their order counts.
    """
    sample = partial(model.sample, geometry.points, text, count, generator=generator)
    if touch is None or not isinstance(model, GraspModel):
        return sample, sample, sample
    return sample, partial(_on_wanted_places, model, hand, geometry, text, touch, count, generator), sample


def _on_wanted_places(
    model: GraspModel, hand: HandModel, geometry: ObjectGeometry, text: str | Tensor, touch: Tensor, count: int,
    generator: torch.Generator | None,
) -> GraspBatch:  # fmt: skip
    """Lay palms on facing places that the text wants and let the network fill in the fingers."""
    scene = HandOnObject(hand, geometry.sdf, geometry.table_height)
    seed = int(torch.randint(1 << 31, (), generator=generator))
    places = [_above(share * best_chance(touch), geometry.points, touch) for share in WANTED]
    starts = antipodal_starts(scene, count, seed, places)
    if len(starts) == 0:
        return model.sample(geometry.points, text, count, generator=generator)
    laid = GraspBatch(hand.joint_names, starts.joints, starts.rotation, starts.translation)
    fingers = [part for part in model.part_names if part != PALM]
    return model.edit(laid, fingers, geometry.points, text, generator=generator)


def _above(limit: Tensor, seen: Tensor, touch: Tensor) -> Places:
    """Return what tells whether a place's nearest observed point has a chance above a limit."""
    every = max(1, len(seen) // PLACES)
    seen, touch = seen[::every], touch[::every]
    return lambda points: touch[torch.cdist(points, seen.to(points)).argmin(1)] > limit
