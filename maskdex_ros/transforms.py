"""Where the camera stands in the base frame: parameters, tf2, or a clear refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError, ConfigError
from maskdex_ros.conversions import transform_from_message, transform_from_parts
from maskdex_ros.parameters import NodeParameters

if TYPE_CHECKING:
    from rclpy.node import Node


MAX_TIME_DIFFERENCE = 0.05  # [s] between a cloud and the transform used for it, where the camera may move


class TransformSource:
    """Looks up `base_from_camera`.

    The parameters `base_from_camera.*` win over tf2, because whoever sets them means them.
    tf2_ros is not on PyPI; without it only the parameters are left.
    """

    def __init__(self, node: Node) -> None:
        """Start listening to tf2 where tf2_ros can be imported."""
        self._node = node
        self._buffer: Any = None
        self._listener: Any = None
        try:
            import tf2_ros
        except ImportError:
            return
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

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
        why = "tf2_ros is not installed" if self._buffer is None else ""
        if self._buffer is not None:
            found, why = self._from_tf(parameters.base_frame, camera_frame, stamp)
            if found is not None:
                return found
        if parameters.assume_extrinsics:
            return None
        raise CloudError(
            f"the pose of camera frame {camera_frame!r} in {parameters.base_frame!r} is unknown ({why}); "
            "publish it on tf, or set the parameters base_from_camera.translation and .quaternion_xyzw"
        )

    def _from_tf(self, base: str, camera: str, stamp: Any) -> tuple[NDArray[np.float64] | None, str]:
        import tf2_ros
        from rclpy.time import Time

        wanted = Time.from_msg(stamp)
        try:
            return transform_from_message(self._buffer.lookup_transform(base, camera, wanted).transform), ""
        except tf2_ros.ExtrapolationException:
            pass  # the newest may be near enough: tf comes a little later than the cloud
        except tf2_ros.TransformException as error:
            return None, str(error)
        try:
            newest = self._buffer.lookup_transform(base, camera, Time())
        except tf2_ros.TransformException as error:
            return None, str(error)
        found = Time.from_msg(newest.header.stamp)
        difference = 1e-9 * (wanted.nanoseconds - found.nanoseconds)
        # tf2 stamps a chain of static transforms with 0: it holds at any time.
        if found.nanoseconds and abs(difference) > MAX_TIME_DIFFERENCE:
            relation = "older" if difference > 0 else "newer"
            return None, (
                f"the newest transform is {abs(difference):.2f} s {relation} than the cloud; "
                f"at most {MAX_TIME_DIFFERENCE} s is valid"
            )
        return transform_from_message(newest.transform), ""


def _from_parameters(parameters: NodeParameters) -> NDArray[np.float64] | None:
    translation = parameters.base_from_camera_translation
    quaternion = parameters.base_from_camera_quaternion
    if bool(translation) != bool(quaternion):
        missing = "quaternion_xyzw" if translation else "translation"
        raise ConfigError(f"parameter 'base_from_camera.{missing}' is not set; set both of them or neither")
    return transform_from_parts(translation, quaternion, "base_from_camera") if translation else None
