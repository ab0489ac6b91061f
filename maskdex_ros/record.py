"""Records what a planning node heard and said, small enough to send along with a bug report.

Everything that the node subscribes to and publishes goes into an MCAP bag as it came, but of the clouds only
those round each plan. The node's parameters lie beside the bag, so that `maskdex replay` makes the same plan.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from maskdex_core.errors import UsageError
from maskdex_core.perception.bag import CLOUD_TYPE
from maskdex_ros.bag import PARAMETERS
from maskdex_ros.bag_player import message_class
from maskdex_ros.command import run_command, write_line
from maskdex_ros.parameters import table
from maskdex_ros.process import let_signals_end_ros

if TYPE_CHECKING:
    from rclpy.node import Node

BEFORE, AFTER = 4, 2  # clouds kept before and after the start of a plan; 5 MB each at 640x480
LOOK_EVERY = 0.5  # [s] between two looks at what the node subscribes to and publishes
LEFT_OUT = ("rosout", "parameter_events", "clock", "object_points")  # the last is a part of the cloud
TRANSFORMS = ("/tf", "/tf_static")
BEGINNING = "cloud"  # the first stage of a plan


@dataclass(frozen=True)
class RecordOptions:
    """What is recorded.

    Attributes:
        out: folder to make. seconds: how long; None until a signal comes. target: name of the node.
    """

    out: Path
    seconds: float | None = None
    target: str = "maskdex"


class Recorder:
    """Subscribes to a node's topics as they appear, and writes their messages byte for byte."""

    def __init__(self, node: Node, writer: Any, options: RecordOptions) -> None:
        """Look for topics from now on; `writer` is an open rosbags writer."""
        from rosbags.typesys import Stores, get_typestore

        self._node, self._writer, self._target = node, writer, options.target
        self._store = get_typestore(Stores.ROS2_KILTED)
        self._connections: dict[str, Any] = {}
        self._clouds: deque[tuple[str, int, bytes]] = deque(maxlen=BEFORE)
        self._wanted = 0
        self.counts: dict[str, int] = {}
        self._timer = node.create_timer(LOOK_EVERY, self.look)

    def look(self) -> None:
        """Subscribe to topics of the node that were not there before."""
        for topic, kinds in self._topics():
            wanted = topic.rsplit("/", 1)[-1] not in LEFT_OUT and kinds[0] in self._store.types
            if wanted and topic not in self._connections:
                self._subscribe(topic, kinds[0])

    def _topics(self) -> list[tuple[str, list[str]]]:
        from rclpy.node import NodeNameNonExistentError

        namespace, _, name = self._target.strip("/").rpartition("/")
        try:
            heard = self._node.get_subscriber_names_and_types_by_node(name, f"/{namespace}")
            said = self._node.get_publisher_names_and_types_by_node(name, f"/{namespace}")
        except NodeNameNonExistentError:
            return []
        everyone = self._node.get_topic_names_and_types()
        return [*heard, *said, *((topic, kinds) for topic, kinds in everyone if topic in TRANSFORMS)]

    def _subscribe(self, topic: str, kind: str) -> None:
        message = message_class(kind)
        if message is None:
            return  # the node has it from elsewhere
        qos = _profile_of(self._node.get_publishers_info_by_topic(topic))
        self._connections[topic] = self._writer.add_connection(
            topic, kind, typestore=self._store, offered_qos_profiles=_offered(qos)
        )
        take = self._take_cloud if kind == CLOUD_TYPE else self._write
        is_text, is_stage = topic.endswith("/task_text"), topic.endswith("/stage")

        def on_message(data: bytes) -> None:
            if is_text or (is_stage and string_of(data) == BEGINNING):
                self._keep_clouds()
            take(topic, time.time_ns(), data)

        self._node.create_subscription(message, topic, on_message, qos, raw=True)

    def _take_cloud(self, topic: str, now: int, data: bytes) -> None:
        if self._wanted > 0:
            self._wanted -= 1
            self._write(topic, now, data)
        else:
            self._clouds.append((topic, now, data))

    def _keep_clouds(self) -> None:
        """A plan begins: the clouds of this moment are the ones that count."""
        self._wanted = AFTER
        while self._clouds:
            self._write(*self._clouds.popleft())

    def _write(self, topic: str, now: int, data: bytes) -> None:
        self._writer.write(self._connections[topic], now, data)
        self.counts[topic] = self.counts.get(topic, 0) + 1


def string_of(cdr: bytes) -> str:
    """Return the text of a serialized std_msgs/String, or an empty one where it is cut off."""
    return cdr[8:].split(b"\0", 1)[0].decode("utf-8", "replace")


def _profile_of(publishers: list[Any]) -> Any:
    """Return a QoS profile that every publisher found is compatible with, and that gets what waits for latecomers."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    offered = [publisher.qos_profile for publisher in publishers]
    reliable = bool(offered) and all(one.reliability == ReliabilityPolicy.RELIABLE for one in offered)
    latched = bool(offered) and all(one.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in offered)
    return QoSProfile(
        depth=10,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _offered(qos: Any) -> list[Any]:
    """Return a profile in the words of the bag's metadata."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    never = QosTime(2147483647, 4294967295)
    reliability, durability = QosReliability[qos.reliability.name], QosDurability[qos.durability.name]
    automatic = QosLiveliness.AUTOMATIC
    return [Qos(QosHistory.KEEP_LAST, qos.depth, reliability, durability, never, never, automatic, never, False)]


def record(options: RecordOptions, say: Callable[[str], None] = lambda line: None) -> dict[str, int]:
    """Record until a signal comes or the time is over; return the number of messages by topic.

    Raises:
        UsageError: when the folder is there already.
    """
    import rclpy
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    if options.out.exists():
        raise UsageError(f"--out {str(options.out)!r} is there already; give a new folder")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    let_signals_end_ros()
    rclpy.init()
    node = rclpy.create_node("maskdex_record")
    writer = Writer(options.out, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    try:
        with writer:
            recorder = Recorder(node, writer, options)
            asked = _ask_parameters(node, options.target)
            say(f"recording {options.target!r} into {options.out}")
            _spin(node, options.seconds)
            parameters = _parameters_of(asked)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    if parameters:
        content = yaml.safe_dump({"/**": {"ros__parameters": parameters}})
        (options.out / PARAMETERS).write_text(content, encoding="utf-8")
    return recorder.counts


def _spin(node: Node, seconds: float | None) -> None:
    import rclpy
    from rclpy.executors import ExternalShutdownException

    end = None if seconds is None else time.monotonic() + seconds
    try:
        while rclpy.ok() and (end is None or time.monotonic() < end):
            rclpy.spin_once(node, timeout_sec=0.1)
    except ExternalShutdownException:
        return


def _ask_parameters(node: Node, target: str) -> dict[str, Any]:
    """Ask the node for its parameters as soon as it is there; the answer comes into the dictionary returned."""
    from rcl_interfaces.srv import GetParameters

    names, answer = [name for name, *_ in table()], {}
    client = node.create_client(GetParameters, f"{target}/get_parameters")

    def ask() -> None:
        if "future" not in answer and client.service_is_ready():
            answer["future"] = client.call_async(GetParameters.Request(names=names))

    answer["timer"] = node.create_timer(LOOK_EVERY, ask)
    answer["names"] = names
    return answer


def _parameters_of(asked: dict[str, Any]) -> dict[str, Any]:
    from rclpy.parameter import parameter_value_to_python

    future = asked.get("future")
    if future is None or not future.done() or future.result() is None:
        return {}
    values = zip(asked["names"], map(parameter_value_to_python, future.result().values), strict=False)
    return {name: _plain(value) for name, value in values if value is not None}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else list(value)


def parse_arguments(arguments: Sequence[str]) -> RecordOptions:
    """Read the command line.

    Raises:
        UsageError: when a value is out of range.
    """
    parser = argparse.ArgumentParser(prog="maskdex record", description="Record what a node hears and says.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bag, to be made")
    parser.add_argument("--seconds", type=float, help="how long; until Ctrl-C by default")
    parser.add_argument("--target", default=RecordOptions.target, help="name of the node")
    given = parser.parse_args(arguments)
    if given.seconds is not None and not given.seconds > 0.0:
        raise UsageError(f"--seconds {given.seconds} is not valid; expected a number above 0")
    return RecordOptions(**vars(given))


def main(arguments: Sequence[str] | None = None) -> int:
    """Record from the command line; SIGINT and SIGTERM end it well."""

    def work() -> int:
        counts = record(parse_arguments(sys.argv[1:] if arguments is None else arguments), write_line)
        for topic, count in sorted(counts.items()):
            write_line(f"  {count:6d}  {topic}")
        return 0 if counts else 1

    return run_command(work)


if __name__ == "__main__":
    sys.exit(main())
