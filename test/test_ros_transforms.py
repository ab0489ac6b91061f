"""Where the camera's pose comes from: parameters, tf2_ros, our own buffer over real topics, or a reason."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

import fake_ros_packages
from action_worlds import has_package
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time

from maskdex_core.errors import CloudError, ConfigError
from maskdex_ros.environment import free_domain_id
from maskdex_ros.frames import UnknownTransform
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.transforms import Tf2Listener, TransformSource


def stamp(seconds: float) -> Any:
    return Time(nanoseconds=round(1e9 * seconds)).to_msg()


def silent(reason: str = "nobody knows") -> Any:
    def lookup(*_: Any) -> None:
        raise UnknownTransform(reason)

    return TransformSource(SimpleNamespace(), SimpleNamespace(lookup=lookup))  # type: ignore[arg-type]


class TestParameters:
    def test_they_give_the_pose(self) -> None:
        parameters = NodeParameters(
            base_from_camera_translation=(0.1, 0.2, 0.3), base_from_camera_quaternion=(1.0, 0.0, 0.0, 0.0)
        )
        pose = silent().lookup(parameters, "camera", None)
        assert pose is not None
        assert pose[:3, 3].tolist() == [0.1, 0.2, 0.3]
        assert (pose @ [0.0, 0.0, 1.0, 0.0])[2] == pytest.approx(-1.0)

    def test_half_a_pose_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match=r"quaternion_xyzw' is not set"):
            silent().lookup(NodeParameters(base_from_camera_translation=(0.0, 0.0, 1.0)), "camera", None)


class TestUnknownPose:
    def test_is_refused_with_the_reason_unless_it_may_be_assumed(self) -> None:
        with pytest.raises(CloudError, match=r"'camera' in 'link_base' is unknown \(nobody knows\); publish it on tf"):
            silent().lookup(NodeParameters(), "camera", None)
        assert silent().lookup(NodeParameters(assume_extrinsics=True), "camera", None) is None

    def test_a_cloud_without_a_frame_is_refused(self) -> None:
        with pytest.raises(CloudError, match="the cloud's header names no frame"):
            silent().lookup(NodeParameters(), "", None)

    def test_without_any_tf_package_only_parameters_are_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_ros_packages.hide(monkeypatch, "tf2_ros", "tf2_msgs")
        with pytest.raises(CloudError, match="neither tf2_ros nor tf2_msgs is installed"):
            TransformSource(SimpleNamespace()).lookup(NodeParameters(), "camera", None)  # type: ignore[arg-type]


class TestTf2:
    """Over a tf2_ros whose newest transform is known and whose past is not."""

    class Unknown(Exception):
        """Stands for tf2_ros.TransformException."""

    class Extrapolation(Unknown):
        """Stands for tf2_ros.ExtrapolationException."""

    def source(self, newest: float | None) -> TransformSource:
        def lookup_transform(base: str, camera: str, when: Time) -> TransformStamped:
            if newest is None:
                raise self.Unknown(f"'{camera}' passed to lookupTransform does not exist")
            if when.nanoseconds:
                raise self.Extrapolation("into the future")
            found = TransformStamped()
            found.transform.translation.x = 0.5
            found.header.stamp = stamp(newest)
            return found

        tf2_ros = SimpleNamespace(
            Buffer=lambda: SimpleNamespace(lookup_transform=lookup_transform),
            TransformListener=lambda buffer, node: None,
            ExtrapolationException=self.Extrapolation,
            TransformException=self.Unknown,
        )
        node: Any = SimpleNamespace()
        return TransformSource(node, Tf2Listener(node, tf2_ros))

    @pytest.mark.parametrize("newest", [99.96, 100.04, 0.0], ids=["just before", "just after", "static"])
    def test_the_newest_transform_is_used_near_the_cloud_or_when_static(self, newest: float) -> None:
        pose = self.source(newest).lookup(NodeParameters(), "camera", stamp(100.0))
        assert pose is not None
        assert pose[0, 3] == 0.5

    @pytest.mark.parametrize(("newest", "expected"), [(99.7, "0.30 s older"), (100.06, "0.06 s newer")])
    def test_a_transform_of_another_time_is_refused_with_the_difference(self, newest: float, expected: str) -> None:
        with pytest.raises(CloudError, match=expected):
            self.source(newest).lookup(NodeParameters(), "camera", stamp(100.0))

    def test_what_tf2_does_not_know_is_said_in_its_words(self) -> None:
        with pytest.raises(CloudError, match="'camera' passed to lookupTransform does not exist"):
            self.source(None).lookup(NodeParameters(), "camera", stamp(100.0))


@pytest.mark.skipif(not has_package("tf2_msgs"), reason="tf2_msgs: a ROS distribution, or set-up with a C compiler")
class TestOverTopics:
    """The same answers from our own buffer and from the real tf2_ros, where that is."""

    @pytest.fixture
    def nodes(self) -> Any:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        context = rclpy.context.Context()
        rclpy.init(context=context, domain_id=free_domain_id())
        executor = SingleThreadedExecutor(context=context)
        made = [rclpy.create_node(name, context=context) for name in ("listener", "robot")]
        for node in made:
            executor.add_node(node)
        yield (*made, executor)
        for node in made:
            node.destroy_node()
        rclpy.shutdown(context=context)

    @pytest.mark.parametrize("way", ["own buffer", "tf2_ros"])
    def test_static_and_moving_transforms_are_heard_and_joined(self, nodes: Any, monkeypatch, way: str) -> None:
        from tf2_msgs.msg import TFMessage

        from maskdex_ros.qos import profile

        if way == "own buffer":
            fake_ros_packages.hide(monkeypatch, "tf2_ros")
        elif not has_package("tf2_ros"):
            pytest.skip("tf2_ros comes with ROS distributions only")
        listener, robot, executor = nodes

        def message(parent: str, child: str, x: float, when: float) -> TFMessage:
            transform = TransformStamped(child_frame_id=child)
            transform.header.frame_id, transform.header.stamp = parent, stamp(when)
            transform.transform.translation.x = x
            return TFMessage(transforms=[transform])

        static = robot.create_publisher(TFMessage, "/tf_static", profile(1, latched=True))
        static.publish(message("flange", "camera", 0.25, 0.0))  # before the listener is there
        moving = robot.create_publisher(TFMessage, "/tf", profile(100))
        source = TransformSource(listener)
        end = time.monotonic() + 20.0
        pose = None
        # Until both moving ones were heard: between them the pose is in the middle, with one alone it is that one's.
        while pose is None or pose[0, 3] != pytest.approx(1.75):
            assert time.monotonic() < end
            moving.publish(message("link_base", "flange", 1.0, 100.0))
            moving.publish(message("link_base", "flange", 2.0, 100.1))
            executor.spin_once(timeout_sec=0.05)
            pose = source.lookup(NodeParameters(assume_extrinsics=True), "camera", stamp(100.05))
        with pytest.raises(CloudError, match=r"1\.00 s older than the cloud; at most 0\.05 s is valid"):
            source.lookup(NodeParameters(), "camera", stamp(101.1))
        with pytest.raises(CloudError, match="kamera"):
            source.lookup(NodeParameters(), "kamera", stamp(100.05))
