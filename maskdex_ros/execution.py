"""May this plan move the robot now? Every reason why not, as one sentence."""

from __future__ import annotations

import time
from typing import Any

from maskdex_core.errors import RobotError
from maskdex_ros.joint_states import JointStateStore
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.planning import Outcome


def present_state(planner: Any, store: JointStateStore, parameters: NodeParameters) -> Any:
    """Return the robot's present `RobotState`, or None (home) where `assume_home` allows that.

    Raises:
        RobotError: when joint_states are missing, incomplete or old.
    """
    if store.empty and parameters.assume_home:
        return None
    if store.empty:
        raise RobotError(
            "no joint_states received yet: a plan starts where the robot stands; publish them, or set "
            "the parameter assume_home to plan from the home position without executing"
        )
    from maskdex_core.motion.types import RobotState

    arm, hand = tuple(planner.arm_joint_names), tuple(planner.hand_joint_names)
    positions = store.positions((*arm, *hand), parameters.joint_state_max_age)
    return RobotState(arm, [positions[name] for name in arm], hand, [positions[name] for name in hand])


def check_executable(outcome: Outcome | None, store: JointStateStore, parameters: NodeParameters) -> Any:
    """Return the trajectory of a plan that may be executed now.

    Raises:
        RobotError: when there is no safe plan, its camera pose was assumed, its cloud is old, or the
            robot is not where the plan starts.
    """
    from maskdex_core.motion.contact_rules import DEFAULT_SAFETY

    if outcome is None:
        raise RobotError("there is no plan to execute: none was made, or a later request ended without one")
    trajectory = getattr(outcome.plan, "trajectory", None)
    if not outcome.ok or trajectory is None:
        raise RobotError(f"the last plan is not executable ({outcome.status}): {outcome.reason}")
    if outcome.extrinsics_assumed:
        raise RobotError(
            "the plan's camera pose was derived from the table plane, so the object's place before the robot is "
            "unknown; publish the pose on tf or set base_from_camera, and plan again"
        )
    age = time.monotonic() - outcome.cloud_at
    if age > parameters.plan_max_age:
        raise RobotError(
            f"the plan's cloud arrived {age:.0f} s ago; at most {parameters.plan_max_age:.0f} s is valid; plan again"
        )
    start = positions_by_name(outcome.plan.start)
    present = store.positions(tuple(start), parameters.joint_state_max_age)
    distances = {name: abs(present[name] - start[name]) for name in start}
    worst = max(distances, key=lambda name: distances[name])
    tolerance = DEFAULT_SAFETY.start_tolerance
    if distances[worst] > tolerance:
        raise RobotError(
            f"the robot is not where the plan starts: {worst} is {distances[worst]:.3f} rad away, "
            f"at most {tolerance} rad is valid; plan again"
        )
    return trajectory


def positions_by_name(state: Any) -> dict[str, float]:
    """Return the positions (rad) of a `RobotState` by joint."""
    names = (*state.arm_joint_names, *state.hand_joint_names)
    positions = (*state.arm_positions, *state.hand_positions)
    return {name: float(position) for name, position in zip(names, positions, strict=True)}


def check_verdict(planner: Any, outcome: Outcome, state: Any) -> None:
    """Judge a plan again from where the robot stands now, right before it leaves.

    Raises:
        RobotError: with the reasons of the verdict.
    """
    verdict = planner.verdict(outcome.plan, state)
    if not verdict.ok:
        raise RobotError("the plan failed its safety check: " + "; ".join(verdict.reasons))
