"""Random training batches: rows, object points, single views, yaw. Poses come out in the object frame.

Legend: B batch, G grasps, O objects, P points drawn, J joints, V views of an object, Q points of a view, S parts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
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
    """(B, P, 3) object points in m."""
    touched: Tensor | None
    """(B, P) share of the grasp's contacts that lie on the part of the object that each point is of."""

    def __getitem__(self, rows: slice) -> GraspRows:
        """Return some rows of the batch."""
        points, touched = (None if value is None else value[rows] for value in (self.points, self.touched))
        palm = PalmPose(*(value[rows] for value in self.palm))
        return GraspRows(self.row[rows], self.joints[rows], palm, points, touched)


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
        self.config, self.points = config, points
        self.joints = data.joints_as(joint_names)
        self.rotation, self.translation = data.palm_rotation, data.palm_translation
        self.object_index = data.object_index
        self.shares = _family_shares(data, config.balance) if config.balance else None
        surfaces = [data.objects[name] for name in data.object_names]
        self.counts = torch.tensor([len(surface.points) for surface in surfaces])
        self.starts = self.counts.cumsum(0) - self.counts
        self.surface = torch.cat([surface.points for surface in surfaces])  # (ΣP, 3)
        self.surface_parts = torch.cat([surface.part_ids for surface in surfaces])  # (ΣP,)
        self.part_shares = part_shares(data)  # (G, S)
        self.centroids = torch.stack([surface.points.mean(0) for surface in surfaces])  # (O, 3)
        self._take_views([(views or {}).get(name) for name in data.object_names])

    def __len__(self) -> int:
        return len(self.joints)

    def draw(self, generator: torch.Generator, batch: int) -> GraspRows:
        """Draw a random augmented batch."""
        if self.shares is None:
            row = torch.randint(len(self), (batch,), generator=generator)
        else:
            row = torch.multinomial(self.shares, batch, replacement=True, generator=generator)
        return self.rows(row, generator)

    def _take_views(self, views: Sequence[Tensor | None]) -> None:
        """Keep all points of all views in one row, with the place and size of each view and object."""
        known = [rows for rows in views if rows is not None]
        self.view_counts = torch.tensor([0 if rows is None else len(rows) for rows in views])  # (O,)
        self.view_starts = self.view_counts.cumsum(0) - self.view_counts
        sizes = [rows.shape[1] for rows in known for _ in range(len(rows))]
        self.view_sizes = torch.tensor(sizes, dtype=torch.int64)  # (ΣV,)
        self.view_points = torch.cat([rows.flatten(0, 1) for rows in known]) if known else torch.empty(0, 3)
        ends = (self.starts + self.counts).tolist()
        parts = [
            self._nearest_part(rows.flatten(0, 1), slice(start, end))
            for rows, start, end in zip(views, self.starts.tolist(), ends, strict=True)
            if rows is not None
        ]
        self.view_parts = torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def _nearest_part(self, points: Tensor, surface: slice) -> Tensor:
        """Return which part (N,) the surface point nearest to each point (N, 3) is of."""
        nearest = KDTree(self.surface[surface].numpy()).query(points.numpy())[1]
        return self.surface_parts[surface][torch.from_numpy(nearest)]

    @property
    def has_views(self) -> bool:
        """Whether any object has views."""
        return len(self.view_sizes) > 0

    def rows(
        self, row: Tensor, generator: torch.Generator, augment: bool = True, partial_share: float | None = None
    ) -> GraspRows:
        """Return chosen rows (B,), augmented or only centred.

        Args:
            row: of the dataset. generator: source of every draw. augment: turn, shift and jitter.
            partial_share: share of rows that see a single view; the configuration's when augmenting, else 0.
        """
        config, batch = self.config, len(row)
        if partial_share is None:
            partial_share = config.partial_share if augment else 0.0
        owner = self.object_index[row]
        rotation, translation = self.rotation[row], self.translation[row]
        touched = None
        if not self.points:
            cloud, centroid = None, self.centroids[owner]
        else:
            cloud, part = self._cloud(owner, generator)
            single = torch.zeros(batch, dtype=torch.bool)
            if partial_share and self.has_views:
                single = (torch.rand(batch, generator=generator) < partial_share) & (self.view_counts[owner] > 0)
                cloud[single], part[single] = self._view(owner[single], generator)
            centroid = cloud.mean(1)
            touched = self.part_shares[row].gather(1, part)
        if augment:
            shift = torch.randn(batch, 3, generator=generator) * config.centre_jitter
            centroid = centroid + shift
        translation = translation - centroid
        if cloud is not None:
            noise = torch.zeros_like(cloud)
            if augment:
                noise = config.point_jitter * torch.randn(noise.shape, generator=generator)
                noise[single] = 0.0  # a view brings its camera's noise
            cloud = cloud - centroid.unsqueeze(1) + noise
        if augment and config.yaw:
            turn = rotation_about_z(2.0 * math.pi * torch.rand(batch, generator=generator))
            rotation = turn @ rotation
            translation = (turn @ translation.unsqueeze(-1)).squeeze(-1)
            if cloud is not None:
                cloud = cloud @ turn.transpose(1, 2)
        return GraspRows(row, self.joints[row], PalmPose(rotation, translation), cloud, touched)

    def _cloud(self, owner: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw points (B, P, 3) of each row's object, in the mesh's frame, and return their parts (B, P)."""
        share = torch.rand(len(owner), self.points, generator=generator)
        within = (share * self.counts[owner].unsqueeze(1)).long()
        chosen = self.starts[owner].unsqueeze(1) + within
        return self.surface[chosen], self.surface_parts[chosen]

    def _view(self, owner: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw points (B, P, 3) of one random view of each row's object, in the mesh's frame, and their parts."""
        batch = len(owner)
        within = (torch.rand(batch, generator=generator) * self.view_counts[owner]).long()
        view = self.view_starts[owner] + within
        share = torch.rand(batch, self.points, generator=generator)
        point = (share * self.view_sizes[view].unsqueeze(1)).long()
        first = self.view_sizes.cumsum(0) - self.view_sizes
        chosen = first[view].unsqueeze(1) + point
        return self.view_points[chosen], self.view_parts[chosen]


def _family_shares(data: GraspDataset, balance: float) -> Tensor:
    """Return how often each grasp is drawn (G,), up to a factor: (grasps of its family) ** -balance."""
    _, family = np.unique(
        [data.objects[name].facts.get("family", name) for name in data.object_names], return_inverse=True
    )
    own = torch.from_numpy(family)[data.object_index]
    return torch.bincount(own)[own].double().pow(-balance)


def part_shares(data: GraspDataset) -> Tensor:
    """Return (G, S): the share of each grasp's contacts that lie on each part of its object."""
    names = {name: list(data.objects[name].facts.get("part_names", ())) for name in data.object_names}
    shares = torch.zeros(len(data), max(1, *(int(data.objects[name].part_ids.max()) + 1 for name in names)))
    for row, (owner, touched) in enumerate(zip(data.table["object"], data.table["contact_parts"], strict=True)):
        for part in touched:
            if part in names[owner]:
                shares[row, names[owner].index(part)] += 1.0 / len(touched)
    return shares
