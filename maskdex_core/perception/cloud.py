"""The cloud a plan starts from: points in the camera frame, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError

MAX_POINTS = 5_000_000
MIN_VALID_POINTS = 100
MAX_COORDINATE = 1e4  # beyond it a coordinate is a driver's "no return", not a measurement
MAX_MEDIAN_RANGE = 20.0  # [m]; beyond it the numbers are millimetres, or no table-top camera took them


@dataclass(frozen=True, eq=False)
class Cloud:
    """One capture of a depth camera.

    A point is valid when its three coordinates are finite and not all zero (some drivers write
    zeros where others write NaN).

    Attributes:
        points: (N, 3) float32, metres, camera frame; may hold NaN.
        colors: (N, 3) float32 in 0..1, or None.
        frame: name of the camera frame.
        base_from_camera: (4, 4) float64 rigid transform, or None when it is not known.
        text: the task text that came with the cloud, or None.

    Raises:
        CloudError: on a wrong shape or type, no or too few valid points, too many points, or a
            transform that is not rigid.
    """

    points: NDArray[np.float32]
    colors: NDArray[np.float32] | None = None
    frame: str = "camera"
    base_from_camera: NDArray[np.float64] | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _checked_rows(self.points, "points"))
        if self.colors is not None:
            colors = _checked_rows(self.colors, "colors")
            if len(colors) != len(self.points):
                raise CloudError(f"cloud has {len(self.points)} points but {len(colors)} colors")
            object.__setattr__(self, "colors", colors)
        if self.base_from_camera is not None:
            object.__setattr__(self, "base_from_camera", checked_transform(self.base_from_camera))
        self._check_content()

    @cached_property
    def valid_mask(self) -> NDArray[np.bool_]:
        """(N,) bool: which points are finite, in range and not zero."""
        x, y, z = np.abs(self.points[:, 0]), np.abs(self.points[:, 1]), np.abs(self.points[:, 2])
        largest = np.maximum(np.maximum(x, y), z)  # NaN where any is NaN
        return (largest > 0) & (largest < MAX_COORDINATE)

    def valid_points(self) -> NDArray[np.float32]:
        """Return the valid points, (V, 3) float32, metres, camera frame, in their order."""
        return self.points[self.valid_mask]

    def _check_content(self) -> None:
        valid = int(np.count_nonzero(self.valid_mask))
        if valid == 0:
            raise CloudError(f"cloud has {len(self.points)} points and none is valid (all NaN, infinite or zero)")
        if valid < MIN_VALID_POINTS:
            raise CloudError(f"cloud has {valid} valid points; at least {MIN_VALID_POINTS} are needed")
        sample = self.valid_points()[:: max(1, valid // 2000)]
        median = float(np.median(np.linalg.norm(sample, axis=1)))
        if median > MAX_MEDIAN_RANGE:
            raise CloudError(f"cloud lies {median:.0f} m from the camera (median); points must be in metres")


def _checked_rows(values: object, name: str) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise CloudError(f"cloud {name} have type {array.dtype}; expected float32 or float64")
    if array.ndim != 2 or array.shape[1] != 3:
        raise CloudError(f"cloud {name} have shape {array.shape}; expected (N, 3)")
    if len(array) == 0:
        raise CloudError(f"cloud {name} have shape {array.shape}: the cloud is empty (0 points)")
    if len(array) > MAX_POINTS:
        raise CloudError(f"cloud has {len(array)} {name}; at most {MAX_POINTS} are accepted")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def checked_transform(values: object) -> NDArray[np.float64]:
    """Return a rigid transform as (4, 4) float64.

    Raises:
        CloudError: when it is not a finite 4x4 matrix with an orthonormal rotation.
    """
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CloudError(f"base_from_camera is not a matrix of numbers ({error})") from error
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise CloudError(f"base_from_camera has shape {matrix.shape}; expected a finite (4, 4) transform")
    rotation = matrix[:3, :3]
    orthonormal = np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-3 and np.linalg.det(rotation) > 0
    if not orthonormal or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise CloudError("base_from_camera is not rigid: its rotation is not orthonormal and right-handed")
    return matrix
