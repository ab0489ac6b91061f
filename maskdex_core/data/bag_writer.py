"""Write one RGB-D capture as a ROS 2 bag, the way a RealSense driver's topics are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.perception.files import points_from_depth
from maskdex_core.perception.pointcloud2 import pack_xyzrgb

BASE_FRAME = "link_base"
CAMERA_FRAME = "camera_color_optical_frame"
START_NS = 1_700_000_000_000_000_000
TOPICS = {
    "/tf_static": "tf2_msgs/msg/TFMessage",
    "/camera/camera/color/image_raw": "sensor_msgs/msg/Image",
    "/camera/camera/aligned_depth_to_color/image_raw": "sensor_msgs/msg/Image",
    "/camera/camera/color/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/camera/depth/color/points": "sensor_msgs/msg/PointCloud2",
    "/task_text": "std_msgs/msg/String",
}


@dataclass(frozen=True, eq=False)
class Capture:
    """What one RGB-D frame holds.

    Attributes:
        depth: (H, W) float32 metres, NaN where unknown. rgb: (H, W, 3) uint8.
        K: (3, 3) pinhole matrix, pixels. base_from_camera: (4, 4). text: the task.
    """

    depth: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    K: NDArray[np.float64]
    base_from_camera: NDArray[np.float64]
    text: str


def write_bag(folder: str | Path, captures: list[Capture], period: float = 0.2) -> None:
    """Write frames `period` seconds apart; transform and text come from the first.

    Args:
        folder: to be created (bag.mcap inside carries the folder's name); must not exist.

    Raises:
        rosbags.rosbag2.WriterError: when the folder exists.
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_KILTED)
    writer = Writer(Path(folder), version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=store, offered_qos_profiles=_qos(topic))
            for topic, kind in TOPICS.items()
        }
        for topic, time, message in _messages(store, captures, round(period * 1e9)):
            writer.write(connections[topic], time, store.serialize_cdr(message, TOPICS[topic]))


def _messages(store: Any, captures: list[Capture], period: int) -> list[tuple[str, int, Any]]:
    """Return (topic, time in ns, message) in the order of recording."""
    types = store.types
    first = START_NS + 100_000_000
    rows = [("/tf_static", START_NS, _transforms(types, captures[0].base_from_camera))]
    for index, capture in enumerate(captures):
        time = first + index * period
        messages = _frame(types, capture, time)
        rows += [(topic, time, message) for topic, message in messages.items()]
        if index == 0:  # the text comes after the first cloud, as from someone who looks first
            text = types["std_msgs/msg/String"](data=capture.text)
            rows.append(("/task_text", time + period // 2, text))
    return rows


def _frame(types: Any, capture: Capture, time: int) -> dict[str, Any]:
    header = _header(types, time, CAMERA_FRAME)
    height, width = capture.depth.shape
    millimetres = np.round(np.nan_to_num(capture.depth) * 1000).astype("<u2")
    image = types["sensor_msgs/msg/Image"]

    def image_of(encoding: str, pixels: NDArray[Any], step: int) -> Any:
        data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        return image(header=header, height=height, width=width, encoding=encoding, is_bigendian=0, step=step, data=data)

    return {
        "/camera/camera/color/image_raw": image_of("rgb8", capture.rgb, 3 * width),
        "/camera/camera/aligned_depth_to_color/image_raw": image_of("16UC1", millimetres, 2 * width),
        "/camera/camera/color/camera_info": _camera_info(types, header, capture),
        "/camera/camera/depth/color/points": _cloud(types, header, capture),
    }


def _cloud(types: Any, header: Any, capture: Capture) -> Any:
    field = types["sensor_msgs/msg/PointField"]
    height, width = capture.depth.shape
    fields = [
        field(name=name, offset=offset, datatype=7, count=1)
        for name, offset in (("x", 0), ("y", 4), ("z", 8), ("rgb", 12))
    ]
    points = points_from_depth(capture.depth, capture.K)
    return types["sensor_msgs/msg/PointCloud2"](
        header=header,
        height=height,
        width=width,
        fields=fields,
        is_bigendian=False,
        point_step=16,
        row_step=16 * width,
        data=pack_xyzrgb(points, capture.rgb.reshape(-1, 3)),
        is_dense=False,
    )


def _camera_info(types: Any, header: Any, capture: Capture) -> Any:
    height, width = capture.depth.shape
    projection = np.zeros((3, 4))
    projection[:, :3] = capture.K
    roi = types["sensor_msgs/msg/RegionOfInterest"]
    return types["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.asarray(capture.K, dtype=np.float64).reshape(-1),
        r=np.eye(3).reshape(-1),
        p=projection.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def _transforms(types: Any, base_from_camera: NDArray[np.float64]) -> Any:
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(base_from_camera[:3, :3]).as_quat()
    tx, ty, tz = base_from_camera[:3, 3]
    transform = types["geometry_msgs/msg/Transform"](
        translation=types["geometry_msgs/msg/Vector3"](x=float(tx), y=float(ty), z=float(tz)),
        rotation=types["geometry_msgs/msg/Quaternion"](x=float(x), y=float(y), z=float(z), w=float(w)),
    )
    stamped = types["geometry_msgs/msg/TransformStamped"](
        header=_header(types, START_NS, BASE_FRAME), child_frame_id=CAMERA_FRAME, transform=transform
    )
    return types["tf2_msgs/msg/TFMessage"](transforms=[stamped])


def _header(types: Any, time: int, frame: str) -> Any:
    stamp = types["builtin_interfaces/msg/Time"](sec=time // 10**9, nanosec=time % 10**9)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)


def _qos(topic: str) -> list[Any]:
    """Return what the driver would offer: static transforms and the text wait for late listeners."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    latched = topic in ("/tf_static", "/task_text")
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    never = QosTime(2147483647, 4294967295)
    return [
        Qos(
            QosHistory.KEEP_LAST,
            1 if latched else 5,
            QosReliability.RELIABLE,
            durability,
            never,
            never,
            QosLiveliness.AUTOMATIC,
            never,
            False,
        )
    ]
