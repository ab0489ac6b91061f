"""One lift: a planned trajectory runs in the simulated world, and the object is held at the end or not.

Lifted means: 10 cm or more above where it rested when the arm stops, still so 2 s later, and turned by less
than 45° from how it lay, all the time from the end of the lift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from maskdex_core.motion.types import APPROACH, CLOSE, JointTrajectory, RobotTrajectory
from maskdex_core.physics.table_world import TableWorld
from maskdex_core.physics.trajectory_controller import PointTrajectory, TrajectoryController

HEIGHT = 0.10  # m
TURN = np.deg2rad(45.0)
HOLD = 2.0  # s
CONTROL_STEP = 0.004  # s between two goals of the servos, as of a 250 Hz controller
PUSHED = 0.03  # m that the object may slide before the hand begins to close
LIFTED, SLIP, TIP_OVER, TURNED, PUSHED_AWAY = "lifted", "slip", "tip-over", "turned", "pushed away"
OUTCOMES = (LIFTED, SLIP, TIP_OVER, TURNED, PUSHED_AWAY)

Watch = Callable[[TableWorld], None]


@dataclass(frozen=True)
class LiftResult:
    """What became of the object.

    Attributes:
        outcome: lifted; slip (lost, or never rose); tip-over (fell over before it rose); turned (held, but turned
            by 45° or more); pushed away (by more than 3 cm, before the hand closed).
        height: m above its rest after the 2 s. turn: rad from its rest, the largest after the lift.
        pushed: m that it slid on the table before the hand closed.
    """

    outcome: str
    height: float
    turn: float
    pushed: float


class LiftWatch:
    """Watches one object from its rest to the end of a lift."""

    def __init__(self, world: TableWorld) -> None:
        """Start where the object rests now."""
        self._rest = world.object_pose
        self._pushed = 0.0
        self._tipped = False
        self._least, self._turn = np.inf, 0.0

    def before_closing(self, world: TableWorld) -> None:
        """Look while the hand comes nearer."""
        away = world.object_pose[:2, 3] - self._rest[:2, 3]
        self._pushed = max(self._pushed, float(np.linalg.norm(away)))
        self.moving(world)

    def moving(self, world: TableWorld) -> None:
        """Look while the object may still be on the table."""
        on_table = world.touches_object()[1]
        self._tipped |= on_table and _turn_between(self._rest, world.object_pose) > TURN

    def holding(self, world: TableWorld) -> None:
        """Look after the lift."""
        pose = world.object_pose
        self._least = min(self._least, float(pose[2, 3] - self._rest[2, 3]))
        self._turn = max(self._turn, _turn_between(self._rest, pose))

    def result(self) -> LiftResult:
        """Return what became of the object."""
        if self._least >= HEIGHT:
            outcome = LIFTED if self._turn < TURN else TURNED
        elif self._pushed > PUSHED:
            outcome = PUSHED_AWAY
        else:
            outcome = TIP_OVER if self._tipped else SLIP
        return LiftResult(outcome, self._least, self._turn, self._pushed)


def run_lift(world: TableWorld, trajectory: RobotTrajectory, watch: Watch | None = None) -> LiftResult:
    """Run a trajectory from where the world stands, hold for 2 s, and judge.

    Args:
        world: object at rest, robot at the trajectory's start.
        trajectory: of arm and hand.
        watch: called after every control step.
    """
    controllers = controllers_at(world)
    began, phases = world.time, trajectory.phases
    for controller, part in zip(controllers, (trajectory.arm, trajectory.hand), strict=True):
        controller.accept(point_trajectory(part), began)
    looker = LiftWatch(world)
    closing = phases.get(CLOSE, phases.get(APPROACH, (0.0, 0.0)))[0]
    while world.time < began + trajectory.duration + HOLD:
        follow(world, controllers, world.time)
        world.advance(CONTROL_STEP)
        since = world.time - began
        if since <= closing:
            looker.before_closing(world)
        elif since <= trajectory.duration:
            looker.moving(world)
        else:
            looker.holding(world)
        if watch is not None:
            watch(world)
    return looker.result()


def controllers_at(world: TableWorld) -> tuple[TrajectoryController, TrajectoryController]:
    """Return controllers of arm and hand that hold the robot where it stands."""
    state = world.robot_state
    return (
        TrajectoryController(state.arm_joint_names, state.arm_positions),
        TrajectoryController(state.hand_joint_names, state.hand_positions),
    )


def follow(world: TableWorld, controllers: tuple[TrajectoryController, TrajectoryController], time: float) -> None:
    """Give the servos the controllers' goals at a time."""
    goals = [controller.sample(time) for controller in controllers]
    world.command(np.concatenate([q for q, _ in goals]), np.concatenate([v for _, v in goals]))


def point_trajectory(part: JointTrajectory) -> PointTrajectory:
    """Return a planned trajectory as a controller receives it."""
    return PointTrajectory(
        part.joint_names, part.times.tolist(), part.positions.tolist(), part.velocities.tolist(),
        part.accelerations.tolist(),
    )  # fmt: skip


def _turn_between(first: np.ndarray, second: np.ndarray) -> float:
    """Return the angle (rad) between two poses (4, 4)."""
    cosine = (np.trace(first[:3, :3].T @ second[:3, :3]) - 1) / 2
    return float(np.arccos(np.clip(cosine, -1, 1)))
