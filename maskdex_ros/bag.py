"""What lies in a rosbag2 folder: topics, the cloud's topic, the task text, the camera's pose.

Read with `rosbags`, so that neither ROS nor the package of every message type is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from maskdex_core.errors import CloudError
from maskdex_core.perception.bag import (
    CLOUD_TYPE,
    TEXT_TYPE,
    TRANSFORMS_TYPE,
    bounded_transforms,
    chain_transforms,
    check_message_size,
)

JOINTS_TYPE = "sensor_msgs/msg/JointState"
STATIC_TRANSFORMS = "tf_static"  # how such a topic's name ends
PARAMETERS = "parameters.yaml"  # beside the bag's own files


@dataclass(frozen=True)
class RecordedPlan:
    """The first plan of a recording, and what repeats it.

    Attributes:
        text: the task text. seed: of the plan. cloud_stamp: ns, of the cloud it was made on.
        parameters: of the node then; ROS name → value.
    """

    text: str
    seed: int | None
    cloud_stamp: int | None
    parameters: dict[str, Any]


@dataclass(frozen=True)
class BagSummary:
    """What a replay needs to know before it starts.

    Attributes:
        topics: topic -> message type.
        points_topic: the topic of the clouds.
        camera_frame: their frame.
        text_topic: the topic of the task text, or None.
        base_from_camera: (4, 4) from the static transforms, or None.
        transforms_topics: topics of transforms, for a camera whose pose the static ones do not give.
        duration: seconds from the first to the last message.
        joints_topics: topics of joint states.
        recorded: what a recording says of the plan made in it, or None.
    """

    topics: dict[str, str]
    points_topic: str
    camera_frame: str
    text_topic: str | None
    base_from_camera: NDArray[np.float64] | None
    duration: float
    joints_topics: tuple[str, ...] = ()
    transforms_topics: tuple[str, ...] = ()
    recorded: RecordedPlan | None = None


@contextmanager
def open_bag(folder: Path) -> Iterator[Any]:
    """Open a rosbag2 folder (MCAP or SQLite) for reading.

    Raises:
        CloudError: when there is none, or it cannot be read.
    """
    from rosbags.rosbag2 import Reader

    if not (folder / "metadata.yaml").is_file():
        what = "is not a rosbag2 folder (it has no metadata.yaml)" if folder.exists() else "does not exist"
        raise CloudError(
            f"bag {str(folder)!r} {what}; expected a folder with metadata.yaml and its MCAP or SQLite file"
        )
    try:
        reader = Reader(folder)
        reader.open()
    except Exception as error:  # a damaged bag raises whatever its parser stumbles over
        raise CloudError(f"bag {str(folder)!r} cannot be read ({_one_line(error)})") from error
    try:
        yield reader
    finally:
        reader.close()


def messages(reader: Any, topics: set[str]) -> Iterator[tuple[Any, int, bytes]]:
    """Yield (connection, time in ns, CDR bytes) of the topics, in the bag's order.

    Raises:
        CloudError: when the bag breaks off in between, or a message is too long.
    """
    wanted = [connection for connection in reader.connections if connection.topic in topics]
    if not wanted:
        return
    try:
        for connection, stamp, data in reader.messages(wanted):
            check_message_size(data, connection.topic)
            yield connection, stamp, data
    except CloudError:
        raise
    except Exception as error:  # as above: only the reader runs inside this block
        raise CloudError(f"bag {str(reader.path)!r} is damaged ({_one_line(error)})") from error


def summarise(folder: Path, base_frame: str = "link_base") -> BagSummary:
    """Look into a bag without playing it.

    Args:
        folder: a rosbag2 folder.
        base_frame: frame that the camera's pose is wanted in.

    Raises:
        CloudError: when it cannot be read or holds no clouds.
    """
    with open_bag(folder) as reader:
        topics = {connection.topic: connection.msgtype for connection in reader.connections}
        points_topic = _first(topics, CLOUD_TYPE, "points")
        if points_topic is None:
            found = ", ".join(sorted(topics)) or "none"
            raise CloudError(f"bag {str(folder)!r} has no topic of type {CLOUD_TYPE}; topics: {found}")
        camera_frame = _frame_of_first(reader, points_topic, folder)
        transforms = tuple(sorted(topic for topic, kind in topics.items() if kind == TRANSFORMS_TYPE))
        static = {topic for topic in transforms if topic.endswith(STATIC_TRANSFORMS)}
        pose = chain_transforms(_transforms(reader, static), base_frame, camera_frame)
        text_topic = _first(topics, TEXT_TYPE, "task_text")
        joints = tuple(sorted(topic for topic, kind in topics.items() if kind == JOINTS_TYPE))
        duration, recorded = reader.duration * 1e-9, _recorded_plan(reader, topics, folder)
        return BagSummary(
            topics, points_topic, camera_frame, text_topic, pose, duration, joints, transforms, recorded
        )  # fmt: skip


def _recorded_plan(reader: Any, topics: dict[str, str], folder: Path) -> RecordedPlan | None:
    """Read the first report of a plan in a recording, and the parameters beside it."""
    topic = _first(topics, TEXT_TYPE, "/report")
    if topic is None:
        return None
    for connection, _, data in messages(reader, {topic}):
        report = _json_object(_typestore().deserialize_cdr(data, connection.msgtype).data)
        if "candidates" in report:
            stamp = report.get("cloud", {}).get("stamp_ns")
            return RecordedPlan(str(report["text"]), report.get("seed"), stamp, read_parameters(folder))
    return None


def _json_object(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def read_parameters(folder: Path) -> dict[str, Any]:
    """Return the node parameters that lie beside a recording, ROS name → value; empty where there are none.

    Raises:
        CloudError: when the file is not what `maskdex record` writes.
    """
    path = folder / PARAMETERS
    if not path.is_file():
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))["/**"]["ros__parameters"]
        return {str(name): value for name, value in values.items()}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise CloudError(f"{path} is no file of node parameters ({_one_line(error)})") from error


def is_known_type(name: str) -> bool:
    """Return whether a type that a bag names is one of the ROS distribution's own."""
    return name in _typestore().fielddefs


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _first(topics: dict[str, str], kind: str, preferred: str) -> str | None:
    found = sorted(topic for topic, msgtype in topics.items() if msgtype == kind)
    best = [topic for topic in found if topic.endswith(preferred)]
    # A string topic of another name is some other string; a cloud is a cloud whatever its name.
    return (best or (found if kind == CLOUD_TYPE else [None]))[0]


def _typestore() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_KILTED)


def _frame_of_first(reader: Any, topic: str, folder: Path) -> str:
    for connection, _, data in messages(reader, {topic}):
        return str(_typestore().deserialize_cdr(data, connection.msgtype).header.frame_id)
    raise CloudError(f"bag {str(folder)!r} has 0 messages on {topic!r}; a cloud is needed")


def _transforms(reader: Any, topics: set[str]) -> list[Any]:
    typestore, recorded = _typestore(), messages(reader, topics)
    return bounded_transforms(typestore.deserialize_cdr(data, connection.msgtype) for connection, _, data in recorded)
