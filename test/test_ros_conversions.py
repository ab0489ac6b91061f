"""Messages to arrays and back: frames, names, times and quaternions by numbers."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Transform, Vector3

from maskdex_core.errors import CloudError, RobotError
from maskdex_core.motion.types import JointTrajectory
from maskdex_core.perception.pointcloud2 import decode_points
from maskdex_ros.conversions import (
    json_text,
    points_message,
    pose_message,
    quaternion_from_rotation,
    transform_from_message,
    transform_from_parts,
)
from maskdex_ros.outputs.controller_message import controller_message

HALF = math.sqrt(0.5)


def trajectory(**changes) -> JointTrajectory:
    values = {
        "joint_names": ("a", "b"),
        "times": [0.5, 1.0, 1.25],
        "positions": [[0.0, 1.0], [0.1, 1.1], [0.2, 1.2]],
        "velocities": [[0.1, 0.1], [0.1, 0.1], [0.0, 0.0]],
        "accelerations": np.zeros((3, 2)),
    }
    return JointTrajectory(**{**values, **changes})


def test_quaternions_are_x_y_z_w() -> None:
    quarter_about_z = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(quaternion_from_rotation(quarter_about_z), [0.0, 0.0, HALF, HALF], atol=1e-12)
    moved = transform_from_parts((1.0, 2.0, 3.0), (0.0, 0.0, HALF, HALF)) @ [1.0, 0.0, 0.0, 1.0]
    np.testing.assert_allclose(moved, [1.0, 3.0, 3.0, 1.0], atol=1e-12)


@given(st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: sum(value**2 for value in q) > 0.01))
@settings(max_examples=50, deadline=None)
def test_pose_there_and_back_is_the_same_transform(quaternion: tuple[float, ...]) -> None:
    unit = np.array(quaternion) / np.linalg.norm(quaternion)
    transform = transform_from_parts((0.1, -0.2, 0.3), unit.tolist())
    pose = pose_message(transform)
    position = Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z)
    back = transform_from_message(Transform(translation=position, rotation=pose.orientation))
    np.testing.assert_allclose(back, transform, atol=1e-9)


@pytest.mark.parametrize("quaternion", [(0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 1.0)])
def test_a_quaternion_that_is_no_rotation_is_refused(quaternion: tuple[float, ...]) -> None:
    with pytest.raises(CloudError, match="base_from_camera"):
        transform_from_parts((0.0, 0.0, 0.0), quaternion, "base_from_camera")


def test_points_survive_the_message_bit_by_bit() -> None:
    points = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    message = points_message(points, "link_base", Time())
    assert (message.header.frame_id, message.width, message.row_step) == ("link_base", 1000, 12000)
    np.testing.assert_array_equal(decode_points(message)[0], points)


def test_further_channels_of_points_follow_their_place() -> None:
    points, touch = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32), np.linspace(0.0, 1.0, 10)
    message = points_message(points, "link_base", Time(), touch=touch, unknown=None)
    assert [(field.name, field.offset) for field in message.fields][3:] == [("touch", 12)]
    rows = np.frombuffer(bytes(message.data), "<f4").reshape(10, 4)
    np.testing.assert_array_equal(rows[:, 3], touch.astype(np.float32))
    np.testing.assert_array_equal(decode_points(message)[0], points)


def test_controller_message_is_what_a_joint_trajectory_controller_accepts() -> None:
    message = controller_message(trajectory())
    assert message.joint_names == ["a", "b"]
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (0, 0, "")
    stamps = [(point.time_from_start.sec, point.time_from_start.nanosec) for point in message.points]
    assert stamps == [(0, 500_000_000), (1, 0), (1, 250_000_000)]
    assert [list(point.positions) for point in message.points] == [[0.0, 1.0], [0.1, 1.1], [0.2, 1.2]]
    assert all(len(point.effort) == 0 for point in message.points)


def test_a_point_at_time_0_is_the_present_position_and_left_out() -> None:
    assert len(controller_message(trajectory(times=[0.0, 1.0, 1.25])).points) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"times": [0.5, 0.5, 1.0]}, "increase strictly"),
        ({"times": [-0.5, 0.5, 1.0]}, "above 0 s"),
        ({"times": [0.5, 0.5 + 1e-10, 1.0]}, "increase strictly"),
        ({"velocities": np.full((3, 2), 0.1)}, "still moves"),
        ({"positions": np.full((3, 2), np.nan)}, "not finite"),
        ({"accelerations": np.full((3, 2), np.inf)}, "not finite"),
    ],
)
def test_a_trajectory_that_would_be_misread_is_refused(changes: dict, expected: str) -> None:
    with pytest.raises(RobotError, match=expected):
        controller_message(trajectory(**changes))


def test_json_is_strict_whatever_the_report_holds() -> None:
    report = {"a": np.float32(0.5), "b": np.array([1.0, np.nan]), "c": (1, math.inf), "d": {"e": np.int64(3)}}
    assert json.loads(json_text(report)) == {"a": 0.5, "b": [1.0, None], "c": [1, None], "d": {"e": 3}}
