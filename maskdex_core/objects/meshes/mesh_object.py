"""An object from a mesh file: checked, then seen as surface points and a signed distance field.

P surface points, B bodies (closed shells that do not touch), N grid nodes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.errors import MeshError
from maskdex_core.objects.object_model import GRID_MARGIN, GRID_SPACING
from maskdex_core.refine.sdf import SdfGrid

if TYPE_CHECKING:
    import trimesh

log = logging.getLogger(__name__)

ACCEPTED = (".obj", ".ply", ".stl", ".off", ".glb", ".gltf")
SURFACE_POINTS = 2048
LARGEST = 1.0  # m
SMALLEST = 0.005  # m
MIN_VOLUME = 1e-9  # m³
MAX_MESH_BYTES = 500_000_000  # of a file; `MAX_FACES` triangles written as text take less
MAX_FACES = 2_000_000
MAX_NODES = 1_000_000  # of the grid; larger objects get a coarser one
MAX_BODIES = 64
VISIBLE = 3e-4  # m; a surface point this far out must be outside
REPAIR = "close it first, e.g. with `trimesh.repair.fill_holes`, MeshLab or Blender's 3D-Print toolbox"


@dataclass(frozen=True, eq=False)
class MeshObject:
    """One closed object in its mesh's frame.

    Attributes:
        name: of the file, without extension.
        points: (P, 3) float32 m on the surface. normals: (P, 3) float32, outward.
        sdf: signed distance field about the object.
        extent: (3,) m, size of the bounding box.
    """

    name: str
    points: np.ndarray
    normals: np.ndarray
    sdf: SdfGrid
    extent: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """(3,) float64 m, centroid of the surface points."""
        return self.points.mean(0, dtype=np.float64)


def load_mesh_object(path: str | Path, points: int = SURFACE_POINTS) -> MeshObject:
    """Read a mesh file and make it an object.

    Args:
        path: .obj, .ply, .stl, .off, .glb or .gltf; metres, watertight; several bodies may overlap.
        points: surface points P.

    Raises:
        MeshError: when it is missing, empty, damaged, no mesh, not closed, flat, or not of a size that
            a hand can grasp.
    """
    path = Path(path)
    mesh = read_mesh(path)
    return mesh_object(mesh, path.stem, points, str(path))


def mesh_object(mesh: trimesh.Trimesh, name: str, points: int = SURFACE_POINTS, where: str = "mesh") -> MeshObject:
    """Make a triangle mesh an object; see `load_mesh_object`.

    Raises:
        MeshError: when it is not closed, flat, or not of a size that a hand can grasp.
    """
    mesh, field = _solid(mesh, where)
    surface, normals = visible_surface(mesh, field, points, where)
    return MeshObject(name, surface, normals, sdf_grid(field, np.asarray(mesh.bounds)), np.asarray(mesh.extents))


def mesh_surface(mesh: trimesh.Trimesh, points: int, where: str = "mesh") -> tuple[np.ndarray, np.ndarray]:
    """Return points (points, 3) float32 m on a mesh's visible surface, and outward normals.

    Raises:
        MeshError: when it is not closed, flat, or not of a size that a hand can grasp.
    """
    return visible_surface(*_solid(mesh, where), points, where)


def _solid(mesh: trimesh.Trimesh, where: str) -> tuple[trimesh.Trimesh, SolidField]:
    with np.errstate(divide="ignore", invalid="ignore"):  # trimesh divides by the volume of flat bodies
        mesh = checked_mesh(mesh, where)
        return mesh, SolidField(mesh, where)


def read_mesh(path: Path) -> trimesh.Trimesh:
    """Read a file as one triangle mesh; a scene's parts are placed and joined.

    Raises:
        MeshError: when it is missing, empty, damaged, or of another kind.
    """
    kind = path.suffix.lower()
    if kind not in ACCEPTED:
        raise MeshError(f"{path}: kind {kind or 'without extension'!r} is unknown; accepted: {', '.join(ACCEPTED)}")
    try:
        size = path.stat().st_size
        if size == 0:
            raise MeshError(f"{path}: the file is empty (0 bytes)")
        if size > MAX_MESH_BYTES:
            raise MeshError(f"{path}: has {size} bytes; at most {MAX_MESH_BYTES} are accepted")
    except OSError as error:
        raise MeshError(f"{path}: mesh file cannot be read ({error.strerror})") from error
    import trimesh

    try:
        loaded: Any = trimesh.load(path, force="mesh", process=False)
    except Exception as error:  # a damaged file raises whatever its parser stumbles over
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MeshError(f"{path}: not a readable {kind[1:].upper()} mesh ({reason[:120]})") from error
    if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
        raise MeshError(f"{path}: holds no triangles; a surface mesh is needed, not points or lines")
    return loaded


def checked_mesh(mesh: trimesh.Trimesh, where: str) -> trimesh.Trimesh:
    """Return a copy whose seams are welded and whose normals point outward.

    Raises:
        MeshError: when it is not closed, flat, or not of a size that a hand can grasp.
    """
    import trimesh

    if len(mesh.faces) > MAX_FACES:
        raise MeshError(f"{where}: has {len(mesh.faces)} triangles; at most {MAX_FACES} are accepted")
    if not np.isfinite(mesh.vertices).all():
        raise MeshError(f"{where}: has vertices that are NaN or infinite")
    _check_size(np.asarray(mesh.extents), where)
    mesh = _welded(mesh)
    if min(mesh.extents) < 1e-5 or len(mesh.faces) < 4:
        raise MeshError(f"{where}: is flat (zero volume); a hand needs a solid")
    if _open_edges(mesh) and trimesh.repair.fill_holes(mesh):  # holes of three or four edges
        log.info("%s: small holes were closed", where)
    if opened := _open_edges(mesh):
        raise MeshError(f"{where}: is not watertight ({opened} open edges); {REPAIR}")
    if not mesh.is_winding_consistent:
        trimesh.repair.fix_winding(mesh)
    if not mesh.is_winding_consistent:
        raise MeshError(f"{where}: its triangles face both ways; reorient them, e.g. with MeshLab")
    if abs(mesh.volume) < MIN_VOLUME:
        raise MeshError(f"{where}: encloses {1e6 * abs(mesh.volume):.2g} cm³ (zero volume); a hand needs a solid")
    if mesh.volume < 0:
        log.info("%s: inside out; its triangles were turned around", where)
        mesh.invert()
    return mesh


def _welded(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Join equal vertices: STL repeats every corner, OBJ those on texture seams."""
    import trimesh

    if _open_edges(mesh) == 0:
        return mesh.copy()  # welding would only join bodies that touch
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    mesh.merge_vertices()
    a, b, c = np.asarray(mesh.faces).T
    # Only triangles that collapsed to an edge: dropping thin ones too would open T-junctions.
    mesh.update_faces((a != b) & (b != c) & (c != a))
    mesh.remove_unreferenced_vertices()
    return mesh


def _check_size(extent: np.ndarray, where: str) -> None:
    size = " x ".join(f"{side:.4g}" for side in extent)
    if max(extent) > LARGEST:
        raise MeshError(
            f"{where}: is {size} m, above {LARGEST:g} m; are these millimetres? "
            "lengths must be metres: scale the mesh by 0.001"
        )
    if max(extent) < SMALLEST:
        raise MeshError(f"{where}: is {size} m, below {SMALLEST:g} m; lengths must be metres")


def _open_edges(mesh: trimesh.Trimesh) -> int:
    """Return how many edges bound an odd number of triangles; bodies that touch share four on one edge."""
    _, count = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
    return int((count % 2 == 1).sum())


class SolidField:
    """Exact signed distance to the union of a mesh's bodies, less its cavities."""

    def __init__(self, mesh: trimesh.Trimesh, where: str) -> None:
        bodies = mesh.split(only_watertight=False)
        if len(bodies) > MAX_BODIES:
            raise MeshError(f"{where}: has {len(bodies)} separate bodies; at most {MAX_BODIES} are accepted")
        self._solids = [ray_scene(body) for body in bodies if body.volume > 0]
        self._cavities = [ray_scene(body) for body in bodies if body.volume < 0]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return distances (N,) m at points (N, 3), negative inside."""
        import open3d

        o3d: Any = open3d
        # Several rays vote on the sign: one that grazes an edge would miscount.
        query = o3d.core.Tensor(np.ascontiguousarray(points, np.float32))

        def distance(scene: Any) -> np.ndarray:
            return scene.compute_signed_distance(query, nthreads=1, nsamples=3).numpy()

        # Bodies may overlap, so their signs are joined one by one (parity over all of them would fail).
        solid = np.min([distance(scene) for scene in self._solids], axis=0)
        for scene in self._cavities:
            np.maximum(solid, -distance(scene), out=solid)
        return solid


def ray_scene(body: trimesh.Trimesh) -> Any:
    """Return open3d's scene for distances and rays of one triangle mesh."""
    import open3d

    scene: Any = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(np.ascontiguousarray(body.vertices, np.float32), np.ascontiguousarray(body.faces, np.uint32))
    return scene


def visible_surface(
    mesh: trimesh.Trimesh, field: SolidField, count: int, where: str = "mesh", seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return points (count, 3) float32 m spread by area over the visible surface, and outward normals.

    Raises:
        MeshError: when no part of the surface faces outward.
    """
    import trimesh

    points, face = trimesh.sample.sample_surface(mesh, 4 * count + 64, seed=seed)[:2]
    points, normals = np.asarray(points), np.asarray(mesh.face_normals)[face]
    visible = np.flatnonzero(field(points + VISIBLE * normals) > 0)
    if len(visible) == 0:
        raise MeshError(f"{where}: no part of its surface faces outward")
    keep = visible[np.arange(count) % len(visible)]
    return points[keep].astype(np.float32), normals[keep].astype(np.float32)


def sdf_grid(distance: Callable[[np.ndarray], np.ndarray], bounds: np.ndarray) -> SdfGrid:
    """Sample a signed distance field, points (N, 3) m → (N,) m, on a grid about bounds (2, 3) m."""
    low, high = bounds + np.array([[-GRID_MARGIN], [GRID_MARGIN]])
    spacing = max(GRID_SPACING, float(np.prod(high - low) / MAX_NODES) ** (1 / 3))
    axes = [np.arange(a, b + spacing, spacing) for a, b in zip(low, high, strict=True)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return SdfGrid.from_values(distance(nodes).reshape([len(axis) for axis in axes]), low, spacing)
