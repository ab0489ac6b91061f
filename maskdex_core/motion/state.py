"""What makes a reported robot state usable as the start of a motion."""

from __future__ import annotations

import numpy as np

from maskdex_core.errors import RobotError
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.types import JointLimits, RobotState


def state_reasons(state: RobotState, arm: Arm, hand_limits: JointLimits, tolerance: float) -> list[str]:
    """Return a sentence for each joint that is missing, unknown, not a number, or outside its limits.

    Args:
        tolerance: rad beyond a limit that is put down to the encoder.
    """
    arm_part = _part("arm", state.arm_joint_names, state.arm_positions, arm.limits, tolerance)
    return arm_part + _part("hand", state.hand_joint_names, state.hand_positions, hand_limits, tolerance)


def ordered_state(
    state: RobotState, arm: Arm, hand_limits: JointLimits, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return arm (7,) and hand (J,) positions in the order of the limits, inside them.

    Raises:
        RobotError: when the state cannot be used; names joint, value and range.
    """
    reasons = state_reasons(state, arm, hand_limits, tolerance)
    if reasons:
        raise RobotError("; ".join(reasons))
    parts = (
        (state.arm_joint_names, state.arm_positions, arm.limits),
        (state.hand_joint_names, state.hand_positions, hand_limits),
    )
    ordered = []
    for names, positions, limits in parts:
        by_name = dict(zip(names, positions, strict=True))
        values = np.array([by_name[name] for name in limits.names])
        ordered.append(np.clip(values, limits.lower, limits.upper))
    return ordered[0], ordered[1]


def _part(what: str, names: tuple[str, ...], positions: np.ndarray, limits: JointLimits, tolerance: float) -> list[str]:
    by_name = dict(zip(names, positions, strict=True))
    known = ", ".join(limits.names)
    reasons = [f"start: {what} joint {name!r} is unknown; known: {known}" for name in names if name not in limits.names]
    for name, lower, upper in zip(limits.names, limits.lower, limits.upper, strict=True):
        if name not in by_name:
            reasons.append(f"start: {what} joint {name!r} is missing from the robot state; expected {known}")
            continue
        value = by_name[name]
        if not np.isfinite(value):
            reasons.append(
                f"start: {what} joint {name!r} is at {value}; expected a number in [{lower:.4f}, {upper:.4f}]"
            )
        elif not lower - tolerance <= value <= upper + tolerance:
            reasons.append(f"start: {what} joint {name!r} is at {value:.4f} rad, outside [{lower:.4f}, {upper:.4f}]")
    return reasons
