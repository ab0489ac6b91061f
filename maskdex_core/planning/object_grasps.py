"""Grasps on a known object, without a scene or a robot: sample, refine, rank; edit chosen parts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.sampler import GraspSampler
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.planning.draws import grasp_draws
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.planning.proposals import concatenate, refine_grasps, with_open_hand
from maskdex_core.planning.redraw import draw_until_likely
from maskdex_core.refine.optimizer import RefineConfig

CHUNK = 64  # grasps refined at once: memory stays small and progress shows
AS_DRAWN = RefineConfig(steps=0)


@dataclass(frozen=True)
class EditReport:
    """How far an edit moved what it should not: joints in rad, palm in m and rad; all 0 by promise."""

    joints: float
    palm_translation: float
    palm_rotation: float


def sample_on_object(
    model: GraspModel,
    hand: HandModel,
    geometry: ObjectGeometry,
    text: str,
    count: int,
    generator: torch.Generator | None = None,
    refine: RefineConfig = AS_DRAWN,
    progress: Callable[[int], None] = lambda done: None,
) -> GraspBatch:
    """Draw grasps, refine them, and rank them by their chance to hold where the text wants them.

    Args:
        model, hand: grasp model and the hand it speaks of.
        geometry: of the object; `center` gives the frame of the result.
        text: the task.
        count: number of grasps.
        generator: makes the result repeatable.
        refine: contact refinement; zero steps only solve closing, pre-grasp and score.
        progress: told how many grasps are done.

    Returns:
        Grasps best first, in the frame whose origin lies at -`geometry.center` of the object frame.

    Raises:
        TextError, UsageError: on an unusable text or count.
    """
    embedding = model.embed(text)
    touch = model.touch_map(geometry.points, embedding)
    made = []
    for first in range(0, count, CHUNK):
        size = min(CHUNK, count - first)
        drawn = model.sample(geometry.points, embedding, size, generator=generator)
        made.append(with_open_hand(hand, refine_grasps(hand, drawn, geometry, refine, touch=touch), geometry))
        progress(first + size)
    grasps = concatenate(made)
    if grasps.score is not None:
        grasps = grasps.index(grasps.score.argsort(descending=True))
    return moved(grasps, _center(geometry))


def likely_on_object(
    model: GraspSampler, hand: HandModel, geometry: ObjectGeometry, text: str, count: int,
    generator: torch.Generator, refine: RefineConfig, as_drawn: Callable[[GraspBatch], None] = lambda grasps: None,
) -> GraspBatch:  # fmt: skip
    """Draw and refine `count` grasps, and as many more while the best is doubtful, as the planner does.

    Args:
        as_drawn: told each draw before it is refined. Others: as in `sample_on_object`.

    Returns:
        Grasps in drawing order, in the object frame.
    """
    touch = model.touch_map(geometry.points, text)

    def refined(draw: Callable[[], GraspBatch]) -> GraspBatch:
        drawn = draw()
        as_drawn(drawn)
        return with_open_hand(hand, refine_grasps(hand, drawn, geometry, refine, touch=touch), geometry)

    draws = grasp_draws(model, hand, geometry, text, touch, count, generator)
    return draw_until_likely([partial(refined, draw) for draw in draws])


def edit_on_object(
    model: GraspModel,
    hand: HandModel,
    geometry: ObjectGeometry,
    grasps: GraspBatch,
    parts: Collection[str],
    text: str,
    generator: torch.Generator | None = None,
    refine: RefineConfig = AS_DRAWN,
) -> tuple[GraspBatch, EditReport]:
    """Draw some parts of grasps anew; every other joint, and the palm unless asked for, stays bit for bit.

    Args:
        grasps: in the frame that `sample_on_object` returns; tokens of another checkpoint are not used.
        parts: among the model's part names.
        Others: as in `sample_on_object`.

    Returns:
        The edited grasps in the given order, and what moved against the promise.

    Raises:
        UsageError, TextError, HandError: on unknown parts, an unusable text, or another hand's grasps.
        DatasetError: when the tokens claim to be this model's and are not.
    """
    center = _center(geometry)
    here = moved(_in_order(grasps, model.joint_names), -center)
    drawn = model.edit(here, parts, geometry.points, text, generator=generator)
    edited = torch.tensor([model.part_names[int(part)] in parts for part in hand.joint_part])
    with_palm = "palm" in parts
    made = refine_grasps(hand, drawn, geometry, refine, edited, not with_palm, model.touch_map(geometry.points, text))
    made = moved(with_open_hand(hand, made, geometry), center)
    before = _in_order(grasps, model.joint_names)
    # Refinement clamps to limits and shifts frames: copy back what was not asked for, to the last bit.
    made = made.replace(joints=torch.where(edited, made.joints, before.joints))
    if not with_palm:
        made = made.replace(palm_translation=before.palm_translation, palm_rotation=before.palm_rotation)
    return made, edit_report(before, made, edited, with_palm)


def edit_report(before: GraspBatch, after: GraspBatch, edited: Tensor, with_palm: bool) -> EditReport:
    """Measure what an edit moved although it was not asked for; `edited` (J,) bool."""
    joints = (after.joints - before.joints).abs()[:, ~edited]
    if with_palm:
        return EditReport(_largest(joints), 0.0, 0.0)
    moved_by = (after.palm_translation - before.palm_translation).norm(dim=-1)
    turned_by = (after.palm_rotation - before.palm_rotation).abs()
    return EditReport(_largest(joints), _largest(moved_by), _largest(turned_by))


def moved(grasps: GraspBatch, offset: Tensor) -> GraspBatch:
    """Return grasps whose palms are shifted by `offset` (3,) m."""
    return grasps.replace(palm_translation=grasps.palm_translation + offset)


def _center(geometry: ObjectGeometry) -> Tensor:
    return torch.as_tensor(geometry.center, dtype=torch.float32)


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0


def _in_order(grasps: GraspBatch, names: tuple[str, ...]) -> GraspBatch:
    """Reorder every joint array to `names`; another hand's grasps pass, for the model to refuse."""
    if grasps.joint_names == names or set(grasps.joint_names) != set(names):
        return grasps
    order = [grasps.joint_names.index(name) for name in names]
    optional = {key: getattr(grasps, key) for key in ("pregrasp", "squeeze")}
    reordered = {key: None if value is None else value[:, order] for key, value in optional.items()}
    return grasps.replace(joint_names=names, joints=grasps.joints[:, order], **reordered)
