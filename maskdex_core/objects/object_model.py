"""`ObjectModel`: labelled convex pieces, from which surface, distance field and physics follow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull, KDTree

from maskdex_core.refine.sdf import SdfGrid

GRID_SPACING = 0.0025  # m; finer bought nothing in measurements
GRID_MARGIN = 0.03
NEAR = 0.001  # m; pieces farther away than this are not asked whether a point is inside


@dataclass(frozen=True)
class ConvexPiece:
    """Hull vertices (V, 3) m, triangles (F, 3), half-spaces (H, 4) n·x + d ≤ 0, volume m³, part index."""

    vertices: np.ndarray
    faces: np.ndarray
    planes: np.ndarray
    volume: float
    part: int

    @staticmethod
    def from_points(points: np.ndarray, part: int) -> ConvexPiece:
        """Build from any points whose hull is the piece."""
        hull = ConvexHull(points)
        used = np.unique(hull.simplices)
        renumber = np.full(len(points), -1)
        renumber[used] = np.arange(len(used))
        faces = renumber[hull.simplices].copy()
        corner = points[hull.simplices]
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        inward = (normal * hull.equations[:, :3]).sum(-1) < 0
        faces[inward] = faces[inward][:, ::-1]
        return ConvexPiece(points[used], faces, hull.equations, float(hull.volume), part)

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Return max half-space value (N,): negative inside, by the depth to the nearest face (m)."""
        return (points @ self.planes[:, :3].T + self.planes[:, 3]).max(-1)


@dataclass(frozen=True)
class ObjectModel:
    """An object at rest on z = 0, in its mesh's frame.

    Attributes:
        name: unique name. family: its family. part_names: labels of `ConvexPiece.part`.
        pieces: convex pieces whose union is the object.
    """

    name: str
    family: str
    part_names: tuple[str, ...]
    pieces: tuple[ConvexPiece, ...]

    @staticmethod
    def from_parts(name: str, family: str, parts: dict[str, list[np.ndarray]]) -> ObjectModel:
        """Build from part → convex vertex arrays; moved so that it rests on z = 0."""
        lowest = min(float(piece[:, 2].min()) for pieces in parts.values() for piece in pieces)
        pieces = [
            ConvexPiece.from_points(piece - [0, 0, lowest], index)
            for index, group in enumerate(parts.values())
            for piece in group
        ]
        return ObjectModel(name, family, tuple(parts), tuple(pieces))

    @cached_property
    def bounds(self) -> np.ndarray:
        """Corners (2, 3) of the bounding box, m."""
        vertices = np.concatenate([piece.vertices for piece in self.pieces])
        return np.stack([vertices.min(0), vertices.max(0)])

    def inside_depth(self, points: np.ndarray) -> np.ndarray:
        """Return (N,): negative inside the union of pieces; outside only the sign is exact (far is inf)."""
        depth = np.full(len(points), np.inf)
        x, y, z = points.T
        for piece in self.pieces:
            low, high = piece.vertices.min(0) - NEAR, piece.vertices.max(0) + NEAR
            rows = np.flatnonzero((x > low[0]) & (x < high[0]))  # axis by axis: few points pass the first
            rows = rows[(y[rows] > low[1]) & (y[rows] < high[1])]
            rows = rows[(z[rows] > low[2]) & (z[rows] < high[2])]
            depth[rows] = np.minimum(depth[rows], piece.depth(points[rows]))
        return depth

    def sample_surface(self, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points (count, 3) m, outward normals (count, 3) and part indices (count,)."""
        rng = np.random.default_rng(seed)
        corners = np.concatenate([piece.vertices[piece.faces] for piece in self.pieces])
        owner = np.concatenate([np.full(len(piece.faces), i) for i, piece in enumerate(self.pieces)])
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(cross, axis=-1) / 2
        chosen = rng.choice(len(area), size=4 * count + 64, p=area / area.sum())
        u, v = rng.uniform(size=(2, len(chosen), 1))
        flip = u + v > 1
        u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
        corner = corners[chosen]
        points = corner[:, 0] + u * (corner[:, 1] - corner[:, 0]) + v * (corner[:, 2] - corner[:, 0])
        normals = cross[chosen] / (2 * area[chosen, None])
        # A face that two pieces share has material on both sides: it is no surface.
        visible = np.flatnonzero(self.inside_depth(points + 3e-4 * normals) > 0)
        keep = visible[np.arange(count) % len(visible)]
        normals = normals[keep]
        parts = np.array([piece.part for piece in self.pieces])[owner[chosen[keep]]]
        return points[keep], normals, parts

    @cached_property
    def sdf(self) -> SdfGrid:
        """The signed distance field on a grid about the object."""
        low, high = self.bounds[0] - GRID_MARGIN, self.bounds[1] + GRID_MARGIN
        axes = [np.arange(a, b + GRID_SPACING, GRID_SPACING) for a, b in zip(low, high, strict=True)]
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        surface, _, _ = self.sample_surface(30000)
        # Big leaves: most nodes are far away, and a far query visits many of them.
        distance, _ = KDTree(surface, leafsize=64).query(nodes, workers=1)
        signed = np.where(self.inside_depth(nodes) < 0, -distance, distance)
        return SdfGrid.from_values(signed.reshape([len(a) for a in axes]), low, GRID_SPACING)
