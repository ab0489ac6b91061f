"""What MoveIt is asked for: a way to joint values of its own, and to run ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.motion.types import JointTrajectory, RobotTrajectory
from maskdex_ros.conversions import trajectory_message

if TYPE_CHECKING:
    from moveit_msgs.action import ExecuteTrajectory, MoveGroup
    from moveit_msgs.msg import DisplayTrajectory, RobotState

SUCCESS = 1
JOINT_TOLERANCE = 1e-3  # [rad] at the end of MoveIt's way; ours begins there
PLANNING_TIME = 5.0  # [s]
ATTEMPTS = 4
MOVES = 1e-6  # [rad] that a joint must travel to move
RATES = ("positions", "velocities", "accelerations")
CODES = {  # moveit_msgs/MoveItErrorCodes
    99999: "failure",
    -1: "planning failed",
    -2: "invalid motion plan",
    -3: "the plan was invalidated by a change of the environment",
    -4: "the controller failed",
    -5: "no sensor data",
    -6: "timed out",
    -7: "preempted",
    -10: "the start state is in collision",
    -11: "the start state violates path constraints",
    -12: "the goal is in collision",
    -13: "the goal violates path constraints",
    -14: "goal constraints violated",
    -15: "invalid group name",
    -16: "invalid goal constraints",
    -17: "invalid robot state",
    -18: "invalid link name",
    -19: "invalid object name",
    -21: "frame transform failure",
    -22: "collision checking is not available",
    -23: "the robot's state is stale",
    -24: "sensor data are stale",
    -25: "communication failure",
    -26: "the start state is invalid",
    -27: "the goal state is invalid",
    -28: "unrecognized goal type",
    -31: "no inverse kinematics solution",
}


def way_to(group: str, positions: Mapping[str, float], speed_scale: float, scene: Any) -> MoveGroup.Goal:
    """Return the goal to plan and run a way of one group to joint values.

    Args:
        group: planning group. positions: rad by joint.
        speed_scale: share of the velocity and acceleration limits used.
        scene: change of the planning scene that this planning must know of.
    """
    from moveit_msgs.action import MoveGroup
    from moveit_msgs.msg import Constraints, JointConstraint

    goal = MoveGroup.Goal()
    request, options = goal.request, goal.planning_options
    request.group_name = group
    request.start_state.is_diff = True
    request.num_planning_attempts = ATTEMPTS
    request.allowed_planning_time = PLANNING_TIME
    request.max_velocity_scaling_factor = request.max_acceleration_scaling_factor = float(speed_scale)
    request.goal_constraints = [
        Constraints(
            joint_constraints=[
                JointConstraint(
                    joint_name=name,
                    position=float(value),
                    tolerance_above=JOINT_TOLERANCE,
                    tolerance_below=JOINT_TOLERANCE,
                    weight=1.0,
                )
                for name, value in positions.items()
            ]
        )
    ]
    options.plan_only = False
    options.planning_scene_diff = scene
    return goal


def run(part: JointTrajectory, start: Sequence[float]) -> ExecuteTrajectory.Goal:
    """Return the goal to run one of our trajectories as it is.

    MoveIt compares the first point with the robot's present state, so that it is the one at time 0.
    `controller_names`, which newer versions have, stays empty: MoveIt finds the controllers by the joints.

    Args:
        part: of the arm or the hand. start: (J,) rad where it begins.
    """
    from moveit_msgs.action import ExecuteTrajectory

    goal = ExecuteTrajectory.Goal()
    goal.trajectory.joint_trajectory = _with_start(part, np.asarray(start, dtype=np.float64))
    return goal


def shown(trajectory: RobotTrajectory, start: Mapping[str, float]) -> DisplayTrajectory:
    """Return a whole plan for display; it begins where the robot stood, rad by joint."""
    from moveit_msgs.msg import DisplayTrajectory
    from moveit_msgs.msg import RobotTrajectory as RobotTrajectoryMessage

    both = _joined((trajectory.arm, trajectory.hand))
    message = RobotTrajectoryMessage()
    message.joint_trajectory = _with_start(both, np.array([start[name] for name in both.joint_names]))
    return DisplayTrajectory(trajectory=[message], trajectory_start=_state(start))


def phase(trajectory: RobotTrajectory, name: str) -> tuple[JointTrajectory, np.ndarray] | None:
    """Return what moves in a phase, arm or hand or both, with its own time, and where (J,) rad it begins.

    A part that stands still is left out: fingers that press on an object are not where their commands are, and
    MoveIt would refuse to start from there. None where nothing moves.

    The phase must not be the first: that one's beginning is not a point of the trajectory.
    """
    begin, end = trajectory.phases[name]
    times = trajectory.arm.times
    half = 0.5 * float(np.diff(times).min())  # times are sums: compare with room
    rows = np.flatnonzero((times > begin + half) & (times < end + half))
    before = int(rows[0]) - 1
    parts = [
        part
        for part in (trajectory.arm, trajectory.hand)
        if np.abs(part.positions[rows] - part.positions[before]).max() > MOVES
    ]
    if not parts:
        return None
    moving = _joined(parts)
    cut = (getattr(moving, key)[rows] for key in RATES)
    return JointTrajectory(moving.joint_names, times[rows] - begin, *cut), moving.positions[before]


def failure_of(result: Any) -> str:
    """Return why a result of MoveIt is no success, or ""."""
    code = result.error_code
    if code.val == SUCCESS:
        return ""
    meaning = CODES.get(code.val, f"MoveIt error code {code.val}")
    message = getattr(code, "message", "")  # newer versions say more
    return f"{meaning} ({message})" if message else meaning


def _joined(parts: Sequence[JointTrajectory]) -> JointTrajectory:
    """Return arm and hand, which share their times, as one."""
    names = tuple(name for part in parts for name in part.joint_names)
    arrays = (np.concatenate([getattr(part, key) for part in parts], axis=1) for key in RATES)
    return JointTrajectory(names, parts[0].times, *arrays)


def _with_start(part: JointTrajectory, start: np.ndarray) -> Any:
    still = np.zeros((1, len(start)))
    rows = (
        np.concatenate([first, rest])
        for first, rest in (
            (start[None], part.positions), (still, part.velocities), (still, part.accelerations),
        )
    )  # fmt: skip
    return trajectory_message(part.joint_names, np.concatenate([[0.0], part.times]), *rows)


def _state(positions: Mapping[str, float]) -> RobotState:
    from moveit_msgs.msg import RobotState
    from sensor_msgs.msg import JointState

    state = RobotState(is_diff=True)
    state.joint_state = JointState(name=list(positions), position=[float(value) for value in positions.values()])
    return state
