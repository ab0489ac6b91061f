"""Random training batches of grasps: rows, object points, poses in the object frame.

Legend: B batch, G grasps, O objects, P points drawn, J joints, V views of an object, Q points of a view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskdex_core.data import GraspDataset
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.training.config import StageConfig
from maskdex_core.training.geometry_loss import ObjectSkin
from maskdex_core.training.object_clouds import ObjectClouds, random_turns


@dataclass(frozen=True)
class GraspRows:
    """A batch of true grasps in the object frame."""

    row: Tensor
    """(B,) rows of the dataset."""
    joints: Tensor
    """(B, J) rad."""
    palm: PalmPose
    """Palm poses, (B, 3, 3) and (B, 3) m."""
    points: Tensor | None = None
    """(B, P, 3) object points in m."""
    skin: ObjectSkin | None = None
    """The objects all round, where it was asked for."""

    def __getitem__(self, rows: slice) -> GraspRows:
        """Return some rows of the batch."""
        palm = PalmPose(*(value[rows] for value in self.palm))
        points = None if self.points is None else self.points[rows]
        skin = None if self.skin is None else ObjectSkin(self.skin.points[rows], self.skin.normals[rows])
        return GraspRows(self.row[rows], self.joints[rows], palm, points, skin)


class BatchMaker:
    """Draws augmented batches of a dataset; every draw comes from the generator it is given."""

    def __init__(
        self,
        data: GraspDataset,
        joint_names: Sequence[str],
        config: StageConfig,
        points: int = 0,
        views: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Prepare a dataset.

        Args:
            data: the grasps.
            joint_names: order of the joints that come out.
            config: augmentation.
            points: object points a grasp; 0 leaves objects out (their centroid still counts).
            views: object name → (V, Q, 3) m, what single cameras saw of it. `partial_share` of the grasps
                on such an object see one of them instead of points all over its surface.
        """
        self.config = config
        self.joints = data.joints_as(joint_names)
        self.rotation, self.translation = data.palm_rotation, data.palm_translation
        self.object_index = data.object_index
        self.shares = family_shares(data, config.balance) if config.balance else None
        self.centroids = torch.stack([data.objects[name].points.mean(0) for name in data.object_names])  # (O, 3)
        self.clouds = ObjectClouds(data, config, points, views) if points else None

    def __len__(self) -> int:
        return len(self.joints)

    def draw(self, generator: torch.Generator, batch: int) -> GraspRows:
        """Draw a random augmented batch."""
        if self.shares is None:
            row = torch.randint(len(self), (batch,), generator=generator)
        else:
            row = torch.multinomial(self.shares, batch, replacement=True, generator=generator)
        return self.rows(row, generator)

    @property
    def has_views(self) -> bool:
        """Whether any object has views."""
        return self.clouds is not None and self.clouds.has_views

    def rows(
        self, row: Tensor, generator: torch.Generator, augment: bool = True, partial_share: float | None = None
    ) -> GraspRows:
        """Return chosen rows (B,), augmented or only centred.

        Args:
            row: of the dataset. generator, augment, partial_share: as for `ObjectClouds.draw`.
        """
        owner, points, skin = self.object_index[row], None, None
        if self.clouds is not None:
            cloud = self.clouds.draw(owner, generator, augment, partial_share)
            points, centroid, turn = cloud.points, cloud.centroid, cloud.turn
            if self.config.geometry_weight:
                skin = ObjectSkin(*self.clouds.around(cloud, owner, generator))
        else:
            centroid, turn = self.centroids[owner], None
            if augment:
                centroid = centroid + torch.randn(len(row), 3, generator=generator) * self.config.centre_jitter
                turn = random_turns(len(row), generator) if self.config.yaw else None
        rotation, translation = self.rotation[row], self.translation[row] - centroid
        if turn is not None:
            rotation = turn @ rotation
            translation = (turn @ translation.unsqueeze(-1)).squeeze(-1)
        return GraspRows(row, self.joints[row], PalmPose(rotation, translation), points, skin)


def family_shares(data: GraspDataset, balance: float) -> Tensor:
    """Return how often each grasp is drawn (G,), up to a factor: (grasps of its family) ** -balance."""
    _, family = np.unique(
        [data.objects[name].facts.get("family", name) for name in data.object_names], return_inverse=True
    )
    own = torch.from_numpy(family)[data.object_index]
    return torch.bincount(own)[own].double().pow(-balance)
