"""The node `sim_robot`: a MuJoCo robot cell behind the topics of a ros2_control robot and a RealSense.

Publishes `joint_states`, `points` (organised, NaN where nothing was measured, optical frame, with colours) and
`camera_info` as sensor data, and, where tf2_msgs is installed, the camera's pose on /tf_static. Two
joint_trajectory_controllers listen on `arm_controller/joint_trajectory` and `hand_controller/joint_trajectory`.
`~/report` (latched JSON) says `ready`, what was `refused`, and at last what became of the object.
"""

from __future__ import annotations

import array
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, JointState, PointCloud2, PointField
from std_msgs.msg import Header, String
from trajectory_msgs.msg import JointTrajectory

from maskdex_core.errors import MaskdexError
from maskdex_core.physics.simulation import CellConfig, SimulatedCell
from maskdex_core.physics.trajectory_controller import PointTrajectory, TrajectoryRefused
from maskdex_ros.conversions import pose_message
from maskdex_ros.display import check_display
from maskdex_ros.process import leave, let_signals_end_ros
from maskdex_ros.qos import profile

if TYPE_CHECKING:
    from maskdex_core.perception.cloud import Cloud

TICK, JOINT_PERIOD, CLOUD_PERIOD = 0.01, 0.02, 0.5  # s
SLOWEST = 0.1  # s of simulated time in a tick at most: on a busy machine the world runs slower than real time
POINT = np.dtype({"names": ["xyz", "bgr"], "formats": [("<f4", 3), ("u1", 3)], "offsets": [0, 16], "itemsize": 20})
PICTURE, MOVIE, OUTCOME = "lift.png", "lift.gif", "lift.json"


class SimRobotNode(Node):
    """Ticks the cell in real time and speaks for it."""

    def __init__(self, **kwargs: Any) -> None:
        """Read the parameters and build the cell.

        Raises:
            MaskdexError: when object, hand or arm cannot be used, or there is no display for the viewer.
        """
        super().__init__("sim_robot", **kwargs)
        text = {name: self.declare_parameter(name, default).value for name, default in _TEXT_PARAMETERS.items()}
        self._out = Path(str(text["output_dir"])) if text["output_dir"] else None
        seed, rate = (int(self.declare_parameter("seed", 0).value or 0), self.declare_parameter("rate", 1.0).value)
        self._rate = float(rate or 1.0)
        shown = bool(self.declare_parameter("viewer", False).value)
        if shown:
            check_display()
        self.cell = SimulatedCell(CellConfig(str(text["object"]), str(text["hand"]), str(text["arm"]), seed))
        self._viewer = _open_viewer(self.cell) if shown else None
        self._joints = self.create_publisher(JointState, "joint_states", profile(10))
        self._points = self.create_publisher(PointCloud2, "points", profile(5, reliable=False))  # sensor data
        self._info = self.create_publisher(CameraInfo, "camera_info", profile(5, reliable=False))
        self._report = self.create_publisher(String, "~/report", profile(10, latched=True))
        for part in ("arm", "hand"):
            topic = f"{part}_controller/joint_trajectory"
            self.create_subscription(JointTrajectory, topic, self._taker(part), profile(10))
        self._transforms = _publish_camera_pose(self, self.cell)
        self._ticked, self._finished = time.monotonic(), False
        self.cell.cloud()  # rendered before anybody waits for it
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period, call in ((TICK, self._tick), (JOINT_PERIOD, self._tell_joints), (CLOUD_PERIOD, self._tell_cloud)):
            self.create_timer(period, call, clock=steady)
        self._say(status="ready")
        self.get_logger().info("ready")

    def _tick(self) -> None:
        now = time.monotonic()
        elapsed, self._ticked = now - self._ticked, now
        if self._finished:
            return
        self.cell.advance(min(elapsed * self._rate, SLOWEST))
        if self._viewer is not None:
            self._viewer.sync()
        if self.cell.done:
            self._finish()

    def _finish(self) -> None:
        """Leave pictures and the outcome."""
        self._finished = True
        report = self.cell.report()
        if self._out is not None:
            self._out.mkdir(parents=True, exist_ok=True)
            self.cell.film.strip(self._out / PICTURE)
            self.cell.film.movie(self._out / MOVIE)
            (self._out / OUTCOME).write_text(json.dumps(report, indent=1), encoding="utf-8")
        self._say(status="done", **report)
        self.get_logger().info(f"{report['object']}: {report['outcome']}")

    def _taker(self, part: str) -> Any:
        def take(message: JointTrajectory) -> None:
            try:
                self.cell.accept(part, self._received(message))
            except TrajectoryRefused as error:
                self.get_logger().error(f"{part}_controller: trajectory refused: {error}")
                self._say(status="refused", controller=part, reason=str(error))

        return take

    def _received(self, message: JointTrajectory) -> PointTrajectory:
        points, stamp = message.points, message.header.stamp
        seconds = stamp.sec + 1e-9 * stamp.nanosec
        ahead = seconds - 1e-9 * self.get_clock().now().nanoseconds
        rows = {key: [list(getattr(point, key)) for point in points] for key in ("velocities", "accelerations")}
        return PointTrajectory(
            joint_names=list(message.joint_names),
            times=[point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec for point in points],
            positions=[list(point.positions) for point in points],
            velocities=rows["velocities"] if any(rows["velocities"]) else (),
            accelerations=rows["accelerations"] if any(rows["accelerations"]) else (),
            has_effort=any(len(point.effort) for point in points),
            start=None if seconds == 0 else self.cell.world.time + ahead,
        )

    def _tell_joints(self) -> None:
        world = self.cell.world
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id="")
        positions, velocities = world.positions.tolist(), world.velocities.tolist()
        names = list(world.joint_names)
        self._joints.publish(JointState(header=header, name=names, position=positions, velocity=velocities))

    def _tell_cloud(self) -> None:
        if not self.cell.moving and not self._finished:  # a rendered cloud takes longer than a moving robot may wait
            stamp = self.get_clock().now().to_msg()
            cloud, camera = self.cell.cloud(), self.cell.camera
            self._points.publish(organised_message(cloud, camera.size, stamp))
            self._info.publish(camera_info_message(camera.K, camera.size, cloud.frame, stamp))

    def _say(self, **content: Any) -> None:
        self._report.publish(String(data=json.dumps(content)))


_TEXT_PARAMETERS = {"object": "mug", "hand": "freedom_v2", "arm": "xarm7", "output_dir": ""}


def organised_message(cloud: Cloud, size: tuple[int, int], stamp: Any) -> PointCloud2:
    """Return an organised cloud message of H·W points in rows, NaN where nothing was measured, colours in rgb.

    Laid out as realsense2_camera does it: x, y, z, four bytes of padding, and the colour's bytes B, G, R, 0.
    """
    height, width = size
    fields = [
        PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
        for name, offset in (("x", 0), ("y", 4), ("z", 8), ("rgb", 16))
    ]
    message = PointCloud2(
        header=Header(frame_id=cloud.frame, stamp=stamp), height=height, width=width, fields=fields,
        is_bigendian=False, point_step=POINT.itemsize, row_step=POINT.itemsize * width, is_dense=False,
    )  # fmt: skip
    packed = np.zeros(height * width, POINT)
    packed["xyz"] = cloud.points
    if cloud.colors is not None:
        packed["bgr"] = np.round(255 * cloud.colors[:, ::-1])
    # An array.array is taken as it is; anything else would be checked byte by byte, in seconds.
    message.data = array.array("B", packed.tobytes())
    return message


def camera_info_message(K: np.ndarray, size: tuple[int, int], frame: str, stamp: Any) -> CameraInfo:
    """Return the calibration of a camera without distortion; K (3, 3) in pixels."""
    rectified = np.column_stack([K, np.zeros(3)])
    return CameraInfo(
        header=Header(frame_id=frame, stamp=stamp), height=size[0], width=size[1], distortion_model="plumb_bob",
        d=[0.0] * 5, k=K.ravel().tolist(), r=np.eye(3).ravel().tolist(), p=rectified.ravel().tolist(),
    )  # fmt: skip


def _publish_camera_pose(node: Node, cell: SimulatedCell) -> Any:
    """Publish base_from_camera on /tf_static and return the publisher, or None without tf2_msgs."""
    if importlib.util.find_spec("tf2_msgs") is None:
        return None
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    pose = pose_message(cell.camera.base_from_camera)
    transform = TransformStamped()
    transform.header.frame_id = cell.world.arm.config.base_frame
    transform.header.stamp = node.get_clock().now().to_msg()
    transform.child_frame_id = cell.cloud().frame
    at, turn = transform.transform.translation, transform.transform.rotation
    at.x, at.y, at.z = pose.position.x, pose.position.y, pose.position.z
    turn.x, turn.y, turn.z, turn.w = (getattr(pose.orientation, axis) for axis in "xyzw")
    publisher = node.create_publisher(TFMessage, "/tf_static", profile(latched=True))
    publisher.publish(TFMessage(transforms=[transform]))
    return publisher


def _open_viewer(cell: SimulatedCell) -> Any:
    from mujoco import viewer

    return viewer.launch_passive(cell.world.model, cell.world.data)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end; return the exit code where it could not be made."""
    let_signals_end_ros()
    rclpy.init(args=args)
    try:
        rclpy.spin(SimRobotNode())
    except MaskdexError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return error.exit_code
    except Exception:
        if rclpy.ok():  # else a signal has ended ROS under a callback
            raise
    finally:
        rclpy.try_shutdown()
    leave()


if __name__ == "__main__":
    sys.exit(main())
