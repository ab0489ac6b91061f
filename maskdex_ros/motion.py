"""The one motion that the robot does by this node's order, from its start to its end or its stop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.task import Future

from maskdex_core.errors import MaskdexError, RobotError
from maskdex_core.motion.types import JointTrajectory, RobotTrajectory
from maskdex_ros.joint_states import JointStateStore
from maskdex_ros.outputs.output import Events, Output

# Farther than this (rad) from where the plan is by now, a joint does not follow it, and neither would it a stop.
FOLLOWS_WITHIN = 0.2
HOLD_TIME = 0.3  # [s] to come to rest where the robot is, when it is not where the plan is
FRESH = 0.5  # [s] that a joint state tells where a moving robot is

MOVING, STOPPING, AT_REST = "moving", "stopping", "at rest"

Brake = Callable[[RobotTrajectory, float], RobotTrajectory]


class Motion:
    """Starts, follows and stops one trajectory at a time. All methods run on the executor's thread."""

    def __init__(
        self,
        output: Output,
        joints: Callable[[], JointStateStore],
        brake: Brake,
        seconds: Callable[[], float],
        changed: Callable[[str], None],
        ended: Callable[[str], None],
    ) -> None:
        """Start at rest.

        Args:
            output: what moves the robot. joints: where it is.
            brake: (trajectory, s since its start) → the trajectory from there to rest.
            seconds: the node's time. changed: hears "moving", "stopping" and "at rest".
            ended: hears why a motion did not arrive, or "" when it did.
        """
        self._output = output
        self._joints, self._brake, self._seconds = joints, brake, seconds
        self._changed, self._tell_end = changed, ended
        self._trajectory: RobotTrajectory | None = None
        self._answer: Future[str] = Future()
        self._started_at = 0.0
        self._stopping = False
        self._progress = ""

    @property
    def text(self) -> str:
        """What the robot does, in a few words; empty at rest."""
        if self._trajectory is None:
            return ""
        doing = STOPPING if self._stopping else MOVING
        return f"{doing}: {self._progress}" if self._progress else doing

    def require_rest(self) -> None:
        """Make sure that nothing moves by this node's order.

        Raises:
            RobotError: when something does.
        """
        if self._trajectory is not None:
            raise RobotError(f"the robot is still {self.text}; cancel it or wait for its end")

    def start(self, trajectory: RobotTrajectory) -> Future[str]:
        """Start a trajectory.

        Returns:
            A future of "" once everything that runs it has accepted it, or of the reason why not.

        Raises:
            RobotError: when the robot still moves or the trajectory cannot be sent; nothing moves then.
        """
        self.require_rest()
        self._trajectory, self._answer = trajectory, Future()
        self._stopping, self._progress = False, ""
        answer = self._answer
        try:
            self._output.start(trajectory, Events(self._on_accepted, self._on_progress, self._on_ended))
        except MaskdexError:
            self._trajectory = None
            raise
        return answer

    def stop(self) -> bool:
        """Bring the robot to rest before the end of its trajectory; return whether it was moving.

        Raises:
            MaskdexError: when the stop cannot be sent; it may be tried again.
        """
        trajectory = self._trajectory
        if trajectory is None:
            return False
        if not self._stopping:
            self._output.stop(lambda: self._braking(trajectory))
            self._stopping = True
            self._changed(STOPPING)
        return True

    def _braking(self, trajectory: RobotTrajectory) -> RobotTrajectory:
        """Return the way to rest: along the plan while the robot follows it, else where the robot is."""
        at = min(max(self._seconds() - self._started_at, 0.0), trajectory.duration)
        braking = self._brake(trajectory, at)
        parts = (braking.arm, braking.hand)
        try:
            present = self._joints().positions([name for part in parts for name in part.joint_names], FRESH)
        except RobotError:
            return braking  # where the robot is, is not known; most likely it follows
        here = [np.array([present[name] for name in part.joint_names]) for part in parts]
        distances = [np.abs(part.positions[0] - place).max() for part, place in zip(parts, here, strict=True)]
        if max(distances) <= FOLLOWS_WITHIN:
            return braking
        return RobotTrajectory(*(_hold(part.joint_names, place) for part, place in zip(parts, here, strict=True)))

    def _on_accepted(self) -> None:
        self._started_at = self._seconds()
        self._changed(MOVING)
        self._answer.set_result("")

    def _on_progress(self, text: str) -> None:
        self._progress = text

    def _on_ended(self, reason: str) -> None:
        self._trajectory = None
        self._changed(AT_REST)
        if not self._answer.done():
            self._answer.set_result(reason or "ended before it was accepted")
        self._tell_end(reason)


def _hold(names: tuple[str, ...], positions: np.ndarray) -> JointTrajectory:
    still = np.zeros((1, len(names)))
    return JointTrajectory(names, np.array([HOLD_TIME]), positions[None], still, still)
