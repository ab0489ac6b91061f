"""One goal of one action server, from its sending to its end, and goals that belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from maskdex_core.errors import RobotError
from maskdex_ros.outputs.output import CANCELLED, Events, Task

if TYPE_CHECKING:
    from rclpy.node import Node

ACCEPT_WITHIN = 5.0  # [s] that a server gets to accept or reject
CHECK_EVERY = 0.5  # [s] between looks whether the server is still there
SUCCEEDED, CANCELED = 4, 5  # action_msgs/GoalStatus


class ActionGoal:
    """A goal that is followed to its end, whatever the server does or fails to do.

    Nothing is left running behind the caller's back: a goal that is accepted after it was given up, or after
    it was cancelled, is cancelled as soon as its handle is there.
    """

    def __init__(
        self,
        node: Node,
        client: Any,
        who: str,
        goal: Any,
        judge: Callable[[Any], str],
        describe: Callable[[Any], str] = lambda feedback: "",
    ) -> None:
        """Prepare a goal; nothing is sent before `start`.

        Args:
            node: for timers. client: `ActionClient` of the server. who: names the server in reasons.
            goal: of the client's action.
            judge: why a result is no success, or "". describe: a feedback in a few words, or "".
        """
        self._node, self._client, self._goal = node, client, goal
        self._who, self._judge, self._describe = who, judge, describe
        self._events: Events | None = None
        self._handle: Any = None
        self._timer: Any = None
        self._waited = 0.0
        self._cancelled = False

    def start(self, events: Events) -> None:
        """Send the goal.

        Raises:
            RobotError: when there is no such server.
        """
        require_server(self._client, self._who)
        self._events = events
        self._timer = self._node.create_timer(CHECK_EVERY, self._check_server, clock=_steady_clock())
        future = self._client.send_goal_async(self._goal, feedback_callback=self._on_feedback)
        future.add_done_callback(self._guarded(self._on_response))

    def cancel(self) -> None:
        """Ask the server to cancel; a goal that is not accepted yet is cancelled when it is."""
        self._cancelled = True
        if self._handle is not None and self._events is not None:
            self._handle.cancel_goal_async()

    def forget(self) -> None:
        """Hear nothing of the goal any more; where it was cancelled, that goes on."""
        self._events = None
        self._end("")

    def _on_response(self, future: Any) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            self._end(f"{self._who} rejected the goal")
            return
        if self._cancelled or self._events is None:
            handle.cancel_goal_async()
        self._handle = handle  # kept: the client holds it weakly
        handle.get_result_async().add_done_callback(self._guarded(self._on_result))
        if self._events is not None:
            self._events.accepted()

    def _on_feedback(self, message: Any) -> None:
        text = self._describe(message.feedback)
        if text and self._events is not None:
            self._events.progress(f"{self._who}: {text}")

    def _on_result(self, future: Any) -> None:
        answer = future.result()
        reason = self._judge(answer.result)
        if answer.status == SUCCEEDED and not reason:
            self._end("")
        elif self._cancelled:
            self._end(CANCELLED)
        elif answer.status == CANCELED:
            self._end(f"{self._who}: the goal was cancelled by the server or another client")
        else:
            self._end(f"{self._who}: {reason or 'the goal was aborted'}")

    def _check_server(self) -> None:
        self._waited += CHECK_EVERY
        if not self._client.server_is_ready():
            self._end(f"{self._who}: the action server is gone")
        elif self._handle is None and self._waited > ACCEPT_WITHIN:
            self._end(f"{self._who} did not answer the goal within {ACCEPT_WITHIN:.0f} s")

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Wrap a callback: an exception in it ends the goal with a reason, and not the executor."""

        def call(future: Any) -> None:
            try:
                callback(future)
            except Exception as error:
                self.cancel()
                self._end(f"{self._who}: {type(error).__name__}: {error}")

        return call

    def _end(self, reason: str) -> None:
        events, self._events = self._events, None
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        if events is not None:
            events.ended(reason)


class Together:
    """Tasks that start at once; when one of them fails, the others are cancelled."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        """Prepare at least one task."""
        self._tasks = list(tasks)
        self._reason = ""
        self._accepted = self._ended = 0

    def start(self, events: Events) -> None:
        """Start all of them.

        Raises:
            RobotError: when one cannot be started; those that were are cancelled.
        """

        def accepted() -> None:
            self._accepted += 1
            if self._accepted == len(self._tasks) and not self._reason:
                events.accepted()

        def ended(reason: str) -> None:
            self._ended += 1
            if reason and not self._reason:
                self._reason = reason
                self.cancel()
            if self._ended == len(self._tasks):
                events.ended(self._reason)

        for index, task in enumerate(self._tasks):
            try:
                task.start(Events(accepted, events.progress, ended))
            except RobotError:
                for started in self._tasks[:index]:
                    started.cancel()
                raise

    def cancel(self) -> None:
        """Cancel all of them; one that has ended does not mind."""
        for task in self._tasks:
            task.cancel()

    def forget(self) -> None:
        """Hear nothing of them any more."""
        for task in self._tasks:
            task.forget()


def _steady_clock() -> Any:
    """Return a clock that goes on when the node's time stands still or jumps."""
    from rclpy.clock import Clock, ClockType

    return Clock(clock_type=ClockType.STEADY_TIME)


def require_server(client: Any, who: str) -> None:
    """Make sure that an action server is there.

    Raises:
        RobotError: when it is not.
    """
    if not client.server_is_ready():
        raise RobotError(f"{who}: no such action server; is it running, and is its name right?")
