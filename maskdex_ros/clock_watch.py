"""Notices time that runs backwards: of the node's clock, and of the clouds' stamps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rclpy.node import Node

NOTICEABLE = 0.5  # [s]; two drivers that share a topic may be apart by less


def watch_clock(node: Node, on_jump_back: Callable[[float], None]) -> Any:
    """Call `on_jump_back(seconds)` on the executor's thread whenever the node's clock is set back.

    That happens with `use_sim_time` only: a bag that starts again, a simulator that was reset.

    Returns:
        The handle that keeps the watch alive.
    """
    from rclpy.clock import JumpThreshold
    from rclpy.duration import Duration

    threshold = JumpThreshold(
        min_forward=None, min_backward=Duration(nanoseconds=-round(NOTICEABLE * 1e9)), on_clock_change=False
    )
    return node.get_clock().create_jump_callback(
        threshold, post_callback=lambda jump: on_jump_back(-1e-9 * jump.delta.nanoseconds)
    )


class StampWatch:
    """Compares each stamp with the one before it."""

    def __init__(self) -> None:
        """Start with no stamp."""
        self.last: int | None = None  # ns

    def jump_back(self, stamp: Any) -> float:
        """Return by how many seconds a builtin_interfaces/Time lies before its predecessor, or 0.0."""
        now, last = stamp.sec * 10**9 + stamp.nanosec, self.last
        self.last = now
        back = 0.0 if last is None else 1e-9 * (last - now)
        return back if back > NOTICEABLE else 0.0
