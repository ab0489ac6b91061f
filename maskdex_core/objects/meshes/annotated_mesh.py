"""Real meshes as labelled objects: the mesh is what is seen, its convex parts are what physics feels.

P points, N grid nodes. The rest frame is the mesh's, turned and shifted so that the object rests on z = 0.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import KDTree

from maskdex_core.errors import DatasetError, unknown_choice
from maskdex_core.objects.meshes.convex_parts import (
    PartsField,
    joined,
    overlap,
    parts_fingerprint,
    read_convex_parts,
)
from maskdex_core.objects.meshes.decompose import cut_convex
from maskdex_core.objects.meshes.mesh_object import SolidField, checked_mesh, read_mesh, sdf_grid, visible_surface
from maskdex_core.objects.meshes.part_regions import Annotation, read_annotations
from maskdex_core.objects.meshes.resting import rest_rotation
from maskdex_core.objects.object_model import ConvexPiece
from maskdex_core.refine.sdf import SdfGrid

if TYPE_CHECKING:
    import trimesh

log = logging.getLogger(__name__)

INDEX = "index.json"
DEFAULT_CUT = 64  # convex parts of a mesh that comes without
LABEL_POINTS = 8000


@dataclass(frozen=True, eq=False)
class AnnotatedMesh:
    """A real object at rest on z = 0; stands wherever an `ObjectModel` does.

    Attributes:
        name: `source/name`. family: a key of `config/tasks.yaml`. part_names: labels of points and pieces.
        annotation: the regions, in mesh coordinates.
        mesh: closed triangle mesh, rest frame.
        pieces: convex parts, rest frame; each with the part that most of the surface about it has.
        rest_from_mesh: (4, 4) transform of mesh coordinates to the rest frame.
        fingerprint: sha256 of the convex parts.
    """

    name: str
    family: str
    part_names: tuple[str, ...]
    annotation: Annotation
    mesh: trimesh.Trimesh
    pieces: tuple[ConvexPiece, ...]
    rest_from_mesh: np.ndarray
    fingerprint: str

    @staticmethod
    def build(name: str, annotation: Annotation, mesh: trimesh.Trimesh, parts: list[np.ndarray]) -> AnnotatedMesh:
        """Lay a mesh to rest and label it.

        Args:
            name, annotation: of the object. mesh: closed, m. parts: vertices (V, 3) m of each convex part.
        """
        rotation = rest_rotation(np.asarray(mesh.vertices), mesh.center_mass, np.asarray(annotation.up))
        lowest = float((np.asarray(mesh.vertices) @ rotation[2]).min())
        rest_from_mesh = np.eye(4)
        rest_from_mesh[:3, :3], rest_from_mesh[2, 3] = rotation, -lowest
        labels = _piece_labels(mesh, annotation, parts)
        pieces = tuple(
            ConvexPiece.from_points(vertices @ rotation.T - [0, 0, lowest], int(label))
            for vertices, label in zip(parts, labels, strict=True)
        )
        at_rest = mesh.copy()
        at_rest.apply_transform(rest_from_mesh)
        return AnnotatedMesh(
            name, annotation.family, annotation.part_names, annotation, at_rest, pieces, rest_from_mesh,
            parts_fingerprint(parts),
        )  # fmt: skip

    @cached_property
    def bounds(self) -> np.ndarray:
        """Corners (2, 3) m of the box about mesh and pieces."""
        vertices = np.concatenate([self.mesh.vertices, *(piece.vertices for piece in self.pieces)])
        return np.stack([vertices.min(0), vertices.max(0)])

    def sample_surface(self, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points (count, 3) m on the mesh's visible surface, outward normals and part indices (count,)."""
        points, normals = visible_surface(self.mesh, self._mesh_field, count, self.name, seed)
        return points.astype(np.float64), normals.astype(np.float64), self.part_of(points)

    def part_of(self, points: np.ndarray) -> np.ndarray:
        """Return the index in `part_names` (P,) of the part of each point (P, 3) m."""
        rotation, shift = self.rest_from_mesh[:3, :3], self.rest_from_mesh[:3, 3]
        return self.annotation.label((points - shift) @ rotation)

    @cached_property
    def sdf(self) -> SdfGrid:
        """Signed distance to the union of mesh and pieces: a hand outside of it is outside of both."""
        return sdf_grid(joined([self._mesh_field, self._parts_field]), self.bounds)

    @cached_property
    def mesh_sdf(self) -> SdfGrid:
        """Signed distance to the mesh alone."""
        return sdf_grid(self._mesh_field, self.bounds)

    @cached_property
    def parts_sdf(self) -> SdfGrid:
        """Signed distance to the union of the pieces alone."""
        return sdf_grid(self._parts_field, self.bounds)

    @cached_property
    def convex_iou(self) -> float:
        """Intersection over union, by volume, of mesh and pieces."""
        return overlap(self._mesh_field, self._parts_field, self.bounds)

    @cached_property
    def _mesh_field(self) -> SolidField:
        return SolidField(self.mesh, self.name)

    @cached_property
    def _parts_field(self) -> PartsField:
        return PartsField(self.pieces)


@dataclass(frozen=True)
class ObjectEntry:
    """An object of a folder, not read yet.

    Attributes:
        name: `source/name`. mesh: its file. convex_parts: folder of its convex parts.
        source: where it comes from. licence: of the mesh.
        annotation: our own.
    """

    name: str
    mesh: Path
    convex_parts: Path
    source: str
    licence: str
    annotation: Annotation

    def load(self) -> AnnotatedMesh:
        """Read the mesh, and read or cut its convex parts.

        Raises:
            MeshError: when a file is missing or bad.
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # trimesh divides by the volume of flat bodies
            mesh = checked_mesh(read_mesh(self.mesh), str(self.mesh))
        most = self.annotation.cut
        parts = cut_convex(mesh, most) if most else read_convex_parts(self.convex_parts)
        return AnnotatedMesh.build(self.name, self.annotation, mesh, parts)


class ObjectSet(dict[str, ObjectEntry]):
    """Objects by name; asking for an unknown one names the known ones."""

    def __missing__(self, name: str) -> ObjectEntry:
        raise DatasetError(unknown_choice("object", name, self))


def load_objects(
    folder: Path, annotations: Mapping[str, Annotation] | None = None, otherwise: Annotation | None = None
) -> ObjectSet:
    """Return the usable objects of a folder of meshes, by `source/name`; `.load()` on one reads it.

    Args:
        folder: with an `index.json`: a list of entries with `source`, `name`, `mesh` and `convex_parts`
            (paths in the folder).
        annotations: by name; the shipped ones by default. Objects with `use: false` are left out.
        otherwise: the annotation of all others, which need no `convex_parts`; None leaves them out.

    Raises:
        DatasetError: when the index is missing or damaged, or no object of it is annotated.
    """
    known = read_annotations() if annotations is None else annotations
    entries = [_entry(row, folder, known, otherwise) for row in _read_index(folder)]
    found = ObjectSet({entry.name: entry for entry in entries if entry is not None and entry.annotation.use})
    if not found:
        raise DatasetError(f"{folder / INDEX}: none of its {len(entries)} objects is annotated for use")
    if len(found) < len(entries):
        log.info("%s: %d of %d objects are annotated for use", folder, len(found), len(entries))
    return found


def _read_index(folder: Path) -> list[dict[str, Any]]:
    path = folder / INDEX
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: object index cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DatasetError(f"{path}: not a valid object index ({error})") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{path}: not an object index; expected a list of objects")
    return rows


def _entry(
    row: dict[str, Any], folder: Path, known: Mapping[str, Annotation], otherwise: Annotation | None
) -> ObjectEntry | None:
    needed = ("source", "name", "mesh") if otherwise else ("source", "name", "mesh", "convex_parts")
    for key in needed:
        if not isinstance(row.get(key), str):
            raise DatasetError(f"{folder / INDEX}: object {row.get('name')!r} has no {key!r}")
    name = f"{row['source']}/{row['name']}"
    annotation = known.get(name, otherwise)
    if annotation is None:
        return None
    if "convex_parts" not in row and not annotation.cut:
        annotation = replace(annotation, cut=DEFAULT_CUT)
    parts = folder / str(row.get("convex_parts", ""))
    return ObjectEntry(name, folder / row["mesh"], parts, row["source"], str(row.get("licence", "")), annotation)


def _piece_labels(mesh: trimesh.Trimesh, annotation: Annotation, parts: list[np.ndarray]) -> np.ndarray:
    """Return the part (one index a piece) that most surface points nearest to each piece have."""
    import trimesh

    points = np.asarray(trimesh.sample.sample_surface(mesh, LABEL_POINTS, seed=0)[0])
    labels = annotation.label(points)
    depth = np.stack([ConvexPiece.from_points(vertices, 0).depth(points) for vertices in parts])
    owner = depth.argmin(0)
    nearest = KDTree(points)
    found = []
    for index, vertices in enumerate(parts):
        own = labels[owner == index]
        if len(own) == 0:  # a piece inside the object
            own = labels[np.atleast_1d(nearest.query(vertices.mean(0), k=1)[1])]
        found.append(np.bincount(own).argmax())
    return np.array(found)
