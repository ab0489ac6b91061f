"""Random training batches: rows, object points, partial views, yaw. Poses come out in the object frame.

Legend: B batch, G grasps, O objects, P points drawn, J joints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskdex_core.data import GraspDataset
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.rotation import rotation_about_z
from maskdex_core.training.config import StageConfig


@dataclass(frozen=True)
class GraspRows:
    """A batch of true grasps in the object frame."""

    row: Tensor
    """(B,) rows of the dataset."""
    joints: Tensor
    """(B, J) rad."""
    palm: PalmPose
    """Palm poses, (B, 3, 3) and (B, 3) m."""
    points: Tensor | None
    """(B, P, 3 or 6) object points in m, with unit normals if 6."""


class BatchMaker:
    """Draws augmented batches of a dataset; every draw comes from the generator it is given."""

    def __init__(
        self,
        data: GraspDataset,
        joint_names: Sequence[str],
        config: StageConfig,
        points: int = 0,
        channels: int = 3,
    ) -> None:
        """Prepare a dataset.

        Args:
            data: the grasps.
            joint_names: order of the joints that come out.
            config: augmentation.
            points: object points a grasp; 0 leaves objects out (their centroid still counts).
            channels: 3, or 6 for points with normals.
        """
        self.config, self.points, self.channels = config, points, channels
        self.joints = data.joints_as(joint_names)
        self.rotation, self.translation = data.palm_rotation, data.palm_translation
        self.object_index = data.object_index
        surfaces = [data.objects[name] for name in data.object_names]
        self.counts = torch.tensor([len(surface.points) for surface in surfaces])
        self.starts = self.counts.cumsum(0) - self.counts
        self.surface = torch.cat([torch.cat((surface.points, surface.normals), 1) for surface in surfaces])  # (ΣP, 6)
        self.centroids = torch.stack([surface.points.mean(0) for surface in surfaces])  # (O, 3)

    def __len__(self) -> int:
        return len(self.joints)

    def draw(self, generator: torch.Generator, batch: int) -> GraspRows:
        """Draw a random augmented batch."""
        row = torch.randint(len(self), (batch,), generator=generator)
        return self.rows(row, generator)

    def rows(self, row: Tensor, generator: torch.Generator, augment: bool = True) -> GraspRows:
        """Return chosen rows (B,), augmented or only centred."""
        config, batch = self.config, len(row)
        owner = self.object_index[row]
        rotation, translation = self.rotation[row], self.translation[row]
        if not self.points:
            cloud, centroid = None, self.centroids[owner]
        else:
            cloud = self._cloud(owner, generator)
            if augment and config.partial_share:
                cloud = _partial(cloud, config.partial_share, generator)
            centroid = cloud[..., :3].mean(1)
        if augment:
            shift = torch.randn(batch, 3, generator=generator) * config.centre_jitter
            centroid = centroid + shift
        translation = translation - centroid
        if cloud is not None:
            noise = torch.zeros_like(cloud[..., :3])
            if augment:
                noise = config.point_jitter * torch.randn(noise.shape, generator=generator)
            cloud = torch.cat((cloud[..., :3] - centroid.unsqueeze(1) + noise, cloud[..., 3:]), -1)
        if augment and config.yaw:
            turn = rotation_about_z(2.0 * math.pi * torch.rand(batch, generator=generator))
            rotation = turn @ rotation
            translation = (turn @ translation.unsqueeze(-1)).squeeze(-1)
            if cloud is not None:
                turned = cloud.unflatten(-1, (2, 3)) @ turn.transpose(1, 2).unsqueeze(1)
                cloud = turned.flatten(-2)
        if cloud is not None:
            cloud = cloud[..., : self.channels]
        return GraspRows(row, self.joints[row], PalmPose(rotation, translation), cloud)

    def _cloud(self, owner: Tensor, generator: torch.Generator) -> Tensor:
        """Draw points and normals (B, P, 6) of each row's object, in the mesh's frame."""
        share = torch.rand(len(owner), self.points, generator=generator)
        within = (share * self.counts[owner].unsqueeze(1)).long()
        return self.surface[self.starts[owner].unsqueeze(1) + within]


def _partial(cloud: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Keep, in a share of the clouds (B, P, 6), the points that face a camera above the horizon."""
    batch, count, _ = cloud.shape
    view = torch.randn(batch, 3, generator=generator)
    view[:, 2] = view[:, 2].abs()
    view = torch.nn.functional.normalize(view, dim=-1)
    facing = (cloud[..., 3:] * view.unsqueeze(1)).sum(-1)  # (B, P)
    order = facing.argsort(1, descending=True)
    kept = (facing > 0.0).sum(1, keepdim=True).clamp_min(count // 10 + 1)
    whole = torch.rand(batch, 1, generator=generator) >= share
    kept = torch.where(whole, count, kept)
    pick = order.gather(1, torch.arange(count).expand(batch, -1) % kept)
    return cloud.gather(1, pick.unsqueeze(-1).expand(-1, -1, 6))
