"""The shapes a robot is made of: box, sphere, cylinder, capsule, each in its link's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BOX_SPACING = 0.013  # m: a flat palm needs no finer cover, and every sphere costs time


@dataclass(frozen=True)
class Primitive:
    """One convex shape fixed to a link.

    Attributes:
        kind: "box", "sphere", "cylinder" or "capsule" (along z).
        size: box half extents (x, y, z); sphere (r,); cylinder and capsule (r, half length), in m.
        link_from_shape: (4, 4) pose in the link's frame.
    """

    kind: str
    size: tuple[float, ...]
    link_from_shape: np.ndarray

    def area(self) -> float:
        """Return the surface area in m²."""
        if self.kind == "box":
            x, y, z = self.size
            return 8 * (x * y + y * z + z * x)
        if self.kind == "sphere":
            return 4 * np.pi * self.size[0] ** 2
        radius, half = self.size
        caps = 4 * np.pi * radius**2 if self.kind == "capsule" else 2 * np.pi * radius**2
        return 4 * np.pi * radius * half + caps

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distance (N,) m of link-frame points (N, 3); negative inside."""
        local = (points - self.link_from_shape[:3, 3]) @ self.link_from_shape[:3, :3]
        if self.kind == "sphere":
            return np.linalg.norm(local, axis=-1) - self.size[0]
        if self.kind == "capsule":
            radius, half = self.size
            local = local.copy()
            local[:, 2] -= np.clip(local[:, 2], -half, half)
            return np.linalg.norm(local, axis=-1) - radius
        if self.kind == "box":
            outside = np.abs(local) - np.asarray(self.size)
        else:
            radius, half = self.size
            outside = np.stack([np.linalg.norm(local[:, :2], axis=-1) - radius, np.abs(local[:, 2]) - half], -1)
        return np.linalg.norm(np.maximum(outside, 0), axis=-1) + np.minimum(outside.max(-1), 0)

    def reach(self, direction: np.ndarray) -> float:
        """Return the largest direction · point in m over the shape's points, for a unit direction (3,), link frame."""
        local, center = direction @ self.link_from_shape[:3, :3], float(direction @ self.link_from_shape[:3, 3])
        if self.kind == "sphere":
            return center + self.size[0]
        if self.kind == "box":
            return center + float(np.abs(local) @ self.size)
        radius, half = self.size
        rim = radius if self.kind == "capsule" else radius * float(np.hypot(local[0], local[1]))
        return center + half * abs(float(local[2])) + rim

    def sample_surface(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return points and outward normals, each (count, 3), uniform on the surface, link frame."""
        sampler = {"box": _on_box, "sphere": _on_sphere, "cylinder": _on_cylinder, "capsule": _on_capsule}
        local, normals = sampler[self.kind](self.size, count, rng)
        rotation = self.link_from_shape[:3, :3]
        return local @ rotation.T + self.link_from_shape[:3, 3], normals @ rotation.T

    def triangles(self) -> np.ndarray:
        """Return the surface as triangles (F, 3, 3) in m, link frame, wound outward; for pictures."""
        import trimesh

        if self.kind == "box":
            mesh = trimesh.creation.box(2 * np.asarray(self.size))
        elif self.kind == "sphere":
            mesh = trimesh.creation.icosphere(subdivisions=1, radius=self.size[0])
        elif self.kind == "cylinder":
            mesh = trimesh.creation.cylinder(self.size[0], 2 * self.size[1], sections=16)
        else:
            mesh = trimesh.creation.capsule(2 * self.size[1], self.size[0], count=(10, 10))
            mesh.apply_translation(-mesh.bounds.mean(0))
        mesh.apply_transform(self.link_from_shape)
        return np.asarray(mesh.triangles)

    def inner_spheres(self, spacing: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Cover the shape with spheres inside it: centres (S, 3) in the link frame, radii (S,), in m.

        Args:
            spacing: distance of neighbouring centres in radii.
        """
        if self.kind == "sphere":
            centers, radius = np.zeros((1, 3)), self.size[0]
        elif self.kind in ("capsule", "cylinder"):
            radius, half = self.size
            reach = half if self.kind == "capsule" else max(half - radius, 0.0)
            steps = _steps(reach, radius * spacing)
            centers = np.stack([np.zeros_like(steps), np.zeros_like(steps), steps], -1)
            radius = radius if self.kind == "capsule" else min(radius, half)
        else:
            radius = min(self.size)
            axes = [_steps(half - radius, max(1.5 * radius * spacing, BOX_SPACING)) for half in self.size]
            centers = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        moved = centers @ self.link_from_shape[:3, :3].T + self.link_from_shape[:3, 3]
        return moved, np.full(len(moved), radius)


def _steps(reach: float, spacing: float) -> np.ndarray:
    count = max(1, int(np.ceil(2 * reach / spacing)) + 1) if reach > 1e-6 else 1
    return np.linspace(-reach, reach, count) if count > 1 else np.zeros(1)


def _unit(count: int, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _on_sphere(size: tuple[float, ...], count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    normals = _unit(count, rng)
    return normals * size[0], normals


def _on_box(size: tuple[float, ...], count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    half = np.asarray(size)
    face_area = np.array([half[1] * half[2], half[2] * half[0], half[0] * half[1]])
    axis = rng.choice(3, size=count, p=face_area / face_area.sum())
    sign = rng.choice([-1.0, 1.0], size=count)
    points = rng.uniform(-half, half, size=(count, 3))
    normals = np.zeros((count, 3))
    normals[np.arange(count), axis] = sign
    points[np.arange(count), axis] = sign * half[axis]
    return points, normals


def _ring(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], -1)


def _on_cylinder(size: tuple[float, ...], count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    radius, half = size
    on_side = rng.uniform(size=count) < 2 * half / (2 * half + radius)
    ring = _ring(count, rng)
    sign = rng.choice([-1.0, 1.0], size=count)
    side = ring * radius + np.stack([np.zeros(count)] * 2 + [rng.uniform(-half, half, count)], -1)
    cap = ring * radius * np.sqrt(rng.uniform(size=(count, 1)))
    cap[:, 2] = sign * half
    cap_normal = np.stack([np.zeros(count)] * 2 + [sign], -1)
    return np.where(on_side[:, None], side, cap), np.where(on_side[:, None], ring, cap_normal)


def _on_capsule(size: tuple[float, ...], count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    radius, half = size
    on_side = rng.uniform(size=count) < half / (half + radius)
    normals = np.where(on_side[:, None], _ring(count, rng), _unit(count, rng))
    height = np.where(on_side, rng.uniform(-half, half, count), np.sign(normals[:, 2]) * half)
    points = normals * radius
    points[:, 2] += height
    return points, normals
