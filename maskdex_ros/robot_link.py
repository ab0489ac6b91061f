"""Between the last plan and the robot: the chosen output, the running motion, and its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.task import Future

from maskdex_core.errors import UsageError
from maskdex_ros.inputs import Inputs
from maskdex_ros.motion import Motion
from maskdex_ros.outputs import make_output
from maskdex_ros.outputs.output import Output
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.planning import failure
from maskdex_ros.session import PlanningSession

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

Problem = Callable[[str, "BaseException | None"], None]


class RobotLink:
    """Shows, starts and stops plans. Empty until `configure`; all methods run on the executor's thread."""

    def __init__(
        self,
        node: LifecycleNode,
        session: PlanningSession,
        inputs: Inputs,
        on_change: Callable[[str], None],
        on_end: Callable[[str], None],
        on_problem: Problem,
    ) -> None:
        """Remember whom to tell.

        Args:
            node: gets publishers and clients. session: has the last plan. inputs: where the robot is.
            on_change: hears moving, stopping and at rest. on_end: why a motion did not arrive, or "".
            on_problem: a reason why nothing moves, and its cause.
        """
        self._node, self._session, self._inputs = node, session, inputs
        self._on_change, self._on_end, self._on_problem = on_change, on_end, on_problem
        self._output: Output | None = None
        self._motion: Motion | None = None

    @property
    def text(self) -> str:
        """What the robot does by the node's order; empty at rest."""
        return "" if self._motion is None else self._motion.text

    def configure(self, planner: Any, parameters: NodeParameters) -> None:
        """Make the output that the parameters ask for.

        Raises:
            ConfigError: when its message package is not installed.
        """
        self._output = make_output(self._node, planner, parameters)
        self._motion = Motion(
            self._output, lambda: self._inputs.joints, planner.brake, self._seconds, self._on_change, self._on_end
        )

    def show(self, plan: Any) -> None:
        """Show a plan where the output can; nothing moves."""
        try:
            if self._output is not None:
                self._output.show(plan)
        except Exception as error:  # a picture that cannot be drawn is no reason to lose the plan
            self._on_problem(f"the plan cannot be shown: {error}", error)

    def execute(self) -> Future[str]:
        """Start the last plan; the future gets "" once the motion is accepted, or why nothing moves."""
        try:
            if self._motion is not None:
                self._motion.require_rest()
            return self._session.execute(self._start)
        except Exception as error:  # the answer says what went wrong, and the node goes on
            reason = failure(error, "").reason
            self._on_problem(reason, error)
            refused: Future[str] = Future()
            refused.set_result(reason)
            return refused

    def stop(self) -> bool:
        """Bring the robot to rest; return whether it was moving."""
        try:
            return self._motion is not None and self._motion.stop()
        except Exception as error:
            self._on_problem(failure(error, "").reason, error)
            return False

    def release(self) -> None:
        """Remove publishers and clients from the node."""
        if self._output is not None:
            self._output.destroy()
        self._output = self._motion = None

    def _start(self, trajectory: Any) -> Future[str]:
        if self._motion is None:
            raise UsageError("the node is not configured; nothing can move")
        return self._motion.start(trajectory)

    def _seconds(self) -> float:
        return self._node.get_clock().now().nanoseconds * 1e-9
