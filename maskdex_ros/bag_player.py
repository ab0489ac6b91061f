"""Plays a rosbag2 folder over real topics, byte for byte, without ROS's own rosbag2.

The recorded CDR goes out as it is: nothing is decoded or encoded on the way.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskdex_core.errors import MaskdexError, UsageError
from maskdex_core.perception.bag import CLOUD_TYPE
from maskdex_ros.bag import is_known_type, messages, open_bag
from maskdex_ros.lockstep import Lockstep, stamp_of
from maskdex_ros.process import let_signals_end_ros

if TYPE_CHECKING:
    from rclpy.node import Node

TEXT = "task_text"
Tell = Callable[[int], None]
LATCHED = ("/tf_static", "/robot_description")
SETTLE = 0.5  # [s] between the match of a subscription and the first message
DELIVERY = 3.0  # [s] for acknowledgements: the period of the heartbeat that asks for them
TICK = 0.02  # [s] between two times on /clock, and the longest that a signal waits
LINGER = 0.3  # [s] after the last message, for deliveries that nobody acknowledges


@dataclass(frozen=True)
class PlayOptions:
    """How a bag is played.

    Attributes:
        rate: speed; 2 plays twice as fast.
        topics: recorded names to play; empty plays all.
        remap: recorded name -> name to publish on.
        wait: seconds to wait for a subscriber on every topic of `wait_for`.
        wait_for: published names that need a subscriber before the first message.
        loop: how often the bag is played.
        clock: whether the bag's time goes out on /clock, for nodes with `use_sim_time`.
        follow: name of a planning node; clouds and texts then wait for it, see `lockstep`.
        say: with `follow`, a task text to publish before the first message.
        cloud_stamp: with `follow`, the stamp (ns) of the only cloud that is played; None plays all.
    """

    rate: float = 1.0
    topics: tuple[str, ...] = ()
    remap: dict[str, str] = field(default_factory=dict)
    wait: float = 10.0
    wait_for: tuple[str, ...] = ()
    loop: int = 1
    clock: bool = False
    follow: str = ""
    cloud_stamp: int | None = None
    say: str = ""


def play(node: Node, folder: Path, options: PlayOptions) -> int:
    """Play a bag and return the number of messages published.

    Args:
        node: owns the publishers and the log; it is spun here.
        folder: a rosbag2 folder.
        options: see `PlayOptions`.

    Raises:
        CloudError: when the bag cannot be read.
        UsageError: when a topic asked for is not in it.
    """
    from std_msgs.msg import String

    with open_bag(folder) as reader:
        recorded = {connection.topic for connection in reader.connections}
        unknown = set(options.topics) - recorded
        if unknown:
            raise UsageError(f"topic {sorted(unknown)[0]!r} is not in the bag; it has: {', '.join(sorted(recorded))}")
        publishers = _publishers(node, reader, options)
        if options.say:
            publishers[TEXT] = node.create_publisher(String, TEXT, 1)
        clock = _clock_publisher(node) if options.clock else None
        _wait_for_subscribers(node, publishers, options)
        count = sum(_Playback(node, reader, publishers, options, clock).run() for _ in range(options.loop))
    _wait_until_delivered(list(publishers.values()))
    node.get_logger().info(f"played {count} messages")
    return count


def _publishers(node: Node, reader: Any, options: PlayOptions) -> dict[str, Any]:
    publishers: dict[str, Any] = {}
    for connection in reader.connections:
        topic = connection.topic
        if topic in publishers or (options.topics and topic not in options.topics):
            continue
        kind = message_class(connection.msgtype)
        if kind is None:
            node.get_logger().info(f"skipping {topic}: no Python package for {connection.msgtype}")
            continue
        name = options.remap.get(topic, topic)
        publishers[topic] = node.create_publisher(kind, name, offered_qos(connection))
    return publishers


def message_class(name: str) -> type | None:
    """Return rclpy's class of a message type such as `std_msgs/msg/String`, or None where it is not installed.

    The name comes from a file, so that nothing is imported by it but message packages of ROS distributions.
    """
    if not is_known_type(name):
        return None
    package, _, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError):
        return None


def offered_qos(connection: Any) -> Any:
    """Return the QoS that the topic was recorded with; rosbag2's own default where none is stored."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    stored = list(getattr(connection.ext, "offered_qos_profiles", None) or [])
    latched, reliable, depth = connection.topic in LATCHED, True, 10
    if stored:
        latched = all(profile.durability.name == "TRANSIENT_LOCAL" for profile in stored)
        reliable = all(profile.reliability.name != "BEST_EFFORT" for profile in stored)
        depth = max(1, *(int(profile.depth) for profile in stored))
    return QoSProfile(
        depth=min(depth, 10),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _wait_for_subscribers(node: Node, publishers: dict[str, Any], options: PlayOptions) -> None:
    wanted = {node.resolve_topic_name(name) for name in options.wait_for}
    deadline = time.monotonic() + options.wait
    waiting = [publisher for publisher in publishers.values() if publisher.topic_name in wanted]
    while waiting and time.monotonic() < deadline:
        if not _pause(0.05):
            return
        waiting = [publisher for publisher in waiting if publisher.get_subscription_count() == 0]
    # The subscriber's side learns of the publisher a moment later, and best effort does not wait for it.
    _pause(SETTLE)
    for publisher in waiting:
        node.get_logger().warning(f"nobody subscribed to {publisher.topic_name} within {options.wait:.0f} s")


def _pause(seconds: float) -> bool:
    """Sleep and return True, or return False as soon as a signal has ended the context."""
    import rclpy

    # Python resumes a sleep after a signal that rclpy has handled, so it must be short.
    end = time.monotonic() + seconds
    while rclpy.ok() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))
    return rclpy.ok()


class _Playback:
    """One pass through a bag in its own time, which stands still while the node is waited for."""

    def __init__(
        self, node: Node, reader: Any, publishers: dict[str, Any], options: PlayOptions, clock: Tell | None
    ) -> None:
        self._node, self._reader, self._publishers, self._rate = node, reader, publishers, options.rate
        self._time, self._text = reader.start_time, options.say
        self._clock = clock
        self._lockstep = Lockstep(node, options.follow, self._stand, options.cloud_stamp) if options.follow else None

    def run(self) -> int:
        """Play every message; return how many went out."""
        count = self._say() if self._text else 0
        for connection, stamp, data in messages(self._reader, set(self._publishers)):
            if not self._go_to(stamp):
                break
            count += self._send(connection, bytes(data))
        return count

    def _say(self) -> int:
        from std_msgs.msg import String

        text, publisher = String(data=self._text), self._publishers[TEXT]
        return self._lockstep.text(lambda: publisher.publish(text)) if self._lockstep is not None else 0

    def _send(self, connection: Any, data: bytes) -> int:
        publisher = self._publishers[connection.topic]
        if self._lockstep is not None and connection.msgtype == CLOUD_TYPE:
            return self._lockstep.cloud(stamp_of(data), lambda: publisher.publish(data))
        if self._lockstep is not None and publisher.topic_name.endswith(TEXT):
            return self._lockstep.text(lambda: publisher.publish(data))
        publisher.publish(data)
        return 1

    def _go_to(self, stamp: int) -> bool:
        """Let the bag's time pass up to a stamp (ns); return False once a signal has come."""
        begun, now = self._time, time.monotonic()
        while (left := (stamp - begun) * 1e-9 / self._rate - (time.monotonic() - now)) > 0:
            self._time = begun + round((time.monotonic() - now) * self._rate * 1e9)
            if not self._stand(min(left, TICK)):
                return False
        self._time = stamp
        return self._stand(0.0)

    def _stand(self, seconds: float) -> bool:
        """Let seconds pass while the bag's time stands still, and hear what the node says."""
        import rclpy

        if not rclpy.ok():
            return False
        if self._clock is not None:
            self._clock(self._time)
        if self._lockstep is not None:
            rclpy.spin_once(self._node, timeout_sec=seconds)
            return rclpy.ok()
        return _pause(seconds)


def _clock_publisher(node: Node) -> Tell:
    """Return what publishes a time (ns) on /clock, when it is another than the last."""
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock

    publisher, last = node.create_publisher(Clock, "/clock", 10), [-1]

    def publish(now: int) -> None:
        if now != last[0]:
            publisher.publish(Clock(clock=Time(sec=now // 10**9, nanosec=now % 10**9)))
            last[0] = now

    return publish


def _wait_until_delivered(publishers: list[Any]) -> None:
    """Wait until reliable subscribers have everything, and best effort ones had the time to take it."""
    import rclpy
    from rclpy.duration import Duration

    end = time.monotonic() + DELIVERY
    while publishers and rclpy.ok() and time.monotonic() < end:
        # In short steps, because a signal cannot interrupt one.
        publishers = [one for one in publishers if not one.wait_for_all_acked(Duration(seconds=0.05))]
    _pause(LINGER)


def parse_arguments(arguments: Sequence[str]) -> tuple[Path, PlayOptions]:
    """Read the command line.

    Raises:
        UsageError: when a value is out of range.
    """
    parser = argparse.ArgumentParser(prog="bag_player", description="Play a rosbag2 folder over ROS 2 topics.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder (MCAP or SQLite)")
    parser.add_argument("--rate", type=float, default=1.0, help="speed; 2 plays twice as fast")
    parser.add_argument("--topics", nargs="+", default=[], help="recorded names to play; all by default")
    # Pairs, because rcl takes any FROM:=TO for a remapping of its own and removes it.
    renames = {"nargs": 2, "action": "append", "default": [], "metavar": ("FROM", "TO")}
    parser.add_argument("--remap", help="publish under another name", **renames)
    parser.add_argument("--wait-for", nargs="+", default=[], help="names that need a subscriber before the start")
    parser.add_argument("--wait", type=float, default=10.0, help="seconds to wait for those")
    parser.add_argument("--loop", type=int, default=1, help="how often to play")
    parser.add_argument("--clock", action="store_true", help="publish the bag's time on /clock")
    parser.add_argument("--say", default="", metavar="TEXT", help="with --follow: a task text before the first message")
    parser.add_argument("--follow", default="", metavar="NODE", help="clouds and texts wait for this planning node")
    parser.add_argument(
        "--cloud-stamp", type=int, metavar="NS", help="with --follow: play only the cloud of this stamp"
    )
    given = parser.parse_args(arguments)
    if not given.rate > 0.0:
        raise UsageError(f"--rate {given.rate} is not valid; expected a number above 0")
    if given.loop < 1:
        raise UsageError(f"--loop {given.loop} is not valid; expected 1 or more")
    topics, wait_for, remap = tuple(given.topics), tuple(given.wait_for), dict(given.remap)
    return given.bag, PlayOptions(
        rate=given.rate, topics=topics, remap=remap, wait=given.wait, wait_for=wait_for, loop=given.loop,
        clock=given.clock, follow=given.follow, cloud_stamp=given.cloud_stamp, say=given.say,
    )  # fmt: skip


def main(args: Sequence[str] | None = None) -> int:
    """Play a bag from the command line; return 0, or the exit code of what went wrong."""
    import rclpy
    from rclpy.utilities import remove_ros_args

    arguments = list(sys.argv if args is None else args)
    let_signals_end_ros()
    rclpy.init(args=arguments)
    node = rclpy.create_node("bag_player")
    try:
        folder, options = parse_arguments(remove_ros_args(arguments)[1:])
        play(node, folder, options)
    except MaskdexError as error:
        node.get_logger().error(str(error))
        return error.exit_code
    except Exception:
        if rclpy.ok():  # else a signal has ended ROS under a call
            raise
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
