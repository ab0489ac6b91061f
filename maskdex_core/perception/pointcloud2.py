"""Decode a sensor_msgs/PointCloud2 into arrays with numpy alone.

Works on any object that carries the message's attributes (rclpy's and rosbags' classes both do),
so that this room never imports ROS.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError
from maskdex_core.perception.cloud import MAX_POINTS, Cloud

# sensor_msgs/PointField constants
TYPE_CODES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
TYPE_NAMES = {
    1: "int8",
    2: "uint8",
    3: "int16",
    4: "uint16",
    5: "int32",
    6: "uint32",
    7: "float32",
    8: "float64",
}
COLOR_TYPES = (6, 7, 5)  # four bytes, however they are labelled


class _Layout(NamedTuple):
    """How one message's bytes are laid out."""

    height: int
    width: int
    point_step: int
    row_step: int
    order: str  # '<' or '>'


def cloud_from_message(message: Any, base_from_camera: object = None, text: str | None = None) -> Cloud:
    """Build a `Cloud` from a PointCloud2 message.

    Raises:
        CloudError: as `decode_points`, or when the points make no valid cloud.
    """
    points, colors = decode_points(message)
    frame = getattr(getattr(message, "header", None), "frame_id", "") or "camera"
    return Cloud(points, colors, frame, base_from_camera, text)  # type: ignore[arg-type]


def decode_points(message: Any) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Read xyz and, where there is one, the packed colour of a PointCloud2.

    Any field order, offset, padding, row padding and byte order; xyz may be float32 or float64.

    Args:
        message: object with width, height, fields, point_step, row_step, is_bigendian, data.

    Returns:
        points (N, 3) float32 in the message's unit (metres by REP-103), colors (N, 3) float32 0..1 or None.

    Raises:
        CloudError: when x, y or z is missing or of another type, a field leaves its point, or the
            data is shorter than width, height and steps promise.
    """
    fields = {str(field.name): field for field in message.fields}
    missing = [name for name in "xyz" if name not in fields]
    if missing:
        found = ", ".join(fields) or "none"
        raise CloudError(f"PointCloud2 has no field {', '.join(missing)}; expected x, y, z; found: {found}")
    layout = _checked_layout(message)
    buffer = _checked_buffer(message.data, layout)
    points = _read_xyz(buffer, layout, fields)
    color = fields.get("rgb") or fields.get("rgba")
    return points, None if color is None else _read_color(buffer, layout, color)


def _checked_layout(message: Any) -> _Layout:
    height, width, point_step = int(message.height), int(message.width), int(message.point_step)
    if height * width == 0:
        raise CloudError(f"PointCloud2 is empty (width {width}, height {height}: 0 points)")
    if height * width > MAX_POINTS:
        raise CloudError(f"PointCloud2 has {height * width} points; at most {MAX_POINTS} are accepted")
    # An unorganised cloud is one row; publishers often leave its row_step unset.
    row_step = width * point_step if height == 1 else int(message.row_step)
    if row_step < width * point_step:
        raise CloudError(f"PointCloud2 row_step {row_step} is shorter than width {width} x point_step {point_step}")
    return _Layout(height, width, point_step, row_step, ">" if message.is_bigendian else "<")


def _checked_buffer(data: Any, layout: _Layout) -> NDArray[np.uint8]:
    try:
        buffer = np.frombuffer(data, dtype=np.uint8)
    except (TypeError, ValueError):
        buffer = np.asarray(data, dtype=np.uint8)  # a plain list, in hand-made messages
    needed = (layout.height - 1) * layout.row_step + layout.width * layout.point_step
    if buffer.size < needed:
        raise CloudError(
            f"PointCloud2 data has {buffer.size} bytes; width {layout.width}, height {layout.height}, "
            f"point_step {layout.point_step} and row_step {layout.row_step} promise {needed}"
        )
    return buffer


def _view(buffer: NDArray[np.uint8], layout: _Layout, offset: int, dtype: Any) -> NDArray[Any]:
    """Return (H, W) view of one field without copying."""
    point = np.dtype({"names": ["v"], "formats": [dtype], "offsets": [offset], "itemsize": layout.point_step})
    shape, strides = (layout.height, layout.width), (layout.row_step, layout.point_step)
    return np.ndarray(shape, point, buffer=buffer, strides=strides)["v"]


def _checked_field(field: Any, layout: _Layout, allowed: tuple[int, ...]) -> str:
    code = int(field.datatype)
    if code not in allowed:
        names = " or ".join(TYPE_NAMES[key] for key in allowed)
        raise CloudError(f"PointCloud2 field {field.name!r} has type {TYPE_NAMES.get(code, code)}; expected {names}")
    end = int(field.offset) + np.dtype(TYPE_CODES[code]).itemsize
    if end > layout.point_step:
        raise CloudError(f"PointCloud2 field {field.name!r} ends at byte {end}, beyond point_step {layout.point_step}")
    return layout.order + TYPE_CODES[code]


def _read_xyz(buffer: NDArray[np.uint8], layout: _Layout, fields: dict[str, Any]) -> NDArray[np.float32]:
    kinds = [_checked_field(fields[name], layout, (7, 8)) for name in "xyz"]
    offsets = [int(fields[name].offset) for name in "xyz"]
    if set(kinds) == {layout.order + "f4"} and offsets == [offsets[0], offsets[0] + 4, offsets[0] + 8]:
        packed = _view(buffer, layout, offsets[0], (kinds[0], 3))  # one strided copy
        return packed.reshape(-1, 3).astype(np.float32)
    points = np.empty((layout.height, layout.width, 3), np.float32)
    for axis in range(3):
        points[..., axis] = _view(buffer, layout, offsets[axis], kinds[axis])
    return points.reshape(-1, 3)


def _read_color(buffer: NDArray[np.uint8], layout: _Layout, field: Any) -> NDArray[np.float32]:
    _checked_field(field, layout, COLOR_TYPES)
    packed = _view(buffer, layout, int(field.offset), ("u1", 4)).reshape(-1, 4)
    # The word is 0xAARRGGBB, so its bytes lie B, G, R, A in a little-endian message.
    rgb = packed[:, 2::-1] if layout.order == "<" else packed[:, 1:]
    return np.multiply(rgb, np.float32(1 / 255), dtype=np.float32)


def pack_xyzrgb(points: NDArray[np.floating], rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the data of a little-endian XYZRGB cloud with point_step 16 (x, y, z, rgb as float32).

    Args:
        points: (N, 3) metres. rgb: (N, 3) uint8.
    """
    record = np.dtype([("xyz", "<f4", 3), ("bgra", "u1", 4)])
    packed = np.zeros(len(points), record)
    packed["xyz"] = points
    packed["bgra"][:, 2::-1] = rgb
    return packed.view(np.uint8)
