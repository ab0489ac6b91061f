"""Points of a dataset's objects as a network sees them in training: all round or one view, with noise and in turns.

Legend: B batch, O objects, P points drawn, V views of an object, Q points of a view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy.spatial import KDTree
from torch import Tensor

from maskdex_core.data import GraspDataset
from maskdex_core.grasp.rotation import rotation_about_z
from maskdex_core.training.config import StageConfig


@dataclass(frozen=True)
class DrawnClouds:
    """A batch of object points in the object frame, and how that lies in the mesh's frame."""

    points: Tensor
    """(B, P, 3) m."""
    part: Tensor
    """(B, P) int64, the part of the object that each point is of."""
    centroid: Tensor
    """(B, 3) m, origin of the object frame in the mesh's."""
    turn: Tensor | None
    """(B, 3, 3), object frame from the mesh's axes; None is no turn."""


class ObjectClouds:
    """All objects of a dataset; every draw comes from the generator it is given."""

    def __init__(
        self, data: GraspDataset, config: StageConfig, points: int, views: Mapping[str, Tensor] | None = None
    ) -> None:
        """Prepare the objects.

        Args:
            data: the dataset. config: augmentation. points: P.
            views: object name → (V, Q, 3) m, what single cameras saw of it.
        """
        self.config, self.points = config, points
        surfaces = [data.objects[name] for name in data.object_names]
        self.counts = torch.tensor([len(surface.points) for surface in surfaces])
        self.starts = self.counts.cumsum(0) - self.counts
        self.surface = torch.cat([surface.points for surface in surfaces])  # (ΣP, 3)
        self.surface_normals = torch.cat([surface.normals for surface in surfaces])  # (ΣP, 3)
        self.surface_parts = torch.cat([surface.part_ids for surface in surfaces])  # (ΣP,)
        self._take_views([(views or {}).get(name) for name in data.object_names])

    @property
    def has_views(self) -> bool:
        """Whether any object has views."""
        return len(self.view_sizes) > 0

    def draw(
        self, owner: Tensor, generator: torch.Generator, augment: bool = True, partial_share: float | None = None
    ) -> DrawnClouds:
        """Draw a cloud of each object (B,), augmented or only centred.

        Args:
            owner: of the dataset. generator: source of every draw. augment: turn, shift and jitter.
            partial_share: share of clouds that are a single view (of objects that have views); the configuration's
                when augmenting, else 0.
        """
        config, batch = self.config, len(owner)
        if partial_share is None:
            partial_share = config.partial_share if augment else 0.0
        cloud, part = self._whole(owner, generator)
        single = torch.zeros(batch, dtype=torch.bool)
        if partial_share and self.has_views:
            single = (torch.rand(batch, generator=generator) < partial_share) & (self.view_counts[owner] > 0)
            cloud[single], part[single] = self._view(owner[single], generator)
        centroid = cloud.mean(1)
        if not augment:
            return DrawnClouds(cloud - centroid.unsqueeze(1), part, centroid, None)
        centroid = centroid + torch.randn(batch, 3, generator=generator) * config.centre_jitter
        noise = config.point_jitter * torch.randn(cloud.shape, generator=generator)
        noise[single] = 0.0  # a view brings its camera's noise
        cloud = cloud - centroid.unsqueeze(1) + noise
        turn = random_turns(batch, generator) if config.yaw else None
        return DrawnClouds(cloud if turn is None else cloud @ turn.transpose(1, 2), part, centroid, turn)

    def around(self, drawn: DrawnClouds, owner: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return points all round each object (B,) and their normals, (B, P, 3) each, where a drawn cloud has it."""
        chosen = self._spots(owner, generator)
        points, normals = self.surface[chosen] - drawn.centroid.unsqueeze(1), self.surface_normals[chosen]
        if drawn.turn is None:
            return points, normals
        return points @ drawn.turn.transpose(1, 2), normals @ drawn.turn.transpose(1, 2)

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

    def _whole(self, owner: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw points (B, P, 3) all round each object, in the mesh's frame, and return their parts (B, P)."""
        chosen = self._spots(owner, generator)
        return self.surface[chosen], self.surface_parts[chosen]

    def _spots(self, owner: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows (B, P) of the surface points of each object."""
        share = torch.rand(len(owner), self.points, generator=generator)
        return self.starts[owner].unsqueeze(1) + (share * self.counts[owner].unsqueeze(1)).long()

    def _view(self, owner: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw points (B, P, 3) of one random view of each object, in the mesh's frame, and their parts."""
        batch = len(owner)
        within = (torch.rand(batch, generator=generator) * self.view_counts[owner]).long()
        view = self.view_starts[owner] + within
        share = torch.rand(batch, self.points, generator=generator)
        point = (share * self.view_sizes[view].unsqueeze(1)).long()
        first = self.view_sizes.cumsum(0) - self.view_sizes
        chosen = first[view].unsqueeze(1) + point
        return self.view_points[chosen], self.view_parts[chosen]


def random_turns(batch: int, generator: torch.Generator) -> Tensor:
    """Return rotations (B, 3, 3) about the vertical by random angles."""
    return rotation_about_z(2.0 * math.pi * torch.rand(batch, generator=generator))
