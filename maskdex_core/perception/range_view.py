"""What the camera saw towards the object, as a range image: how far behind a surface a place lies.

P points of the cloud, Q places asked about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from maskdex_core.perception.segment import Scene

NO_RANGE = 0.0  # nothing was measured there: nothing is known to be free


@dataclass(frozen=True, eq=False)
class RangeView:
    """A pinhole range image from the camera's place, turned to the object.

    Attributes:
        position: (3,) of the camera in base. axes: (3, 3) rows right, down, forward in base.
        low: (2,) first pixel's tangent coordinates. pitch: tangent per pixel.
        range: (H, W) metres to the first surface, `NO_RANGE` where unknown.
        on_object: (H, W) bool, that surface is the object's.
    """

    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    low: NDArray[np.float64]
    pitch: float
    range: NDArray[np.float32]
    on_object: NDArray[np.bool_]

    @classmethod
    def of_scene(cls, scene: Scene, border: float = 0.05) -> RangeView:
        """Build the view from all valid points of a scene, `border` metres around the object."""
        position = scene.camera_position
        axes = _look_at(position, scene.object_points.mean(axis=0))
        tangents, ranges = _project(scene.object_points, position, axes)
        pitch = _pixel_pitch(tangents)
        reach = border / float(np.median(ranges))
        low, high = tangents.min(axis=0) - reach, tangents.max(axis=0) + reach
        shape = tuple(np.ceil((high - low) / pitch).astype(int)[::-1] + 1)
        object_range = _nearest(tangents, ranges, low, pitch, shape)
        tangents, ranges = _project(scene.points, position, axes)
        all_range = np.minimum(_nearest(tangents, ranges, low, pitch, shape), object_range)
        on_object = np.isfinite(object_range) & (object_range <= all_range + 1e-4)
        # The median closes single holes and drops flying pixels; unknown counts as touching the
        # lens, so larger holes stay unknown.
        known = ndimage.median_filter(np.where(np.isfinite(all_range), all_range, NO_RANGE), 3)
        on_object = ndimage.median_filter(on_object.astype(np.uint8), 3) > 0
        return cls(position, axes, low, pitch, known, on_object & (known > NO_RANGE))

    def depth_behind(self, places: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return how far (Q, 3) places lie behind the surface seen in their direction.

        Returns:
            (Q,) metres along the ray, negative in free space, +inf where nothing is known; and
            (Q,) bool, that surface is the object's.
        """
        tangents, ranges = _project(places, self.position, self.axes)
        pixels = np.round((tangents - self.low) / self.pitch).astype(int)
        height, width = self.range.shape
        column, row = np.clip(pixels[:, 0], 0, width - 1), np.clip(pixels[:, 1], 0, height - 1)
        inside = (column == pixels[:, 0]) & (row == pixels[:, 1])
        seen = np.where(inside, self.range[row, column], NO_RANGE)
        behind = np.where(seen > NO_RANGE, ranges - seen, np.inf).astype(np.float32)
        return behind, inside & self.on_object[row, column]


def _look_at(position: NDArray[np.float64], target: NDArray[np.floating]) -> NDArray[np.float64]:
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    helper = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(forward, helper)
    right /= np.linalg.norm(right)
    return np.stack((right, np.cross(forward, right), forward))


def _project(
    points: NDArray[np.float32], position: NDArray[np.float64], axes: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (P, 2) tangents and (P,) ranges; points behind the camera get tangents far outside."""
    local = (points - position.astype(np.float32)) @ axes.T.astype(np.float32)
    forward = np.where(local[:, 2] > 0.01, local[:, 2], np.float32(1e-6))
    tangents = np.clip(local[:, :2] / forward[:, None], -1e3, 1e3)
    return tangents, np.sqrt(np.einsum("pi,pi->p", local, local))


def _pixel_pitch(tangents: NDArray[np.float32], coarse: float = 0.008) -> float:
    """Return a pitch at which a pixel holds about three of the object's points."""
    cells = np.floor((tangents - tangents.min(axis=0)) / coarse).astype(np.int64)
    area = len(np.unique(cells[:, 0] * 100_000 + cells[:, 1])) * coarse**2
    return float(np.clip(np.sqrt(3.0 * area / len(tangents)), 0.0015, 0.02))


def _nearest(
    tangents: NDArray[np.float32],
    ranges: NDArray[np.float32],
    low: NDArray[np.float64],
    pitch: float,
    shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Return the (H, W) least range in each pixel, inf where there is none."""
    pixels = np.round((tangents - low) / pitch).astype(np.int64)
    inside = ((pixels >= 0) & (pixels < (shape[1], shape[0]))).all(axis=1)
    image = np.full(shape, np.inf, np.float32)
    np.minimum.at(image, (pixels[inside, 1], pixels[inside, 0]), ranges[inside])
    return image
