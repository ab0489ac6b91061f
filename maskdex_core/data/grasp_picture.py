"""One grasp as a picture: hand and object as triangles, seen from where the contacts show best.

H, W pixels, F triangles, L links, P points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.data.dataset import ObjectSurface
from maskdex_core.hands.model import HandModel
from maskdex_core.hands.spec import PART_NAMES
from maskdex_core.objects.procedural import FAMILIES, make_object
from maskdex_core.perception.render import pixel_rays

if TYPE_CHECKING:
    from numpy.typing import NDArray

HAND_COLORS = {
    "palm": "#8d99ae", "thumb": "#e63946", "index": "#f4a300", "middle": "#2a9d4a", "ring": "#1f77d0",
    "little": "#8e44ad",
}  # fmt: skip
OBJECT_COLORS = ("#e9dcc6", "#b9d3d8", "#d9b8b0", "#c3cf9f", "#c9bfe0", "#e3cf8a")
LIGHT = np.array([-0.4, 0.45, -0.8])  # towards the scene, in the camera's frame
TILE, PREVIEW, OVERSAMPLING = 300, 56, 2  # pixels, rays a pixel edge
FIELD = np.deg2rad(24.0)  # of view
ELEVATIONS, AZIMUTHS = (10.0, 35.0, 60.0), 12  # degrees, how many
TOUCH = 0.003  # m, as synthesis counts contacts
NEAR = 0.014  # m around a contact that should be seen
COVER = 0.25  # of the object shows through the hand
FRAME = 1.04  # a little room at the edge
STEP = 0.006  # m of depth between two pixels that is an edge
DOT, BESIDE = 0.017, 0.003  # of the image's width; m from a contact that is in sight
NOTHING = -2  # where no part of hand or object is seen
NEIGHBORS = 6  # of a point that its disc reaches
SAME = 0.001  # m between stored points and a mesh made again
SHOWN = 0.13  # m of the object around the contacts


@dataclass(frozen=True)
class Piece:
    """What is drawn in one colour.

    Attributes:
        triangles: (F, 3, 3) m in the object's frame.
        color: of matplotlib.
        part: index of the hand's part, -1 for the object.
        creased: lines are drawn where triangles meet at an angle.
    """

    triangles: NDArray[np.floating]
    color: str
    part: int
    creased: bool = True

    @property
    def vertices(self) -> NDArray[np.floating]:
        """(3F, 3) m."""
        return self.triangles.reshape(-1, 3)


def object_pieces(name: str, surface: ObjectSurface) -> list[Piece]:
    """Return an object by part: its mesh when it can be made again and fits the points, else a disc a point."""
    points, parts = surface.points.double().numpy(), surface.part_ids.numpy()
    made = _made_again(name, surface.facts, points)
    by_part = made or {
        int(part): _discs(points[parts == part], surface.normals.double().numpy()[parts == part], _spacing(points))
        for part in np.unique(parts)
    }
    colors = {part: OBJECT_COLORS[part % len(OBJECT_COLORS)] for part in by_part}
    return [Piece(triangles, colors[part], -1, made is not None) for part, triangles in by_part.items()]


def hand_pieces(hand: HandModel, object_from_link: NDArray[np.floating]) -> list[Piece]:
    """Return the hand's collision shapes, one piece a part, for link poses (L, 4, 4)."""
    by_part: dict[int, list[np.ndarray]] = {}
    for link, shape in hand.shapes():
        pose = object_from_link[link]
        placed = shape.triangles() @ pose[:3, :3].T + pose[:3, 3]
        by_part.setdefault(int(hand.link_part[link]), []).append(placed)
    return [Piece(np.concatenate(by_part[part]), HAND_COLORS[PART_NAMES[part]], part) for part in sorted(by_part)]


def contacts(pieces: Sequence[Piece]) -> dict[int, NDArray[np.floating]]:
    """Return hand part → the object's point (3,) m nearest to it, for the parts that touch."""
    triangles = np.concatenate([piece.triangles for piece in pieces if piece.part < 0])
    low, high = triangles.min((0, 1)) - TOUCH, triangles.max((0, 1)) + TOUCH
    found: dict[int, np.ndarray] = {}
    for piece in pieces:
        points = _spread(piece.triangles) if piece.part >= 0 else np.zeros((0, 3))
        points = points[((points > low) & (points < high)).all(1)]
        if len(points):
            near = _nearest(triangles, points)
            gap = np.linalg.norm(near - points, axis=1)
            if gap.min() < TOUCH:
                found[piece.part] = near[gap.argmin()]
    return found


def _nearest(triangles: NDArray[np.floating], points: NDArray[np.floating]) -> np.ndarray:
    """Return the point (P, 3) m on triangles (F, 3, 3) nearest to each of points (P, 3)."""
    import open3d

    o3d: Any = open3d
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(*_indexed(triangles))
    return scene.compute_closest_points(o3d.core.Tensor(points.astype(np.float32)))["points"].numpy()


def _indexed(triangles: NDArray[np.floating]) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (3F, 3) and faces (F, 3) in the types that the ray caster takes."""
    vertices = triangles.reshape(-1, 3).astype(np.float32)
    return vertices, np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)


def _made_again(name: str, facts: Mapping[str, Any], points: NDArray[np.floating]) -> dict[int, np.ndarray] | None:
    """Return part → triangles of a procedural object, or None when it is another or has changed since."""
    if facts.get("family") not in FAMILIES or not isinstance(facts.get("seed"), int):
        return None
    made = make_object(facts["family"], facts["seed"])
    by_part: dict[int, list[np.ndarray]] = {}
    for piece in made.pieces:
        by_part.setdefault(piece.part, []).append(piece.vertices[piece.faces])
    joined = {part: np.concatenate(triangles) for part, triangles in by_part.items()}
    off = np.linalg.norm(_nearest(np.concatenate(list(joined.values())), points) - points, axis=1).max()
    grown = np.abs(np.stack([points.min(0), points.max(0)]) - made.bounds).max()
    return joined if made.name == name and off < SAME and grown < 4 * SAME else None


def _discs(points: NDArray[np.floating], normals: NDArray[np.floating], radius: float) -> np.ndarray:
    """Return six triangles a point, (6P, 3, 3)."""
    outward = points - points.mean(0)  # for points without normals
    normals = np.where(np.linalg.norm(normals, axis=1, keepdims=True) > 0.5, normals, outward)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    helper = np.where(np.abs(normals[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])
    across = np.cross(normals, helper)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    along = np.cross(normals, across)
    turn = np.linspace(0, 2 * np.pi, 7)[None, :, None]
    rim = points[:, None] + radius * (np.cos(turn) * across[:, None] + np.sin(turn) * along[:, None])
    center = np.broadcast_to(points[:, None], (len(points), 6, 3))
    return np.stack([center, rim[:, :-1], rim[:, 1:]], 2).reshape(-1, 3, 3)


def _spacing(points: NDArray[np.floating]) -> float:
    """Return a disc radius (m) that leaves few gaps between points."""
    from scipy.spatial import KDTree

    distance = KDTree(points).query(points, k=min(NEIGHBORS, len(points)))[0]
    return float(np.median(distance.reshape(len(points), -1)[:, -1])) + 5e-4


def _spread(triangles: NDArray[np.floating], steps: int = 8) -> np.ndarray:
    """Return points (N, 3) on every triangle, corners included."""
    u, v = np.meshgrid(np.linspace(0, 1, steps), np.linspace(0, 1, steps))
    inside = u + v <= 1 + 1e-9
    u, v = u[inside][:, None, None], v[inside][:, None, None]
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    return (a + u * (b - a) + v * (c - a)).reshape(-1, 3)


# ---------------------------------------------------------------------- view and image
@dataclass(frozen=True)
class View:
    """A camera: base_from_camera (4, 4), optical frame (z forward, y down), and its square image's size in pixels."""

    base_from_camera: NDArray[np.floating]
    size: int

    @property
    def intrinsics(self) -> NDArray[np.floating]:
        """(3, 3) pixels."""
        focal = self.size / 2 / np.tan(FIELD / 2)
        return np.array([[focal, 0, (self.size - 1) / 2], [0, focal, (self.size - 1) / 2], [0, 0, 1]])

    def rays(self) -> NDArray[np.floating]:
        """Return unit ray directions (size, size, 3) in the base frame."""
        rays = pixel_rays(self.intrinsics, (self.size, self.size)) @ self.base_from_camera[:3, :3].T
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def project(self, point: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return column and row of a point (3,) m."""
        local = self.intrinsics @ (self.base_from_camera[:3, :3].T @ (point - self.base_from_camera[:3, 3]))
        return local[:2] / local[2]


class _Caster:
    """Casts rays at pieces, from many views."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        import open3d

        self._tensor: Any = open3d.core.Tensor
        self._scene: Any = open3d.t.geometry.RaycastingScene()
        for piece in pieces:
            self._scene.add_triangles(*_indexed(piece.triangles))

    def __call__(self, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return distance (H, W) m (inf for none), piece (H, W) (-1 for none), normal (H, W, 3)."""
        rays = view.rays()
        origin = np.broadcast_to(view.base_from_camera[:3, 3], rays.shape)
        hit = self._scene.cast_rays(self._tensor(np.concatenate([origin, rays], -1).astype(np.float32)))
        distance = hit["t_hit"].numpy()
        piece = np.where(np.isfinite(distance), hit["geometry_ids"].numpy().astype(np.int64), -1)
        return distance, piece, hit["primitive_normals"].numpy()


def draw_grasp(pieces: Sequence[Piece], touching: Mapping[int, NDArray[np.floating]], size: int = TILE) -> np.ndarray:
    """Return the picture (size, size, 3) in 0..1 of object and hand, from where most contacts are seen.

    Args:
        pieces: of the object, then of the hand. touching: hand part → point of contact (3,) m; a full dot
            is in sight, a ring is behind something.
    """
    object_only = [piece for piece in pieces if piece.part < 0]
    everything, behind = _Caster(pieces), _Caster(object_only)
    view = best_view(pieces, touching, size * OVERSAMPLING)
    distance, piece, normal = everything(view)
    image = _shade(pieces, view, piece, normal)
    under = behind(view)
    through = (piece >= len(object_only)) & (under[1] >= 0)
    image[through] += COVER * (_shade(object_only, view, *under[1:])[through] - image[through])
    creased = np.array([False, *(one.creased for one in pieces)])[piece + 1]
    image[_edges(distance, piece, normal, creased)] *= 0.45
    for part, point in touching.items():
        _mark(image, view, point, HAND_COLORS[PART_NAMES[part]], distance)
    return image.reshape(size, OVERSAMPLING, size, OVERSAMPLING, 3).mean((1, 3))


def best_view(pieces: Sequence[Piece], touching: Mapping[int, NDArray[np.floating]], size: int) -> View:
    """Return the view, of some rings of directions, that shows both sides of most contacts; see `draw_grasp`."""
    everything, alone = _Caster(pieces), _Caster([piece for piece in pieces if piece.part < 0])
    of_hand = np.array([NOTHING, *(one.part for one in pieces)])
    shown, directions, scores = _shown(pieces, touching), [], []
    for elevation in ELEVATIONS:
        for turn in range(AZIMUTHS):
            directions.append((elevation, 360 * turn / AZIMUTHS))
            view = _look_at(shown, directions[-1], PREVIEW)
            distance, piece, _ = everything(view)
            seen = 0.4 * (of_hand[piece + 1] == -1).sum() / max(1, (alone(view)[1] >= 0).sum())
            scores.append(seen + _contacts_seen(view, distance, of_hand[piece + 1], touching))
    return _look_at(shown, directions[int(np.argmax(scores))], size)


def _contacts_seen(
    view: View, distance: np.ndarray, part: np.ndarray, touching: Mapping[int, NDArray[np.floating]]
) -> float:
    """Return how well hand and object are seen at the contacts, 0..1, from parts (H, W) in an image."""
    points = view.base_from_camera[:3, 3] + view.rays() * np.where(part > NOTHING, distance, 0.0)[..., None]
    total = 0.0
    for finger, point in touching.items():
        away = float(np.linalg.norm(point - view.base_from_camera[:3, 3]))
        expected = (NEAR * view.intrinsics[0, 0] / away) ** 2  # pixels of one side
        near = np.linalg.norm(points - point, axis=-1) < NEAR
        hand, target = (min(1.0, (near & (part == side)).sum() / expected) for side in (finger, -1))
        total += float(np.sqrt(hand * target)) / len(touching)
    return total


def _shown(pieces: Sequence[Piece], touching: Mapping[int, NDArray[np.floating]]) -> np.ndarray:
    """Return the points (N, 3) m that the picture must hold: the hand, and the object around its contacts."""
    hand = np.concatenate([piece.vertices for piece in pieces if piece.part >= 0])
    middle = np.mean(list(touching.values()), axis=0) if touching else hand.mean(0)
    near = np.concatenate([piece.vertices for piece in pieces if piece.part < 0])
    return np.concatenate([hand, near[np.linalg.norm(near - middle, axis=1) < SHOWN]])


def _look_at(points: NDArray[np.floating], direction: tuple[float, float], size: int) -> View:
    """Return the nearest camera that sees all points (N, 3), from an elevation and azimuth in degrees."""
    elevation, azimuth = np.deg2rad(direction)
    forward = -np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], -1)
    local = points @ pose[:3, :3]
    center = (local.min(0) + local.max(0)) / 2
    beside, ahead = np.abs(local - center)[:, :2].max(1), (local - center)[:, 2]
    back = float((beside / np.tan(FIELD / 2) - ahead).max())
    pose[:3, 3] = pose[:3, :3] @ (center - [0, 0, FRAME * back])
    return View(pose, size)


def _shade(pieces: Sequence[Piece], view: View, piece: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return colours (H, W, 3) under one lamp beside the camera; white where nothing is."""
    from matplotlib.colors import to_rgb

    colors = np.array([(1.0, 1.0, 1.0), *(to_rgb(one.color) for one in pieces)])[piece + 1]
    facing = np.abs(normal @ (view.base_from_camera[:3, :3] @ (LIGHT / np.linalg.norm(LIGHT))))
    return np.where((piece >= 0)[..., None], colors * (0.42 + 0.62 * facing[..., None]), 1.0).clip(0, 1)


def _edges(distance: np.ndarray, piece: np.ndarray, normal: np.ndarray, creased: np.ndarray) -> np.ndarray:
    """Mark pixels (H, W) where piece or depth changes, or a creased surface (H, W) folds."""
    depth = np.where(piece >= 0, distance, 0.0)
    edge = np.zeros(piece.shape, bool)
    for axis in (0, 1):
        first, second = (np.delete(normal, at, axis) for at in (-1, 0))
        fold = ((first * second).sum(-1) < 0.5) & np.delete(creased, -1, axis)
        here = (np.diff(piece, axis=axis) != 0) | (np.abs(np.diff(depth, axis=axis)) > STEP) | fold
        edge |= np.pad(here, [(0, int(axis == 0)), (0, int(axis == 1))])
    return edge


def _mark(image: np.ndarray, view: View, point: np.ndarray, color: str, distance: np.ndarray) -> None:
    """Draw a dot where the surface beside the point is in sight, a ring where something is in front of it."""
    from matplotlib.colors import to_rgb

    column, row = view.project(point)
    y, x = np.mgrid[: view.size, : view.size]
    away = np.hypot(x - column, y - row) / view.size
    behind = distance - np.linalg.norm(point - view.base_from_camera[:3, 3])
    in_sight = (np.abs(behind[away < DOT]) < BESIDE).any()
    image[away < 1.25 * DOT] = 0.1
    image[away < DOT] = to_rgb(color)
    if not in_sight:
        image[away < 0.55 * DOT] = 1.0
