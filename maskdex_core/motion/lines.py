"""The straight parts of a grasp: approach and lift, for every way the arm can take the grasp.

Cheap questions first: what the hand hits on its lines does not depend on the arm, and where the lines leave
the workspace no arm configuration helps.

Index legend: N waypoints of a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from maskdex_core.motion import ik
from maskdex_core.motion.contact_rules import workspace_reasons
from maskdex_core.motion.task import MotionTask
from maskdex_core.motion.types import APPROACH, LIFT, TRANSIT

CONFIGURATIONS = 6
"""arm configurations at the grasp that are tried, nearest to the start first"""


@dataclass(frozen=True)
class Lines:
    """Waypoints (N, 7) rad of the approach, which ends at the grasp, and of the lift, which begins there."""

    approach: np.ndarray
    lift: np.ndarray


def free_lines(task: MotionTask, reasons: list[str]) -> Iterator[Lines]:
    """Yield the lines of each arm configuration at the grasp for which both are free.

    Both lines start at the grasp, the pose that constrains most, so that they meet there exactly.

    Args:
        task: what to plan.
        reasons: gets a sentence for each line that is not free.
    """
    targets = task.targets
    back = ik.straight_line(targets.base_from_eef_grasp, targets.base_from_eef_approach)
    up = ik.straight_line(targets.base_from_eef_grasp, targets.base_from_eef_lift, least=len(back))
    back = ik.straight_line(targets.base_from_eef_grasp, targets.base_from_eef_approach, least=len(up))
    hopeless = _whatever_the_arm_does(task, back[::-1], up)
    if hopeless:
        reasons += hopeless
        return
    grasps = ik.solve_all(task.arm, targets.base_from_eef_grasp, task.q_arm)[:CONFIGURATIONS]
    if len(grasps) == 0:
        x, y, z = targets.base_from_eef_grasp[:3, 3]
        reasons.append(f"inverse kinematics: the grasp pose at ({x:.3f}, {y:.3f}, {z:.3f}) m is out of reach")
        return
    both, followed = ik.solve_along(task.arm, np.tile(grasps, (2, 1)), np.repeat([back, up], len(grasps), axis=0))
    (approaches, lifts), ok = np.split(both, 2), followed.reshape(2, -1)
    for approach, lift, can_approach, can_lift in zip(approaches, lifts, *ok, strict=True):
        if not can_approach or not can_lift:
            which = "lift" if can_approach else "approach"
            reasons.append(
                f"inverse kinematics: the straight {which} leaves the arm's reach, nears a joint limit or a singularity"
            )
            continue
        blocked = task.contacts(approach[-1:], targets.hand_pregrasp, TRANSIT)
        blocked = blocked or task.contacts(approach[::-1], targets.hand_pregrasp, APPROACH)
        blocked = blocked or task.contacts(lift, targets.hand_squeeze, LIFT)
        reasons += blocked
        if not blocked:
            yield Lines(approach[::-1], lift)


def _whatever_the_arm_does(task: MotionTask, approach: np.ndarray, lift: np.ndarray) -> list[str]:
    tips = np.concatenate([approach, lift])[:, :3, 3]
    outside = workspace_reasons(tips, task.arm.workspace, task.arm.config.tip_frame)
    return (
        outside
        or task.hand_contacts(approach[:1], task.targets.hand_pregrasp, TRANSIT)
        or task.hand_contacts(approach, task.targets.hand_pregrasp, APPROACH)
        or task.hand_contacts(lift, task.targets.hand_squeeze, LIFT)
    )
