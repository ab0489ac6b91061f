"""Convex parts of a mesh: reading them, joining them into one solid, measuring how well they fill it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.errors import MeshError
from maskdex_core.objects.meshes.mesh_object import ray_scene, read_mesh
from maskdex_core.objects.object_model import ConvexPiece

if TYPE_CHECKING:
    import trimesh

Field = Callable[[np.ndarray], np.ndarray]  # points (N, 3) m → signed distance (N,) m

IOU_POINTS = 100_000
AT_ONCE = 8192  # points; all against hundreds of faces would fill the memory
OVERLAP = 2e-5  # m; grown by so little, pieces cut apart touch again


def read_convex_parts(folder: Path) -> list[np.ndarray]:
    """Return the vertices (V, 3) m of each convex part, in the order of the file names.

    Raises:
        MeshError: when the folder holds no mesh, or one is damaged or flat.
    """
    files = sorted(folder.glob("*.obj"))
    if not files:
        raise MeshError(f"{folder}: holds no convex parts (*.obj)")
    return [_solid_vertices(file) for file in files]


def parts_fingerprint(parts: Sequence[np.ndarray]) -> str:
    """Return the sha256 of the parts' vertices: grasps hold only on the parts that they were tested on."""
    digest = hashlib.sha256()
    for vertices in parts:
        digest.update(np.ascontiguousarray(vertices, "<f4").tobytes())
    return digest.hexdigest()


class PartsField:
    """Signed distance to the union of convex pieces; faces between touching pieces are no surface."""

    def __init__(self, pieces: Sequence[ConvexPiece]) -> None:
        self._pieces = pieces
        self._scene = ray_scene(union_mesh(pieces))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return distances (N,) m at points (N, 3) m, negative inside."""
        import open3d

        o3d: Any = open3d
        query = o3d.core.Tensor(np.ascontiguousarray(points, np.float32))
        distance = self._scene.compute_distance(query, nthreads=1).numpy()
        # Told by half-spaces: rays lose count where the faces of two pieces coincide.
        return np.where(self._inside(points), -distance, distance)

    def _inside(self, points: np.ndarray) -> np.ndarray:
        inside = np.zeros(len(points), bool)
        for piece in self._pieces:
            low, high = piece.vertices.min(0), piece.vertices.max(0)
            rows = np.flatnonzero(~inside & ((points > low) & (points < high)).all(1))
            for some in np.array_split(rows, len(rows) // AT_ONCE + 1):
                inside[some] = piece.depth(points[some]) < 0
        return inside


def union_mesh(pieces: Sequence[ConvexPiece]) -> trimesh.Trimesh:
    """Return the surface of the pieces' union; pieces that touch are joined."""
    import trimesh

    meshes = [trimesh.Trimesh(_grown(piece.vertices), piece.faces, process=False) for piece in pieces]
    return meshes[0] if len(meshes) == 1 else trimesh.boolean.union(meshes, engine="manifold", check_volume=False)


def overlap(first: Field, second: Field, bounds: np.ndarray) -> float:
    """Return intersection over union of two solids, by volume, from random points within bounds (2, 3) m."""
    points = np.random.default_rng(0).uniform(bounds[0], bounds[1], (IOU_POINTS, 3))
    inside = first(points) < 0, second(points) < 0
    return float((inside[0] & inside[1]).sum() / max(1, (inside[0] | inside[1]).sum()))


def joined(fields: Sequence[Field]) -> Field:
    """Return the signed distance (N,) m to the union of solids as a function of points (N, 3) m."""
    return lambda points: np.min([field(points) for field in fields], axis=0)


def _grown(vertices: np.ndarray) -> np.ndarray:
    outward = vertices - vertices.mean(0)
    return vertices + OVERLAP * outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)


def _solid_vertices(file: Path) -> np.ndarray:
    from scipy.spatial import QhullError

    vertices = np.unique(np.asarray(read_mesh(file).vertices, np.float64), axis=0)
    try:
        ConvexPiece.from_points(vertices, 0)
    except (QhullError, ValueError) as error:
        raise MeshError(f"{file}: is flat (zero volume); a convex part needs a solid") from error
    return vertices
