"""The lifecycle node `maskdex`: a cloud and a sentence in, checked joint trajectories out.

One executor thread answers and one worker thread plans; only loading blocks the executor.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import JointState, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import Trigger

from maskdex_core.errors import MaskdexError, PlanCancelled
from maskdex_ros import parameters as node_parameters
from maskdex_ros.clock_watch import StampWatch, watch_clock
from maskdex_ros.diagnostics import Health
from maskdex_ros.feedback import Feedback
from maskdex_ros.grasp_service import GraspService
from maskdex_ros.inputs import Inputs
from maskdex_ros.motion import MOVING
from maskdex_ros.outputs.output import CANCELLED
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.planning import Outcome, build_planner, check_frame, failure
from maskdex_ros.process import run_node
from maskdex_ros.qos import points_profile, profile
from maskdex_ros.robot_link import RobotLink
from maskdex_ros.ros_packages import available
from maskdex_ros.session import PlanningSession
from maskdex_ros.transforms import TransformSource
from maskdex_ros.waiting import WaitingText

PlannerFactory = Callable[[NodeParameters], Any]
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
FAREWELL = 0.3  # [s] between the answer to `shutdown` and the end of the process


class GraspNode(LifecycleNode):
    """Turns messages into planner calls and plans into messages."""

    def __init__(self, planner_factory: PlannerFactory = build_planner, **kwargs: Any) -> None:
        """Declare parameters and services; nothing is loaded before `configure`.

        Args:
            planner_factory: makes the planner from the parameters; tests inject their own.
            **kwargs: passed to `LifecycleNode`.

        Raises:
            ConfigError: when a parameter given at start is out of range.
        """
        super().__init__("maskdex", **kwargs)
        node_parameters.declare(self)
        self.finished: Future[None] = Future()
        self._planner_factory = planner_factory
        self._health = Health()
        self._inputs = Inputs()
        self._feedback = Feedback(self)
        self._grasps: GraspService | None = None
        self._listening: list[Any] = []
        self._waiting = WaitingText(self._once, self.destroy_timer)
        self._active_since = 0.0
        self._stamps = StampWatch()
        # Housekeeping goes on when the node's time stands still or jumps.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._jumps = watch_clock(self, self._on_time_jump)
        self._session = PlanningSession(
            self._inputs, TransformSource(self), self._settings, self._post, self._deliver, self._on_stage
        )
        self._robot = RobotLink(
            self, self._session, self._inputs, self._on_motion, self._on_motion_end, self._note_problem
        )
        self.add_on_set_parameters_callback(self._refuse_fixed)
        # A service that waits for its plan must not hold the default group, where one excludes all others.
        self._group = ReentrantCallbackGroup()
        for name in ("plan", "resample", "execute", "cancel"):
            callback = getattr(self, f"_serve_{name}")
            self.create_service(Trigger, f"~/{name}", callback, callback_group=self._group)
        self.create_timer(1.0, self._guarded(self._tick), callback_group=self._group, clock=self._steady)
        if self._settings().autostart:
            self._once(0.0, self._autostart)

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the planner and warm it up."""
        try:
            settings = self._settings()
            planner = self._planner_factory(settings)
            check_frame(planner, settings)
            planner.warm_up()
            self._robot.configure(planner, settings)
            if available("moveit_msgs.srv"):
                plan, heard = self._session.plan, lambda: self._inputs.text
                self._grasps = GraspService(self, planner, plan, heard, self._group)
        except Exception as error:  # a node that cannot load stays alive and says why
            self._robot.release()
            self._deliver(failure(error, ""))
            return FAILURE
        self._session.planner = planner
        self._feedback.configure()
        self._enter("inactive")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and accept work."""
        reliability = self._settings().points_reliability
        points = points_profile(self, self.resolve_topic_name("points"), reliability)
        # Arm and hand publish joints at the same instant: with depth 1 one of them would always be lost.
        joints = profile(10, reliable=False)
        take_joints = self._guarded(self._inputs.take_joints)
        self._listening = [
            self.create_subscription(PointCloud2, "points", self._guarded(self._on_points), points),
            self.create_subscription(String, "task_text", self._guarded(self._on_text), profile(10)),
            self.create_subscription(JointState, "joint_states", take_joints, joints),
        ]
        self._active_since = time.monotonic()
        self._health.last_error = ""
        self._session.accepting = True
        self._enter("active")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Cancel what runs and stop listening."""
        self._stop()
        self._enter("inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the planner and the managed publishers."""
        self._release()
        self._enter("unconfigured")
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop everything; a finalized node can do nothing more, so its process ends a moment later."""
        self._stop()
        self._release()
        self._enter("finalized")
        self._once(FAREWELL, lambda: self.finished.set_result(None))
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured after an error inside a transition."""
        self._stop()
        self._release()
        self._enter("unconfigured")
        return SUCCESS

    def close(self, timeout: float) -> bool:
        """End the worker; return False when a job did not stop in `timeout` (s)."""
        self._session.accepting = False
        return self._session.worker.close(timeout)

    def _stop(self) -> None:
        self._waiting.take()
        self._robot.stop()
        if not self._session.stop():
            self.get_logger().warning("the running plan did not stop in time; its result will be dropped")
        for subscription in self._listening:
            self.destroy_subscription(subscription)
        self._listening = []
        self._inputs.forget()
        self._feedback.clear(self._settings().base_frame)

    def _release(self) -> None:
        self._session.release()
        self._feedback.cleanup()
        self._robot.release()
        if self._grasps is not None:
            self._grasps.destroy()
            self._grasps = None

    def _enter(self, state: str) -> None:
        self._health.state = state
        self.get_logger().info(state)

    def _autostart(self) -> None:
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    # Inputs

    def _on_points(self, message: PointCloud2) -> None:
        stamp = message.header.stamp
        self._inputs.take_cloud(message, lag=self._seconds() - stamp.sec - 1e-9 * stamp.nanosec)
        jump = self._stamps.jump_back(stamp)
        if jump:
            self._happened(f"the stamps of the clouds jumped back by {jump:.2f} s")
        if self._waiting.there:
            self._session.plan(self._waiting.take())

    def _on_text(self, message: String) -> None:
        self._inputs.text = message.data
        self._session.withdraw()  # now, not when a cloud comes
        settings = self._settings()
        if self._inputs.has_cloud(settings.max_cloud_age) or settings.cloud_timeout == 0:
            self._session.plan(message.data)
            return
        self.get_logger().info(f"waiting up to {settings.cloud_timeout} s for a cloud on 'points'")
        self._answer_waiting("a newer text came before a cloud did")
        self._waiting.begin(message.data, settings.cloud_timeout, self._session.plan)

    def _answer_waiting(self, why: str) -> bool:
        """Answer the text that waits for a cloud, if there is one: every command gets an answer."""
        if not self._waiting.there:
            return False
        self._deliver(failure(PlanCancelled(why), self._waiting.take()))
        return True

    def _on_time_jump(self, seconds: float) -> None:
        # What was heard and planned before the jump belongs to another present.
        self._session.withdraw()
        self._session.cancel()
        self._inputs.forget()
        self._happened(f"time jumped back by {seconds:.2f} s: clouds, joints and plans from before are dropped")

    # Services

    async def _serve_plan(self, request: Any, response: Any) -> Any:
        return await self._answer(response, lambda: self._session.plan(self._inputs.last_text()))

    async def _serve_resample(self, request: Any, response: Any) -> Any:
        return await self._answer(response, self._session.resample)

    async def _serve_execute(self, request: Any, response: Any) -> Any:
        reason = await self._robot.execute()
        response.success, response.message = not reason, reason or "trajectories sent"
        return response

    def _serve_cancel(self, request: Any, response: Any) -> Any:
        waiting = self._answer_waiting("the plan was cancelled")
        stopping = self._robot.stop()
        response.success = self._session.cancel() or waiting or stopping
        response.message = "cancelling" if response.success else "nothing to cancel"
        return response

    async def _answer(self, response: Any, start: Callable[[], Future[Outcome]]) -> Any:
        try:
            outcome = await start()
        except Exception as error:  # the answer says what went wrong, and the node goes on
            outcome = failure(error, "")
            self._session.withdraw()
            self._deliver(outcome)
        response.success, response.message = outcome.ok, outcome.reason
        return response

    def _on_motion(self, state: str) -> None:
        self._feedback.stage(state)
        self._health.counts["sent"] += state == MOVING
        self.get_logger().info(f"robot: {state}")
        self._wake()

    def _on_motion_end(self, reason: str) -> None:
        if reason == CANCELLED:
            self._happened("the motion was cancelled on its way")
        elif reason:
            self._note_problem(f"the motion did not arrive: {reason}", None)
        self._wake()

    # Outputs

    def _deliver(self, outcome: Outcome) -> None:
        """Publish an outcome; runs on the executor."""
        if not self.context.ok():
            return  # a signal has ended ROS: what failed, failed for that, and nobody can hear it
        self._health.counts[outcome.status] += 1
        if outcome.status in ("error", "busy"):
            self._note_problem(outcome.reason, outcome.cause, kept=outcome.status == "error")
            if outcome.status == "error":
                self._feedback.clear(self._settings().base_frame)
        else:
            self._health.last_error = ""
            self._feedback.show(outcome.plan, self._settings().base_frame, self._settings().plan_max_age)
            self._robot.show(outcome.plan)
            self.get_logger().info(f"{outcome.status}: {outcome.reason}")
        self._feedback.report(outcome.report())
        if outcome.ok and self._settings().execute:
            self._robot.execute()

    def _happened(self, event: str) -> None:
        self._health.happened(event)
        self.get_logger().warning(event)

    def _note_problem(self, reason: str, error: BaseException | None, kept: bool = True) -> None:
        if kept:
            self._health.last_error = reason
            self.get_logger().warning(reason)
        else:  # a flood of requests must not become a flood of lines
            self.get_logger().warning(reason, throttle_duration_sec=1.0)
        if error is not None and not isinstance(error, MaskdexError):
            self.get_logger().error("".join(traceback.format_exception(error)))

    def _on_stage(self, name: str) -> None:
        def tell() -> None:
            self._feedback.stage(name)
            self._feedback.state(f"{self._session.worker.running}: {name}", "ok", self._settings().base_frame)

        self._post(tell)

    def _tick(self) -> None:
        health, inputs = self._health, self._inputs
        health.working_on = self._session.worker.running
        health.clouds_received, health.cloud_age = inputs.clouds_received, inputs.cloud_age
        health.cloud_stamp = self._stamps.last
        health.joint_states_received = inputs.joint_states_received
        health.motion = self._robot.text
        health.active_for = time.monotonic() - self._active_since
        health.max_cloud_age = self._settings().max_cloud_age
        health.point_publishers = self.count_publishers(self.resolve_topic_name("points"))
        frame = self._settings().base_frame
        if not self._session.has_plan:
            self._feedback.clear(frame)
        self._feedback.diagnostics(health, frame)

    # Plumbing

    def _settings(self) -> NodeParameters:
        return node_parameters.read(self)

    def _refuse_fixed(self, changes: list[Any]) -> Any:
        if self._session.planner is None:
            return SetParametersResult(successful=True)
        return node_parameters.refuse_fixed(self, changes)

    def _seconds(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _post(self, call: Callable[[], None]) -> None:
        """Run a callable on the executor's thread, with whatever waits for it afterwards."""

        def run() -> None:
            self._guarded(call)()
            self._wake()

        if self.executor is not None:
            self.executor.create_task(run)

    def _wake(self) -> None:
        # A waiting coroutine is polled once a turn of the executor: make sure that there is one.
        if self.executor is not None:
            self.executor.wake()

    def _once(self, delay: float, call: Callable[[], Any]) -> Any:
        def fire() -> None:
            self.destroy_timer(timer)
            call()

        timer = self.create_timer(delay, self._guarded(fire), callback_group=self._group, clock=self._steady)
        return timer

    def _guarded(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """Wrap a callback so that no exception can leave the executor and end the node."""

        @wraps(callback)
        def call(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:  # reported; the node stays alive
                self._deliver(failure(error, ""))

        return call


def main(args: list[str] | None = None, planner_factory: PlannerFactory = build_planner) -> int:
    """Run the node until it is shut down; SIGINT, SIGTERM and the `shutdown` transition exit with 0."""
    return run_node(lambda: GraspNode(planner_factory), args)


if __name__ == "__main__":
    sys.exit(main())
