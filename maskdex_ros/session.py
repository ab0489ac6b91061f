"""From a request to its answer: what may start, what runs, what the last plan is.

Knows futures and the worker, but no topics: the node hands messages in and publishes what
comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.task import Future

from maskdex_core.errors import RobotError, UsageError
from maskdex_ros.execution import check_executable, check_verdict, present_state
from maskdex_ros.inputs import Inputs
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.planning import (
    Outcome,
    PlanRequest,
    ResampleRequest,
    Stage,
    check_text,
    failure,
    run_plan,
    run_resample,
)
from maskdex_ros.transforms import TransformSource
from maskdex_ros.worker import InferenceWorker, Job

STOP_TIMEOUT = 10.0  # [s] a cancelled job gets to end
Deliver = Callable[[Outcome], None]
Post = Callable[[Callable[[], None]], None]


class PlanningSession:
    """One planner, one worker, one last plan. All methods run on the executor's thread."""

    def __init__(
        self,
        inputs: Inputs,
        transforms: TransformSource,
        read_parameters: Callable[[], NodeParameters],
        post: Post,
        deliver: Deliver,
        on_stage: Stage,
    ) -> None:
        """Start a worker without a planner.

        Args:
            inputs: what the node last heard.
            transforms: where the camera stands.
            read_parameters: reads the node's parameters now.
            post: runs a callable on the executor's thread.
            deliver: publishes an outcome; called on the executor's thread.
            on_stage: hears the name of each stage; called on the worker's thread.
        """
        self.worker = InferenceWorker()
        self.planner: Any = None
        self.accepting = False
        self._inputs, self._transforms = inputs, transforms
        self._read, self._post, self._deliver, self._on_stage = read_parameters, post, deliver, on_stage
        self._last: Outcome | None = None
        self._sent = False

    def plan(self, text: str) -> Future[Outcome]:
        """Plan for a task text on the latest cloud; the future gets the outcome, refusals at once."""

        def job() -> tuple[Job, str]:
            settings, planner, checked = self._read(), self.planner, check_text(text)
            message = self._inputs.cloud(settings.max_cloud_age)
            state = present_state(planner, self._inputs.joints, settings)
            pose = self._transforms.lookup(settings, message.header.frame_id, message.header.stamp)
            request = PlanRequest(message, checked, pose, state, settings)
            return lambda cancelled: run_plan(planner, request, cancelled, self._on_stage), checked

        return self._start(job, text)

    def resample(self) -> Future[Outcome]:
        """Draw the parts in `edit.parts` of the last plan again."""

        def job() -> tuple[Job, str]:
            settings, planner, last = self._read(), self.planner, self._last
            if last is None:
                raise UsageError("there is no plan to resample; plan first")
            text = check_text(settings.edit_text) if settings.edit_text else ""
            state = present_state(planner, self._inputs.joints, settings)
            request = ResampleRequest(text, state, settings)
            label = f"resample {', '.join(settings.edit_parts)}"
            return lambda cancelled: run_resample(planner, last, request, cancelled, self._on_stage), label

        return self._start(job, self._last.text if self._last else "")

    def executable(self) -> Any:
        """Return the last plan's trajectory if it may move the robot now, and count it as sent.

        Raises:
            MaskdexError: with the reason why nothing may move.
        """
        self._require_accepting()
        if self.worker.busy:
            raise UsageError(f"busy with {self.worker.running!r}; nothing was executed")
        if self._sent:
            raise RobotError("the last plan was sent already; plan again")
        settings, outcome = self._read(), self._last
        trajectory = check_executable(outcome, self._inputs.joints, settings)
        check_verdict(self.planner, outcome, present_state(self.planner, self._inputs.joints, settings))
        self._sent = True
        return trajectory

    def stop(self) -> bool:
        """Accept nothing more and cancel what runs; return False when it did not end in time."""
        self.accepting = False
        self.worker.cancel()
        return self.worker.wait_idle(STOP_TIMEOUT)

    def release(self) -> None:
        """Drop the planner and the last plan."""
        self.planner = self._last = None

    def _start(self, make_job: Callable[[], tuple[Job, str]], text: str) -> Future[Outcome]:
        future: Future[Outcome] = Future()

        def done(result: Any, error: BaseException | None) -> None:
            outcome = result if error is None else failure(error, text)
            self._post(lambda: self._finish(outcome, future))

        try:
            self._require_accepting()
            job, label = make_job()
        except Exception as error:  # refused at the door
            self._finish(failure(error, text), future)
            return future
        if not self.worker.submit(job, done, label):
            self._finish(Outcome("busy", f"busy with {self.worker.running!r}; ask again", text), future)
        return future

    def _finish(self, outcome: Outcome, future: Future[Outcome]) -> None:
        if outcome.plan is not None and not self.accepting:
            outcome = Outcome("error", "cancelled: the node was deactivated", outcome.text)
        if outcome.plan is not None:
            self._last, self._sent = outcome, False
        try:
            self._deliver(outcome)
        finally:
            future.set_result(outcome)

    def _require_accepting(self) -> None:
        if not self.accepting:
            raise UsageError("the node is not active; configure and activate it first")
