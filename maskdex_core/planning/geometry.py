"""What the grasp stages know of an object: its points and a closed distance field, object frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from maskdex_core.perception.completion import close_geometry
from maskdex_core.perception.segment import Scene
from maskdex_core.refine.sdf import SdfGrid


@dataclass(frozen=True)
class ObjectGeometry:
    """One object seen by the camera, in the object frame (origin `center`, axes of base).

    Attributes:
        center: (3,) m, mean of the observed points in base.
        points: (M, 3) m, observed points.
        sdf: closed signed distance field.
        table_height: m, the table's z.
    """

    center: np.ndarray
    points: torch.Tensor
    sdf: SdfGrid
    table_height: float

    @staticmethod
    def from_scene(scene: Scene) -> ObjectGeometry:
        """Close the observed surface of a scene's object.

        Raises:
            CloudError: when the points span no volume.
        """
        closed = close_geometry(scene)
        center = np.asarray(scene.object_centroid, np.float64)
        points = torch.tensor(np.asarray(scene.object_points) - center, dtype=torch.float32)
        field = SdfGrid.from_values(closed.sdf, closed.origin, closed.spacing)
        return ObjectGeometry(center, points, field.moved(center), scene.table_height - float(center[2]))
