"""Convex parts of a mesh, cut where they fill it worst; kept in a cache by the mesh's hash.

The piece with most empty room in its hull is cut in two by the plane, of a fixed set of directions and places,
that leaves the two hulls smallest; and so on until the hulls fit well enough or there are as many as allowed.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.errors import MeshError
from maskdex_core.resources import cache_folder

if TYPE_CHECKING:
    import trimesh

GOOD_FIT = 0.9  # share of the hulls' volume that the mesh fills
MOST_PARTS = 96  # each costs physics a little
AZIMUTHS = 12  # upright planes, 15° apart; level ones besides
PLACES = (0.2, 0.35, 0.5, 0.65, 0.8)  # of the way through a piece
THINNEST = 0.004  # m; nothing is cut across less
SMALLEST = 1e-10  # m³; smaller crumbs are dropped
MOST_VERTICES = 256  # of a part; a ball of 4 cm loses 0.4 mm by it
VERSION = 1  # of the way of cutting; another one finds other parts


def cut_convex(mesh: trimesh.Trimesh, most: int = MOST_PARTS) -> list[np.ndarray]:
    """Return convex parts that hold all of a closed mesh, vertices (V, 3) m each; from the cache where it has them.

    Args:
        mesh: closed, m.
        most: number of parts not to go beyond.

    Raises:
        MeshError: when the mesh's surface meets itself, so that no inside can be told.
    """
    path = _cached(mesh, most)
    if not path.exists():
        _store(path, _cut(_solid(mesh), most))
    with np.load(path) as parts:
        return [parts[name] for name in sorted(parts.files)]


def _cached(mesh: trimesh.Trimesh, most: int) -> Path:
    digest = hashlib.sha256(np.ascontiguousarray(mesh.vertices, "<f4").tobytes())
    digest.update(np.ascontiguousarray(mesh.faces, "<i4").tobytes())
    return cache_folder() / "convex" / f"{digest.hexdigest()[:32]}_{most}_{VERSION}.npz"


def _store(path: Path, parts: list[np.ndarray]) -> None:
    """Write whole or not at all: another process may read meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.part.npz")
    arrays: dict[str, Any] = {f"{index:04d}": vertices for index, vertices in enumerate(parts)}
    np.savez(temporary, **arrays)
    temporary.replace(path)


def _solid(mesh: trimesh.Trimesh) -> Any:
    """Return the union of a mesh's bodies, less its cavities, as a solid that can be cut."""
    import manifold3d

    solids, cavities = [], []
    for body in mesh.split(only_watertight=False):
        cavity = body.volume < 0
        faces = np.asarray(body.faces)[:, ::-1] if cavity else np.asarray(body.faces)
        made = manifold3d.Manifold(manifold3d.Mesh64(np.asarray(body.vertices, float), faces.astype(np.uint64)))
        (cavities if cavity else solids).append(made)
    whole = manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Add)
    for cavity in cavities:
        whole = whole - cavity
    if whole.status() != manifold3d.Error.NoError or whole.volume() <= 0:
        raise MeshError("the mesh's surface meets itself; it cannot be cut into convex parts")
    return whole


def _cut(whole: Any, most: int) -> list[np.ndarray]:
    queue: list[tuple[float, int, Any]] = []  # most empty room first
    filled, hulls, made = whole.volume(), 0.0, 0

    def add(solid: Any) -> None:
        nonlocal hulls, made
        for piece in solid.decompose():
            if piece.volume() > SMALLEST:
                hull = piece.hull().volume()
                hulls, made = hulls + hull, made + 1
                heapq.heappush(queue, (piece.volume() - hull, made, piece))

    add(whole)
    while len(queue) < most and filled < GOOD_FIT * hulls:
        _, _, piece = heapq.heappop(queue)
        halves = _best_cut(piece)
        if halves is None:
            heapq.heappush(queue, (0.0, made, piece))
            break
        hulls -= piece.hull().volume()
        for half in halves:
            add(half)
    return [_thinned(_vertices(piece.hull())) for _, _, piece in sorted(queue, key=lambda entry: entry[1])]


def _best_cut(piece: Any) -> tuple[Any, Any] | None:
    """Return the two halves whose hulls are smallest together, or None for a piece too thin to cut."""
    best, least = None, np.inf
    vertices = _vertices(piece)
    for direction in _directions():
        along = vertices @ direction
        low, high = along.min(), along.max()
        if high - low < THINNEST:
            continue
        for place in PLACES:
            halves = piece.split_by_plane(tuple(direction), low + place * (high - low))
            volume = sum(half.hull().volume() for half in halves)
            if volume < least:
                best, least = halves, volume
    return best


def _directions() -> np.ndarray:
    """Return the planes' normals (D, 3): level, and all round."""
    angle = np.arange(AZIMUTHS) * np.pi / AZIMUTHS
    upright = np.stack([np.cos(angle), np.sin(angle), np.zeros(AZIMUTHS)], 1)
    return np.concatenate([[[0.0, 0.0, 1.0]], upright])


def _thinned(vertices: np.ndarray) -> np.ndarray:
    """Return those vertices (V, 3) of a hull that lie farthest out in `MOST_VERTICES` directions, if it has more."""
    if len(vertices) <= MOST_VERTICES:
        return vertices
    turn = np.arange(MOST_VERTICES) * np.pi * (3 - np.sqrt(5))  # golden angle: a spiral that covers the ball evenly
    height = (2 * np.arange(MOST_VERTICES) + 1) / MOST_VERTICES - 1
    radius = np.sqrt(1 - height**2)
    outward = np.stack([radius * np.cos(turn), radius * np.sin(turn), height], 1) / np.ptp(vertices, axis=0)
    return vertices[np.unique((vertices @ outward.T).argmax(0))]


def _vertices(solid: Any) -> np.ndarray:
    return np.array(np.asarray(solid.to_mesh64().vert_properties)[:, :3], np.float64)
