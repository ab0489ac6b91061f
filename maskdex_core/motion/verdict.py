"""The safety verdict: one pure function that says whether a trajectory may be run, and why not.

It trusts nothing about where the trajectory came from. Rules that need sound data (finite numbers,
increasing times) come first; while one of those is broken the later ones are not asked.

Index legend: T points, K looks.
"""

from __future__ import annotations

import numpy as np

from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import CollisionModel, World
from maskdex_core.motion.contact_rules import (
    DEFAULT_SAFETY,
    SafetySettings,
    collision_reasons,
    phase_of,
    taken_reasons,
    workspace_reasons,
)
from maskdex_core.motion.interpolation import motion_at
from maskdex_core.motion.motion_rules import (
    Part,
    form_reasons,
    from_rest_reasons,
    motion_reasons,
    parts,
    still_while_closing,
)
from maskdex_core.motion.spacing import looks
from maskdex_core.motion.state import state_reasons
from maskdex_core.motion.types import JointLimits, JointTrajectory, RobotState, RobotTrajectory, Verdict


def check_trajectory(
    trajectory: RobotTrajectory,
    arm: Arm,
    hand_limits: JointLimits,
    start: RobotState,
    world: World,
    settings: SafetySettings = DEFAULT_SAFETY,
) -> Verdict:
    """Judge a trajectory on the motion that the controllers will make of it.

    Args:
        trajectory: arm and hand points; without phases every contact with the object is refused.
        arm: its limits, workspace and shapes.
        hand_limits: driven hand joints, in the order the hand's controller expects.
        start: where the robot stands now.
        world: table, object and hand shapes.
        settings: tolerances.

    Returns:
        Verdict with one reason for each broken rule (see the sentences' first words): names, times, finite,
        phases, start, end, consistency, position, velocity, acceleration, jerk, workspace, and self, finger,
        table, obstacle, object and carried collision.
    """
    reasons = form_reasons(trajectory, arm, hand_limits, settings.longest_step, settings.most_points)
    if reasons:
        return Verdict(False, tuple(reasons))
    both = parts(trajectory, arm, hand_limits)
    reasons += state_reasons(start, arm, hand_limits, settings.start_tolerance) or _start(both, start, settings)
    for part in both:
        reasons += motion_reasons(part, settings.consistency_jerk)
    reasons += still_while_closing(trajectory)
    reasons += _space(trajectory, CollisionModel(arm, world), settings)
    return Verdict(not reasons, tuple(reasons))


def _start(both: tuple[Part, Part], start: RobotState, settings: SafetySettings) -> list[str]:
    reasons = []
    named = {
        "arm": dict(zip(start.arm_joint_names, start.arm_positions, strict=True)),
        "hand": dict(zip(start.hand_joint_names, start.hand_positions, strict=True)),
    }
    for part in both:
        names, first = part.motion.joint_names, part.motion.positions[0]
        state = np.array([named[part.what][name] for name in names])
        away = np.abs(first - state)
        worst = int(np.argmax(away))
        if away[worst] > settings.start_tolerance:
            reasons.append(
                f"start: {names[worst]} stands at {state[worst]:.4f} rad but the trajectory starts at "
                f"{first[worst]:.4f} rad; at most {settings.start_tolerance} rad apart allowed"
            )
        reasons += from_rest_reasons(part)
    return reasons


def _space(trajectory: RobotTrajectory, model: CollisionModel, settings: SafetySettings) -> list[str]:
    times, q_arm, q_hand = _looked_at(trajectory, model, settings.collision_step)
    phases = phase_of(times, dict(trajectory.phases))
    tip = model.arm.forward(q_arm)[:, :3, 3]
    reasons = workspace_reasons(tip, model.arm.workspace, model.arm.config.tip_frame, times)
    reasons += taken_reasons(model, model.pose(q_arm, q_hand), phases, settings)
    return reasons + collision_reasons(model, q_arm, q_hand, phases, settings, times)


def _looked_at(
    trajectory: RobotTrajectory, model: CollisionModel, step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times (K,), arm (K, 7) and hand (K, J) positions between which nothing moves more than `step` m."""
    arm, hand = trajectory.arm, trajectory.hand
    if len(arm.times) == 1:
        return arm.times, arm.positions, hand.positions
    times = looks(model, arm.positions, hand.positions, arm.times, step)
    # the ends of phases have to be among them: contact rules speak of where a phase ends
    edges = np.clip([edge for span in trajectory.phases.values() for edge in span], arm.times[0], arm.times[-1])
    times = np.unique(np.concatenate([times, edges]))
    return times, _at(arm, times), _at(hand, times)


def _at(motion: JointTrajectory, times: np.ndarray) -> np.ndarray:
    return motion_at(motion.times, motion.positions, motion.velocities, motion.accelerations, times)[0]
