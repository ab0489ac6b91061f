"""The pre-grasp that a hand can come with: open, clear of the object, and above the table."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.residuals import ErrorScales
from maskdex_core.refine.table_guard import TableGuard

# The table counts most: opening along a contact's normal alone drives fingers into it.
OPEN = RefineConfig(
    steps=8, clearance=0.007, scales=ErrorScales(penetration=0.002, table=0.0005, joint=1.5), largest_bend=0.2
)

# A surface that no camera saw may lie a centimetre nearer than it was guessed.
WIDE = replace(OPEN, clearance=0.014)
PUSHING = -0.0005  # m of clearance below which a pre-grasp would push the object


def cleared(scene: HandOnObject, pose: HandPose, pregrasp: Tensor) -> Tensor:
    """Return pre-grasps (B, J) rad that neither push the object nor scrape the table.

    Most do so already, by backing off along the contacts' normals; solving the others only is what it costs.
    """
    opened = HandPose(pregrasp, pose.rotation, pose.translation)
    guard = None if scene.table_height is None else TableGuard(scene.hand, scene.table_height)
    near = scene.clearance(opened) < PUSHING
    if guard is not None:
        near |= guard.depth(opened) > 0
    rows = torch.nonzero(near).flatten()
    if len(rows) == 0:
        return pregrasp
    return pregrasp.index_copy(0, rows, open_clear(scene, pose[rows], pregrasp[rows], guard))


def wide_open(scene: HandOnObject, pose: HandPose, pregrasp: Tensor) -> Tensor:
    """Return pre-grasps (B, J) rad that keep 14 mm from the object where the fingers can, and stay above the table."""
    guard = None if scene.table_height is None else TableGuard(scene.hand, scene.table_height)
    return open_clear(scene, pose, pregrasp, guard, WIDE)


def open_clear(
    scene: HandOnObject, pose: HandPose, pregrasp: Tensor, guard: TableGuard | None = None, config: RefineConfig = OPEN
) -> Tensor:
    """Return pre-grasp joints (B, J) rad that clear object and table, the palm staying where it is.

    Args:
        scene: the hand on the object.
        pose: the grasps.
        pregrasp: (B, J) rad, where to begin: the fingers opened along their contacts' normals.
        guard: keeps edges and corners above the table too.
        config: effort, and the distance that is kept.
    """
    start = HandPose(pregrasp, pose.rotation, pose.translation)
    nothing_touches = pregrasp.new_zeros(len(pregrasp), len(scene.hand.spec.contact_links))
    return refine(scene, start, config, nothing_touches, hold_palm=True, goal=guard and guard.residuals).pose.joints
