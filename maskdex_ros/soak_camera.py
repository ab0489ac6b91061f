"""A camera that never tires: the cloud of a bag as 640x480 points at a fixed rate, stamped now."""

from __future__ import annotations

import argparse
import array
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.errors import CloudError, MaskdexError
from maskdex_core.perception.bag import CLOUD_TYPE
from maskdex_ros.bag import messages, open_bag
from maskdex_ros.process import let_signals_end_ros

WIDTH, HEIGHT = 640, 480
SET_BACK = 60 * 10**9  # [ns] by which SIGUSR1 sets the camera's clock back, and the next one forward


def first_cloud(folder: Path) -> Any:
    """Return the first cloud of a bag, as rosbags reads it.

    Raises:
        CloudError: when there is none.
    """
    from rosbags.typesys import Stores, get_typestore

    with open_bag(folder) as reader:
        topics = {connection.topic for connection in reader.connections if connection.msgtype == CLOUD_TYPE}
        for connection, _, data in messages(reader, topics):
            return get_typestore(Stores.ROS2_KILTED).deserialize_cdr(data, connection.msgtype)
    raise CloudError(f"bag {str(folder)!r} holds no cloud")


def full_size(cloud: Any) -> Any:
    """Return an organised cloud as sensor_msgs/PointCloud2 of 640x480, each pixel the nearest one of the source."""
    from sensor_msgs.msg import PointCloud2, PointField

    pixels = np.asarray(cloud.data, np.uint8).reshape(cloud.height, cloud.row_step)
    pixels = pixels[:, : cloud.width * cloud.point_step].reshape(cloud.height, cloud.width, cloud.point_step)
    rows, columns = np.arange(HEIGHT) * cloud.height // HEIGHT, np.arange(WIDTH) * cloud.width // WIDTH
    fields = [PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in cloud.fields]
    message = PointCloud2(
        height=HEIGHT, width=WIDTH, fields=fields, is_bigendian=bool(cloud.is_bigendian),
        point_step=cloud.point_step, row_step=WIDTH * cloud.point_step, is_dense=False,
    )  # fmt: skip
    message.header.frame_id = cloud.header.frame_id
    message.data = array.array("B", pixels[rows[:, None], columns[None]].tobytes())
    return message


def publish_clouds(folder: Path, rate: float) -> None:
    """Publish until a signal comes; a camera that is late skips no beat but sends late."""
    import rclpy
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import PointCloud2

    from maskdex_ros.qos import profile

    node = rclpy.create_node("soak_camera")
    publisher = node.create_publisher(PointCloud2, "points", profile(reliable=False))
    # Serialized once: only the stamp changes, eight bytes behind the encapsulation's four.
    behind = [0, SET_BACK]
    signal.signal(signal.SIGUSR1, lambda *_: behind.reverse())
    data = bytearray(serialize_message(full_size(first_cloud(folder))))
    begun, count = time.monotonic(), 0
    while rclpy.ok():
        now = time.time_ns() - behind[0]
        data[4:12] = np.array([now // 10**9, now % 10**9], "<u4").tobytes()
        publisher.publish(bytes(data))
        count += 1
        time.sleep(max(0.0, begun + count / rate - time.monotonic()))
    sys.stdout.write(f"{count} clouds in {time.monotonic() - begun:.1f} s\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish from the command line until SIGINT or SIGTERM."""
    import rclpy

    parser = argparse.ArgumentParser(prog="soak_camera", description="Publish full-size clouds at a fixed rate.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder with an organised cloud")
    parser.add_argument("--rate", type=float, default=30.0, help="clouds in a second")
    given = parser.parse_args(arguments)
    let_signals_end_ros()
    rclpy.init()
    try:
        publish_clouds(given.bag, given.rate)
    except MaskdexError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except RuntimeError:  # the signal has ended ROS under a call
        if rclpy.ok():
            raise
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
