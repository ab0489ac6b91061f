"""The simulated robot as a node: what a ros2_control robot and a depth camera publish, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")
pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")

from ros_support import Client, process

from maskdex_core.errors import HandError
from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.physics.simulation import CellConfig, SimulatedCell
from maskdex_ros.environment import free_domain_id, ros_environment

START = 180.0  # s, on a busy machine
REPORT = "/sim_robot/report"


@pytest.fixture(scope="module")
def cell() -> Iterator[Client]:
    """Return a client of a running cell with a can on the table."""
    from sensor_msgs.msg import CameraInfo, JointState, PointCloud2
    from std_msgs.msg import String

    domain = free_domain_id()
    command = [sys.executable, "-m", "maskdex_ros.sim_robot_node", "--ros-args", "-p", "object:=can_003"]
    with process([*command, "-p", "hand:=freedom_v2"], ros_environment(domain)):
        client = Client(domain)
        client.listen(String, REPORT, latched=True)
        client.listen(JointState, "/joint_states")
        client.listen(PointCloud2, "/points", reliable=False)
        client.listen(CameraInfo, "/camera_info", reliable=False)
        client.spin_until(lambda: client.heard[REPORT], START, "the cell to be ready")
        yield client
        client.close()


def reports(cell: Client) -> list[dict[str, object]]:
    return [json.loads(message.data) for message in cell.heard[REPORT]]


def trajectory(names: tuple[str, ...], positions: list[float], end_velocity: float = 0.0) -> object:
    from maskdex_ros.conversions import trajectory_message

    rows = np.array([positions])
    moving = np.zeros_like(rows)
    moving[0, 0] = end_velocity
    return trajectory_message(names, np.array([0.6]), rows, moving, np.zeros_like(rows))


def test_joints_and_clouds_come_as_from_a_real_robot_and_camera(cell: Client) -> None:
    cell.spin_until(lambda: cell.heard["/joint_states"] and cell.heard["/points"], 60.0, "joints and a cloud")
    joints, cloud = cell.heard["/joint_states"][-1], cell.heard["/points"][-1]
    arm, hand = Arm.load("xarm7"), HandModel.load("freedom_v2")
    assert tuple(joints.name) == (*arm.joint_names, *hand.joint_names)
    assert np.asarray(joints.position)[:7] == pytest.approx(arm.home, abs=5e-3)
    assert (cloud.height, cloud.width, cloud.is_dense) == (480, 640, False)
    assert cloud.header.frame_id.endswith("optical_frame")
    points = np.frombuffer(bytes(cloud.data), np.float32).reshape(480, 640, -1)[..., :3]
    seen = np.isfinite(points[..., 2])
    assert 0.3 < seen.mean() < 1.0
    assert 0.2 < np.median(points[seen][:, 2]) < 1.5  # m ahead of the camera


def test_clouds_have_colours_and_a_calibration_as_a_realsense_has_them(cell: Client) -> None:
    from rclpy.qos import ReliabilityPolicy

    from maskdex_core.perception.pointcloud2 import decode_points
    from maskdex_core.physics.scene_camera import COLORS

    cell.spin_until(lambda: cell.heard["/camera_info"] and cell.heard["/points"], 60.0, "a calibration and a cloud")
    cloud, info = cell.heard["/points"][-1], cell.heard["/camera_info"][-1]
    assert [(field.name, field.offset) for field in cloud.fields] == [("x", 0), ("y", 4), ("z", 8), ("rgb", 16)]
    assert (cloud.point_step, cloud.row_step, len(cloud.data)) == (20, 20 * 640, 20 * 640 * 480)
    points, colors = decode_points(cloud)
    assert colors is not None
    points, colors = points.reshape(480, 640, 3), colors.reshape(480, 640, 3)
    near = (
        np.linalg.norm(points[200:280, 280:360] - np.nanmedian(points[200:280, 280:360], axis=(0, 1)), axis=-1) < 0.03
    )
    middle = np.median(colors[200:280, 280:360][near], axis=0)  # the can stands where the camera looks
    assert middle / np.linalg.norm(middle) @ (COLORS[0] / np.linalg.norm(COLORS[0])) > 0.995
    # A point projected with the calibration lies in its own pixel.
    K = np.asarray(info.k).reshape(3, 3)
    rows, columns = np.nonzero(np.isfinite(points[..., 2]))
    pixels = points[rows, columns] @ K.T
    assert np.abs(pixels[:, :2] / pixels[:, 2:] - np.column_stack([columns, rows])).max() < 0.01
    assert (info.height, info.width, info.header.frame_id) == (480, 640, cloud.header.frame_id)
    for topic in ("/points", "/camera_info"):
        (publisher,) = cell.node.get_publishers_info_by_topic(topic)
        assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_a_trajectory_that_does_not_end_at_rest_is_refused_and_a_good_one_moves_the_arm(cell: Client) -> None:
    arm = Arm.load("xarm7")
    goal = (arm.home + np.array([0.2, 0, 0, 0, 0, 0, 0.1])).tolist()
    topic = "/arm_controller/joint_trajectory"
    cell.publish(trajectory(arm.joint_names, goal, end_velocity=0.5), topic)
    refused = cell.spin_until(
        lambda: [report for report in reports(cell) if report["status"] == "refused"], 60.0, "a refusal"
    )
    assert refused[0]["controller"] == "arm"
    assert "joint1 still moves at the last point" in str(refused[0]["reason"])
    assert np.asarray(cell.heard["/joint_states"][-1].position)[:7] == pytest.approx(arm.home, abs=5e-3)
    cell.publish(trajectory(arm.joint_names[::-1], goal[::-1]), topic)

    def arrived() -> bool:
        return bool(np.abs(np.asarray(cell.heard["/joint_states"][-1].position)[:7] - goal).max() < 5e-3)

    cell.spin_until(arrived, 90.0, "the arm to arrive")


def test_a_viewer_without_a_display_is_refused_before_the_cell_is_built() -> None:
    """The object is unknown too, which only the built cell would tell."""
    command = [sys.executable, "-m", "maskdex_ros.sim_robot_node", "--ros-args", "-p", "object:=mugg"]
    hidden = {key: value for key, value in ros_environment(free_domain_id()).items() if "DISPLAY" not in key}
    ended = subprocess.run(
        [*command, "-p", "viewer:=true"], env=hidden, capture_output=True, text=True, timeout=START, check=False
    )
    assert ended.returncode == 2
    assert "the viewer needs a display" in ended.stderr and "mugg" not in ended.stderr


def test_a_cell_that_cannot_be_built_says_why() -> None:
    command = [sys.executable, "-m", "maskdex_ros.sim_robot_node", "--ros-args", "-p", "object:=mugg"]
    ended = subprocess.run(
        command, env=ros_environment(free_domain_id()), capture_output=True, text=True, timeout=START, check=False
    )
    assert ended.returncode == 3
    assert "object 'mugg' is unknown" in ended.stderr
    assert "Traceback" not in ended.stderr
    with pytest.raises(HandError, match="hand 'leep' is unknown"):
        SimulatedCell(CellConfig(hand="leep"))
