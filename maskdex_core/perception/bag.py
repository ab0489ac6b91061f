"""Read the first cloud of a ROS 2 bag (MCAP or SQLite3) without ROS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.pointcloud2 import cloud_from_message

CLOUD_TYPE = "sensor_msgs/msg/PointCloud2"
TEXT_TYPE = "std_msgs/msg/String"
TRANSFORMS_TYPE = "tf2_msgs/msg/TFMessage"
BASE_FRAME = "link_base"
MAX_MESSAGE_BYTES = 256_000_000  # a cloud of the largest size that is planned on, with room for colour and padding
MAX_TRANSFORMS = 10_000


def load_bag(folder: Path, base_frame: str = BASE_FRAME) -> Cloud:
    """Return the first PointCloud2 of a bag with its task text and camera transform.

    A topic that ends in `points` is preferred; `/task_text` gives the text, `/tf_static` the chain
    from `base_frame` to the cloud's frame.

    Raises:
        CloudError: when the folder is no readable bag or holds no PointCloud2.
    """
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    if not (folder / "metadata.yaml").is_file():
        found = ", ".join(sorted(child.name for child in folder.iterdir())[:5]) or "nothing"
        raise CloudError(f"{folder}: not a ROS 2 bag folder (no metadata.yaml; found {found})")
    try:
        with AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_KILTED)) as reader:
            return _read(reader, folder, base_frame)
    except CloudError:
        raise
    except Exception as error:  # a damaged bag raises whatever its parser stumbles over
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CloudError(f"{folder}: the bag cannot be read ({reason})") from error


def _read(reader: Any, folder: Path, base_frame: str) -> Cloud:
    clouds = [connection for connection in reader.connections if connection.msgtype == CLOUD_TYPE]
    if not clouds:
        topics = ", ".join(sorted(f"{c.topic} ({c.msgtype})" for c in reader.connections)) or "none"
        raise CloudError(f"{folder}: the bag holds no {CLOUD_TYPE}; its topics: {topics}")
    topic = min(clouds, key=lambda connection: not connection.topic.endswith("points")).topic
    messages = _messages(reader, topic, CLOUD_TYPE)
    message = next(messages, None)
    if message is None:
        raise CloudError(f"{folder}: topic {topic} of the bag holds no message")
    text = next(_messages(reader, "/task_text", TEXT_TYPE), None)
    transforms = bounded_transforms(_messages(reader, "/tf_static", TRANSFORMS_TYPE))
    base_from_camera = chain_transforms(transforms, base_frame, message.header.frame_id)
    return cloud_from_message(message, base_from_camera, None if text is None else text.data)


def _messages(reader: Any, topic: str, msgtype: str) -> Any:
    connections = [c for c in reader.connections if c.topic == topic and c.msgtype == msgtype]
    if connections:
        for connection, _, raw in reader.messages(connections=connections):
            check_message_size(raw, topic)
            yield reader.deserialize(raw, connection.msgtype)


def check_message_size(raw: Any, topic: str) -> None:
    """Refuse a message (bytes as recorded) that nothing here could use.

    Raises:
        CloudError: when it is longer than `MAX_MESSAGE_BYTES`.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise CloudError(f"a message on {topic!r} has {len(raw)} bytes; at most {MAX_MESSAGE_BYTES} are accepted")


def bounded_transforms(messages: Iterable[Any]) -> list[Any]:
    """Return the transforms of tf2_msgs/TFMessage.

    Raises:
        CloudError: when there are more than `MAX_TRANSFORMS`.
    """
    found: list[Any] = []
    for message in messages:
        found.extend(message.transforms)
        if len(found) > MAX_TRANSFORMS:
            raise CloudError(f"the bag holds more than {MAX_TRANSFORMS} static transforms")
    return found


def chain_transforms(transforms: list[Any], parent: str, child: str) -> NDArray[np.float64] | None:
    """Return parent_from_child (4, 4) along stamped transforms, or None when no chain joins them.

    Raises:
        CloudError: when one on the way is no rotation and translation.
    """
    up = {t.child_frame_id.lstrip("/"): t for t in transforms}
    matrix, frame = np.eye(4), child.lstrip("/")
    for _ in range(len(up)):
        if frame == parent or frame not in up:
            break
        matrix = _matrix(up[frame].transform, frame) @ matrix
        frame = up[frame].header.frame_id.lstrip("/")
    return matrix if frame == parent else None


def _matrix(transform: Any, frame: str) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    q, t = transform.rotation, transform.translation
    values = (t.x, t.y, t.z, q.x, q.y, q.z, q.w)
    if not np.isfinite(values).all() or abs(np.linalg.norm(values[3:]) - 1.0) > 0.01:
        raise CloudError(f"the transform of frame {frame!r} is {values}; expected finite numbers and a unit quaternion")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat((q.x, q.y, q.z, q.w)).as_matrix()
    matrix[:3, 3] = (t.x, t.y, t.z)
    return matrix
