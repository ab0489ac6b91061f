"""Where the camera stands in the base frame: parameters, tf, or a clear refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError, ConfigError
from maskdex_ros.conversions import transform_from_message, transform_from_parts
from maskdex_ros.frames import FrameBuffer, UnknownTransform
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.qos import profile
from maskdex_ros.ros_packages import available

if TYPE_CHECKING:
    from rclpy.node import Node


MAX_TIME_DIFFERENCE = 0.05  # [s] between a cloud and the transform used for it, where the camera may move


class Listener(Protocol):
    """Hears tf and knows where frames were when."""

    def lookup(self, target: str, source: str, stamp: Any) -> NDArray[np.float64]:
        """Return `target_from_source` (4, 4) at a builtin_interfaces/Time.

        Raises:
            UnknownTransform: with the reason.
        """


class TransformSource:
    """Looks up `base_from_camera`.

    The parameters `base_from_camera.*` win over tf, because whoever sets them means them. tf is heard through
    tf2_ros, else through a buffer of our own where at least tf2_msgs is there; without both only the
    parameters are left.
    """

    def __init__(self, node: Node, listener: Listener | None = None) -> None:
        """Start listening to tf in the best way that is installed, or by `listener`."""
        self._listener = listener or _best_listener(node)

    def lookup(self, parameters: NodeParameters, camera_frame: str, stamp: Any) -> NDArray[np.float64] | None:
        """Return `base_from_camera` (4, 4), or None where `assume_extrinsics` allows that.

        Args:
            parameters: the node's, read now.
            camera_frame: the cloud's frame.
            stamp: time of the cloud, builtin_interfaces/Time.

        Raises:
            CloudError: when the pose is unknown and nothing may be assumed.
            ConfigError: when only one of the two parameters is set.
        """
        given = _from_parameters(parameters)
        if given is not None:
            return given
        try:
            if self._listener is None:
                raise UnknownTransform("neither tf2_ros nor tf2_msgs is installed")
            if not camera_frame:
                raise UnknownTransform("the cloud's header names no frame")
            return self._listener.lookup(parameters.base_frame, camera_frame.lstrip("/"), stamp)
        except UnknownTransform as reason:
            if parameters.assume_extrinsics:
                return None
            raise CloudError(
                f"the pose of camera frame {camera_frame!r} in {parameters.base_frame!r} is unknown ({reason}); "
                "publish it on tf, or set the parameters base_from_camera.translation and .quaternion_xyzw"
            ) from reason


class Tf2Listener:
    """tf2_ros' buffer, which ROS distributions have."""

    def __init__(self, node: Node, tf2_ros: Any) -> None:
        """Subscribe `/tf` and `/tf_static`."""
        self._tf2 = tf2_ros
        self._buffer = tf2_ros.Buffer()
        self._subscriptions = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str, stamp: Any) -> NDArray[np.float64]:
        """Return `target_from_source`; the newest transform serves where it is near enough to the stamp."""
        from rclpy.time import Time

        wanted = Time.from_msg(stamp)
        try:
            try:
                return transform_from_message(self._buffer.lookup_transform(target, source, wanted).transform)
            except self._tf2.ExtrapolationException:
                # The newest may be near enough: tf comes a little later than the cloud.
                newest = self._buffer.lookup_transform(target, source, Time())
        except self._tf2.TransformException as error:
            raise UnknownTransform(str(error)) from error
        _check_time(1e-9 * wanted.nanoseconds, 1e-9 * Time.from_msg(newest.header.stamp).nanoseconds)
        return transform_from_message(newest.transform)


class OwnListener:
    """Our buffer over `/tf` and `/tf_static`, for the wheels."""

    def __init__(self, node: Node, message: Any) -> None:
        """Subscribe with tf2's own QoS; `message` is tf2_msgs/TFMessage."""
        self._buffer = FrameBuffer(MAX_TIME_DIFFERENCE)
        for topic, static in (("/tf", False), ("/tf_static", True)):
            node.create_subscription(message, topic, self._taker(static), profile(100, latched=static))

    def lookup(self, target: str, source: str, stamp: Any) -> NDArray[np.float64]:
        """Return `target_from_source` at a stamp."""
        return self._buffer.lookup(target, source, stamp.sec * 10**9 + stamp.nanosec)

    def _taker(self, static: bool) -> Any:
        return lambda message: self._buffer.take(message.transforms, static)


def _best_listener(node: Node) -> Listener | None:
    tf2_ros, tf2_msgs = available("tf2_ros"), available("tf2_msgs.msg")
    if tf2_ros is not None:
        return Tf2Listener(node, tf2_ros)
    return None if tf2_msgs is None else OwnListener(node, tf2_msgs.TFMessage)


def _check_time(wanted: float, found: float) -> None:
    difference = wanted - found
    # tf2 stamps a chain of static transforms with 0: it holds at any time.
    if found and abs(difference) > MAX_TIME_DIFFERENCE:
        relation = "older" if difference > 0 else "newer"
        raise UnknownTransform(
            f"the newest transform is {abs(difference):.2f} s {relation} than the cloud; "
            f"at most {MAX_TIME_DIFFERENCE:g} s is valid"
        )


def _from_parameters(parameters: NodeParameters) -> NDArray[np.float64] | None:
    translation = parameters.base_from_camera_translation
    quaternion = parameters.base_from_camera_quaternion
    if bool(translation) != bool(quaternion):
        missing = "quaternion_xyzw" if translation else "translation"
        raise ConfigError(f"parameter 'base_from_camera.{missing}' is not set; set both of them or neither")
    return transform_from_parts(translation, quaternion, "base_from_camera") if translation else None
