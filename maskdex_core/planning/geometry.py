"""What the grasp stages know of an object: its points and closed distance fields, object frame."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch

from maskdex_core.errors import CloudError
from maskdex_core.perception.completion import close_geometry
from maskdex_core.perception.learned_completion import close_by_network, shipped_network
from maskdex_core.perception.segment import Scene
from maskdex_core.refine.sdf import SdfGrid

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObjectGeometry:
    """One object seen by the camera, in the object frame (origin `center`, axes of base).

    Attributes:
        center: (3,) m, mean of the observed points in base.
        points: (M, 3) m, observed points.
        sdf: closed signed distance field.
        table_height: m, the table's z.
        second: the field as another way of closing the unseen side has it; None where nothing is unseen. What holds
            on both is less likely to lean on a surface that is not there.
    """

    center: np.ndarray
    points: torch.Tensor
    sdf: SdfGrid
    table_height: float
    second: SdfGrid | None = None

    @staticmethod
    def from_scene(scene: Scene) -> ObjectGeometry:
        """Close the observed surface of a scene's object: by the network, and a second time by rule.

        Raises:
            CloudError: when the points span no volume. CheckpointError: when the network's file is damaged.
        """
        rule = close_geometry(scene)
        try:
            closed = close_by_network(scene, shipped_network())
        except CloudError as error:  # nothing solid behind what was seen: the rule keeps a wall there
            logger.info("%s; closed by rule", error)
            closed = rule
        center = np.asarray(scene.object_centroid, np.float64)
        points = torch.tensor(np.asarray(scene.object_points) - center, dtype=torch.float32)
        first, second = (
            SdfGrid.from_values(found.sdf, found.origin, found.spacing).moved(center) for found in (closed, rule)
        )
        return ObjectGeometry(center, points, first, scene.table_height - float(center[2]), second)
