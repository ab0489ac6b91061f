"""Tasks in turn: the next begins when the one before it arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskdex_core.errors import MaskdexError
from maskdex_ros.outputs.output import CANCELLED, Events, Task


@dataclass(frozen=True)
class Step:
    """One task of a sequence: its name in progress and reasons, and how it is made when its turn comes."""

    name: str
    make: Callable[[], Task]


class InTurn:
    """A sequence of steps, accepted with its first one; what fails or is cancelled ends it."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Prepare at least one step; nothing is made before its turn."""
        self._steps = list(steps)
        self._next = 0
        self._task: Task | None = None
        self._events: Events | None = None
        self._cancelled = self._accepted = False

    def start(self, events: Events) -> None:
        """Start the first step.

        Raises:
            RobotError: when it cannot be started.
        """
        self._events = events
        try:
            self._begin_next()
        except MaskdexError:
            self._events = None
            raise

    def cancel(self) -> None:
        """Cancel the running step; no other begins."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """Hear nothing of the steps any more; no other begins."""
        self._events = None
        if self._task is not None:
            self._task.forget()

    def _begin_next(self) -> None:
        step, events = self._steps[self._next], self._events
        self._next += 1
        self._task = step.make()
        if events is not None:
            events.progress(step.name)
            self._task.start(
                Events(self._on_accepted, lambda text: events.progress(f"{step.name}: {text}"), self._on_ended)
            )

    def _on_accepted(self) -> None:
        if self._events is not None and not self._accepted:
            self._accepted = True
            self._events.accepted()

    def _on_ended(self, reason: str) -> None:
        if self._events is None:
            return
        if reason and reason != CANCELLED:
            self._end(f"{self._steps[self._next - 1].name}: {reason}")
        elif reason or (self._cancelled and self._next < len(self._steps)):
            self._end(CANCELLED)
        elif self._next == len(self._steps):
            self._end("")
        else:
            try:
                self._begin_next()
            except MaskdexError as error:
                self._end(f"{self._steps[self._next - 1].name}: {error}")

    def _end(self, reason: str) -> None:
        events, self._events, self._task = self._events, None, None
        if events is not None:
            events.ended(reason)
