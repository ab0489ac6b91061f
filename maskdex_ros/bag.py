"""What lies in a rosbag2 folder: topics, the cloud's topic, the task text, the camera's pose.

Read with `rosbags`, so that neither ROS nor the package of every message type is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError
from maskdex_core.perception.bag import CLOUD_TYPE, TEXT_TYPE, TRANSFORMS_TYPE, chain_transforms


@dataclass(frozen=True)
class BagSummary:
    """What a replay needs to know before it starts.

    Attributes:
        topics: topic -> message type.
        points_topic: the topic of the clouds.
        camera_frame: their frame.
        text_topic: the topic of the task text, or None.
        base_from_camera: (4, 4) from the static transforms, or None.
        duration: seconds from the first to the last message.
    """

    topics: dict[str, str]
    points_topic: str
    camera_frame: str
    text_topic: str | None
    base_from_camera: NDArray[np.float64] | None
    duration: float


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
        CloudError: when the bag breaks off in between.
    """
    wanted = [connection for connection in reader.connections if connection.topic in topics]
    if not wanted:
        return
    try:
        yield from reader.messages(wanted)
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
        static = {topic for topic, kind in topics.items() if kind == TRANSFORMS_TYPE}
        pose = chain_transforms(_transforms(reader, static), base_frame, camera_frame)
        text_topic = _first(topics, TEXT_TYPE, "task_text")
        return BagSummary(topics, points_topic, camera_frame, text_topic, pose, reader.duration * 1e-9)


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
    typestore, found = _typestore(), []
    for connection, _, data in messages(reader, topics):
        found.extend(typestore.deserialize_cdr(data, connection.msgtype).transforms)
    return found
