"""Writes small rosbag2 folders for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

START = 1_700_000_000_000_000_000
POINTS, TEXT, STATIC = "/camera/points", "/task_text", "/tf_static"


def write_bag(
    folder: Path,
    storage: str = "mcap",
    text: str | None = "pick up the mug",
    clouds: int = 2,
    transform: bool = True,
    text_first: bool = False,
    moving: int = 0,
) -> Path:
    """Write clouds of a plane 1 m before the camera, 0.1 s apart, a text and the camera's pose.

    `moving` messages on /tf, 1 ms apart, carry the camera on a moving arm: 1 m up, the higher the later.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_KILTED)
    plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
    with Writer(folder, version=9, storage_plugin=plugin) as writer:

        def put(topic: str, kind: str, pairs: list[tuple[float, Any]]) -> None:
            connection = writer.add_connection(topic, kind, typestore=store)
            for second, message in pairs:
                writer.write(connection, START + int(second * 1e9), store.serialize_cdr(message, kind))

        if transform:
            put(STATIC, "tf2_msgs/msg/TFMessage", [(0.0, _static_transforms(store))])
        if moving:
            put("/tf", "tf2_msgs/msg/TFMessage", [(0.001 * i, _moving_transform(store, i)) for i in range(moving)])
        if text is not None:
            message = store.types["std_msgs/msg/String"](text)
            put(TEXT, "std_msgs/msg/String", [(0.0 if text_first else 0.15, message)])
        kind = "sensor_msgs/msg/PointCloud2"
        put(POINTS, kind, [(0.1 * (index + 1), _cloud(store, index)) for index in range(clouds)])
    return folder


def _cloud(store: Any, index: int) -> Any:
    """Return the plane, 1 mm farther away in each cloud, so that one can tell them apart."""
    types = store.types
    x, y = np.meshgrid(np.linspace(-0.2, 0.2, 30), np.linspace(-0.2, 0.2, 30))
    data = (
        np.stack([x.ravel(), y.ravel(), np.full(x.size, 1 + 0.001 * index)], axis=1)
        .astype("<f4")
        .view(np.uint8)
        .ravel()
    )
    field = types["sensor_msgs/msg/PointField"]
    fields = [field(name, 4 * index, 7, 1) for index, name in enumerate("xyz")]
    header = _header(store, "camera_optical", START + (index + 1) * 100_000_000)
    return types["sensor_msgs/msg/PointCloud2"](header, 1, x.size, fields, False, 12, 12 * x.size, data, True)


def _static_transforms(store: Any) -> Any:
    types = store.types
    vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
    transform, stamped = types["geometry_msgs/msg/Transform"], types["geometry_msgs/msg/TransformStamped"]
    mount = transform(vector(0.0, 0.0, 1.0), quaternion(1.0, 0.0, 0.0, 0.0))
    optical = transform(vector(0.1, 0.0, 0.0), quaternion(0.0, 0.0, 0.0, 1.0))
    chain = [
        stamped(_header(store, "link_base"), "camera_link", mount),
        stamped(_header(store, "camera_link"), "camera_optical", optical),
    ]
    return types["tf2_msgs/msg/TFMessage"](chain)


def _moving_transform(store: Any, index: int) -> Any:
    types = store.types
    vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
    pose = types["geometry_msgs/msg/Transform"](vector(0.1, 0.0, 1.0 + 0.0005 * index), quaternion(1.0, 0.0, 0.0, 0.0))
    stamp = START + index * 1_000_000
    stamped = types["geometry_msgs/msg/TransformStamped"](_header(store, "link_base", stamp), "camera_optical", pose)
    return types["tf2_msgs/msg/TFMessage"]([stamped])


def _header(store: Any, frame: str, stamp: int = 0) -> Any:
    time = store.types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
    return store.types["std_msgs/msg/Header"](time, frame)
