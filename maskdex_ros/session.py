"""From a request to its answer: what may start, what runs, what the last plan is.

Knows futures and the worker, but no topics: the node hands messages in and publishes what
comes out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rclpy.task import Future

from maskdex_core.errors import MaskdexError, PlanCancelled, RobotError, UsageError
from maskdex_ros.execution import check_executable, check_verdict, present_state
from maskdex_ros.inputs import Inputs
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.planning import (
    Outcome,
    PlanRequest,
    ResampleRequest,
    Stage,
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
    """One planner, one worker, one last plan. All methods run on the executor's thread.

    The plan that may be executed and the plan that is shown are two things: a new request ends
    the first whatever becomes of it, and only a new plan replaces the second.
    """

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
        self._executable: Outcome | None = None
        self._shown: Outcome | None = None
        self._sent = False
        # Stop buttons of the requests without an answer yet: a job's end is heard later than it happens.
        self._unanswered: set[threading.Event] = set()

    def plan(self, text: str, near: Sequence[float] = ()) -> Future[Outcome]:
        """Plan for a task text on the latest cloud; the future gets the outcome, refusals at once.

        Args:
            text: what to do. near: point (m, base) to grasp at, instead of the parameter `object_near`.
        """

        def job() -> tuple[Job, str]:
            from maskdex_core.text.encoder import check_text  # imports torch

            settings, planner, checked = self._read(), self.planner, check_text(text)
            settings = replace(settings, object_near=tuple(near)) if near else settings
            message = self._inputs.cloud(settings.max_cloud_age)
            state = present_state(planner, self._inputs.joints, settings)
            pose = self._transforms.lookup(settings, message.header.frame_id, message.header.stamp)
            request = PlanRequest(
                message, self._inputs.cloud_at, self._inputs.cloud_lag, checked, pose, state, settings
            )
            return lambda cancelled: run_plan(planner, request, cancelled, self._on_stage), checked

        return self._start(job, text)

    def resample(self) -> Future[Outcome]:
        """Draw the parts in `edit.parts` of the plan shown last again."""

        def job() -> tuple[Job, str]:
            from maskdex_core.text.encoder import check_text

            settings, planner, last = self._read(), self.planner, self._shown
            if last is None:
                raise UsageError("there is no plan to resample; plan first")
            text = check_text(settings.edit_text) if settings.edit_text else ""
            state = present_state(planner, self._inputs.joints, settings)
            request = ResampleRequest(text, state, settings)
            label = f"resample {', '.join(settings.edit_parts)}"
            return lambda cancelled: run_resample(planner, last, request, cancelled, self._on_stage), label

        return self._start(job, self._shown.text if self._shown else "")

    def execute(self, start: Callable[[Any], Future[str]]) -> Future[str]:
        """Hand the last plan's trajectory to `start` if it may move the robot now.

        Args:
            start: begins the motion; its future gets "" once that is accepted, or why nothing moves.

        Raises:
            MaskdexError: with the reason why nothing may move. A plan that did not start may be tried again.
        """
        trajectory = self.executable()
        try:
            answer = start(trajectory)
        except MaskdexError:
            self._sent = False
            raise
        plan = self._executable

        def on_answer(future: Future[str]) -> None:
            if future.result() and self._executable is plan:
                self._sent = False

        answer.add_done_callback(on_answer)
        return answer

    def executable(self) -> Any:
        """Return the last plan's trajectory if it may move the robot now, and count it as sent.

        Raises:
            MaskdexError: with the reason why nothing may move.
        """
        self._require_accepting()
        if self._unanswered:
            raise UsageError(f"busy with {self.worker.running!r}; nothing was executed")
        if self._sent and self._executable is not None:
            raise RobotError("the last plan was sent already; plan again")
        settings, outcome = self._read(), self._executable
        trajectory = check_executable(outcome, self._inputs.joints, settings)
        check_verdict(self.planner, outcome, present_state(self.planner, self._inputs.joints, settings))
        self._sent = True
        return trajectory

    @property
    def has_plan(self) -> bool:
        """Whether the last plan still stands: nothing newer was asked for, and nothing ended it."""
        return self._executable is not None

    def withdraw(self) -> None:
        """Make sure that no plan made so far can be executed."""
        self._executable = None

    def cancel(self) -> bool:
        """End every request without an answer yet without a plan; return whether there was one."""
        self.worker.cancel()
        for stopped in self._unanswered:
            stopped.set()
        return bool(self._unanswered)

    def stop(self) -> bool:
        """Accept nothing more, drop the plans and cancel what runs; return False when it did not end in time."""
        self.accepting = False
        self._executable = self._shown = None
        self.cancel()
        return self.worker.wait_idle(STOP_TIMEOUT)

    def release(self) -> None:
        """Drop the planner and the plans."""
        self.planner = self._executable = self._shown = None

    def _start(self, make_job: Callable[[], tuple[Job, str]], text: str) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        stopped = threading.Event()

        def done(result: Any, error: BaseException | None) -> None:
            outcome = result if error is None else failure(error, text)
            self._post(lambda: self._finish(outcome, future, stopped))

        try:
            self._require_accepting()
            job, label = make_job()
        except Exception as error:  # refused at the door
            self._finish(failure(error, text), future, stopped)
            return future
        if self.worker.submit(job, done, label):
            self._unanswered.add(stopped)
            self.withdraw()
        else:
            self._finish(Outcome("busy", f"busy with {self.worker.running!r}; ask again", text), future, stopped)
        return future

    def _finish(self, outcome: Outcome, future: Future[Outcome], stopped: threading.Event) -> None:
        self._unanswered.discard(stopped)
        if outcome.plan is not None and (stopped.is_set() or not self.accepting):
            outcome = failure(PlanCancelled("the plan was cancelled"), outcome.text)
        if outcome.plan is not None:
            self._shown = outcome
        # A plan whose successor already runs is shown, but no longer asked for.
        self._executable, self._sent = (None if outcome.plan is None or self._unanswered else outcome), False
        try:
            self._deliver(outcome)
        finally:
            future.set_result(outcome)

    def _require_accepting(self) -> None:
        if not self.accepting:
            raise UsageError("the node is not active; configure and activate it first")
