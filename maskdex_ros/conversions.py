"""Messages to arrays and back; the only place that knows both.

Quaternions are (x, y, z, w) here and nowhere else: `quaternion_from_rotation` and
`transform_from_parts` are the two directions of the one conversion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError

if TYPE_CHECKING:
    from geometry_msgs.msg import Pose
    from sensor_msgs.msg import PointCloud2
    from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage


def quaternion_from_rotation(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the unit quaternion (x, y, z, w), w >= 0, of a (3, 3) rotation."""
    from scipy.spatial.transform import Rotation

    quaternion = Rotation.from_matrix(np.asarray(rotation, dtype=np.float64)).as_quat()
    return -quaternion if quaternion[3] < 0 else quaternion


def transform_from_parts(
    translation: Sequence[float], quaternion_xyzw: Sequence[float], where: str = "transform"
) -> NDArray[np.float64]:
    """Build a (4, 4) rigid transform.

    Args:
        translation: (3,) metres.
        quaternion_xyzw: (4,) of any length but zero; it is normalised.
        where: named in the error.

    Raises:
        CloudError: when a number is not finite or the quaternion is far from unit length.
    """
    from scipy.spatial.transform import Rotation

    values = [*translation, *quaternion_xyzw]
    if not all(math.isfinite(value) for value in values):
        raise CloudError(f"{where}: {values} holds a number that is not finite")
    norm = math.sqrt(sum(value * value for value in quaternion_xyzw))
    if abs(norm - 1.0) > 0.01:
        raise CloudError(f"{where}: quaternion (x, y, z, w) {list(quaternion_xyzw)} has length {norm:.3f}; expected 1")
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_quat(list(quaternion_xyzw)).as_matrix()
    transform[:3, 3] = translation
    return transform


def transform_from_message(message: Any) -> NDArray[np.float64]:
    """Return the (4, 4) matrix of a geometry_msgs/Transform (rclpy's or rosbags' class)."""
    translation, rotation = message.translation, message.rotation
    return transform_from_parts(
        (translation.x, translation.y, translation.z), (rotation.x, rotation.y, rotation.z, rotation.w)
    )


def pose_message(transform: NDArray[np.floating]) -> Pose:
    """Return the geometry_msgs/Pose of a (4, 4) rigid transform."""
    from geometry_msgs.msg import Point, Pose, Quaternion

    x, y, z, w = (float(value) for value in quaternion_from_rotation(transform[:3, :3]))
    px, py, pz = (float(value) for value in transform[:3, 3])
    return Pose(position=Point(x=px, y=py, z=pz), orientation=Quaternion(x=x, y=y, z=z, w=w))


def points_message(
    points: NDArray[np.floating], frame: str, stamp: Any, **channels: NDArray[np.floating] | None
) -> PointCloud2:
    """Return an unorganised XYZ cloud of (N, 3) points in metres, and the channels (N,) that are known, by name."""
    import array

    from sensor_msgs.msg import PointCloud2, PointField
    from std_msgs.msg import Header

    known = {name: values for name, values in channels.items() if values is not None}
    columns = [np.asarray(points).reshape(-1, 3), *(np.reshape(values, (-1, 1)) for values in known.values())]
    data = np.ascontiguousarray(np.concatenate(columns, 1), dtype="<f4")
    step = 4 * data.shape[1]
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate((*"xyz", *known))
    ]
    message = PointCloud2(
        header=Header(frame_id=frame, stamp=stamp),
        height=1,
        width=len(data),
        fields=fields,
        is_bigendian=False,
        point_step=step,
        row_step=step * len(data),
        is_dense=bool(np.isfinite(data).all()),
    )
    # An array.array is taken as it is; anything else would be checked byte by byte, in seconds.
    message.data = array.array("B", data.tobytes())
    return message


def trajectory_message(
    joint_names: Sequence[str],
    times: NDArray[np.floating],
    positions: NDArray[np.floating],
    velocities: NDArray[np.floating],
    accelerations: NDArray[np.floating],
) -> JointTrajectoryMessage:
    """Return a JointTrajectory that starts when it arrives: zero stamp, no effort.

    Args:
        joint_names: (J,) exactly the controller's names.
        times: (T,) seconds from the start.
        positions: (T, J) radians; velocities and accelerations likewise.
    """
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    points = [
        JointTrajectoryPoint(
            positions=positions[row].astype(float).tolist(),
            velocities=velocities[row].astype(float).tolist(),
            accelerations=accelerations[row].astype(float).tolist(),
            time_from_start=duration_message(float(times[row])),
        )
        for row in range(len(times))
    ]
    return JointTrajectory(joint_names=list(joint_names), points=points)


def duration_message(seconds: float) -> Any:
    """Return a builtin_interfaces/Duration, rounded to the nanosecond."""
    from builtin_interfaces.msg import Duration

    nanoseconds = round(seconds * 1e9)
    return Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def json_text(report: dict[str, Any]) -> str:
    """Return strict JSON: numpy values become plain ones, NaN and infinity become null."""
    return json.dumps(_plain(report), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
