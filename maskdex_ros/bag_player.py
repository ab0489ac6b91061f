"""Plays a rosbag2 folder over real topics, byte for byte, without ROS's own rosbag2.

The recorded CDR goes out as it is: nothing is decoded or encoded on the way.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskdex_core.errors import MaskdexError, UsageError
from maskdex_ros.bag import messages, open_bag

if TYPE_CHECKING:
    from rclpy.node import Node

LATCHED = ("/tf_static", "/robot_description")
SETTLE = 0.5  # [s] between the match of a subscription and the first message
DELIVERY = 3.0  # [s] for acknowledgements: the period of the heartbeat that asks for them
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
    """

    rate: float = 1.0
    topics: tuple[str, ...] = ()
    remap: dict[str, str] = field(default_factory=dict)
    wait: float = 10.0
    wait_for: tuple[str, ...] = ()
    loop: int = 1


def play(node: Node, folder: Path, options: PlayOptions) -> int:
    """Play a bag and return the number of messages published.

    Args:
        node: owns the publishers and the log; nobody needs to spin it.
        folder: a rosbag2 folder.
        options: see `PlayOptions`.

    Raises:
        CloudError: when the bag cannot be read.
        UsageError: when a topic asked for is not in it.
    """
    with open_bag(folder) as reader:
        recorded = {connection.topic for connection in reader.connections}
        unknown = set(options.topics) - recorded
        if unknown:
            raise UsageError(f"topic {sorted(unknown)[0]!r} is not in the bag; it has: {', '.join(sorted(recorded))}")
        publishers = _publishers(node, reader, options)
        _wait_for_subscribers(node, publishers, options)
        count = sum(_play_once(reader, publishers, options.rate) for _ in range(options.loop))
    _wait_until_delivered(list(publishers.values()))
    node.get_logger().info(f"played {count} messages")
    return count


def _publishers(node: Node, reader: Any, options: PlayOptions) -> dict[str, Any]:
    publishers: dict[str, Any] = {}
    for connection in reader.connections:
        topic = connection.topic
        if topic in publishers or (options.topics and topic not in options.topics):
            continue
        kind = _message_class(connection.msgtype)
        if kind is None:
            node.get_logger().info(f"skipping {topic}: no Python package for {connection.msgtype}")
            continue
        name = options.remap.get(topic, topic)
        publishers[topic] = node.create_publisher(kind, name, offered_qos(connection))
    return publishers


def _message_class(name: str) -> type | None:
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


def _play_once(reader: Any, publishers: dict[str, Any], rate: float) -> int:
    count, started, first = 0, time.monotonic(), reader.start_time
    for connection, stamp, data in messages(reader, set(publishers)):
        delay = (stamp - first) * 1e-9 / rate - (time.monotonic() - started)
        if not _pause(delay):
            break
        publishers[connection.topic].publish(bytes(data))
        count += 1
    return count


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
    given = parser.parse_args(arguments)
    if not given.rate > 0.0:
        raise UsageError(f"--rate {given.rate} is not valid; expected a number above 0")
    if given.loop < 1:
        raise UsageError(f"--loop {given.loop} is not valid; expected 1 or more")
    topics, wait_for, remap = tuple(given.topics), tuple(given.wait_for), dict(given.remap)
    return given.bag, PlayOptions(given.rate, topics, remap, given.wait, wait_for, given.loop)


def main(args: Sequence[str] | None = None) -> int:
    """Play a bag from the command line; return 0, or the exit code of what went wrong."""
    import rclpy
    from rclpy.utilities import remove_ros_args

    arguments = list(sys.argv if args is None else args)
    rclpy.init(args=arguments)
    node = rclpy.create_node("bag_player")
    try:
        folder, options = parse_arguments(remove_ros_args(arguments)[1:])
        play(node, folder, options)
    except MaskdexError as error:
        node.get_logger().error(str(error))
        return error.exit_code
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        return 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
