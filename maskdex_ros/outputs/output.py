"""What every way out of the node offers, and what it tells while the robot moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

CANCELLED = "cancelled"  # the reason of a motion that ended early because `stop` was called


@dataclass(frozen=True)
class Events:
    """Who hears of one motion; all three are called on the executor's thread.

    Attributes:
        accepted: once, when everything that has to run the motion has taken it.
        progress: any number of times, with a short sentence.
        ended: once, and last, with the reason why the motion did not arrive, or "" when it did.
    """

    accepted: Callable[[], None]
    progress: Callable[[str], None]
    ended: Callable[[str], None]


class Task(Protocol):
    """Something that the robot does for a while: one action goal, some at once, some in turn."""

    def start(self, events: Events) -> None:
        """Begin; whatever happens afterwards is told to `events`."""

    def cancel(self) -> None:
        """Ask for an early end; `events.ended` tells when it came."""

    def forget(self) -> None:
        """Tell nobody anything any more, and use the node no more."""


class Output(Protocol):
    """A way from a checked plan to a moving robot. All calls come on the executor's thread."""

    def show(self, plan: Any) -> None:
        """Show a plan, executable or not; nothing moves."""

    def start(self, trajectory: Any, events: Events) -> None:
        """Run a `RobotTrajectory` from the robot's present position.

        Raises:
            RobotError: when it cannot be sent; nothing moves then and `events` hears nothing.
        """

    def stop(self, braking: Callable[[], Any]) -> None:
        """End the running motion early; `events.ended` tells when that has happened.

        Args:
            braking: makes the `RobotTrajectory` from here to rest, for receivers that cannot stop by themselves.
        """

    def destroy(self) -> None:
        """Remove publishers, clients and services from the node."""
