"""Convex building blocks: each is a vertex array (V, 3) in m whose convex hull is the piece."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

SIDES = 20


def box(size: tuple[float, float, float], center: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Return a box of full edge lengths `size`."""
    corners = np.stack(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5], indexing="ij"), -1).reshape(-1, 3)
    return corners * np.asarray(size) + np.asarray(center)


def frustum(bottom: float, top: float, height: float, base: float = 0.0, sides: int = SIDES) -> np.ndarray:
    """Return a cone section about z: radii `bottom` and `top`, from z = `base` upwards."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], -1)
    lower, upper = ring * bottom, ring * top
    lower[:, 2], upper[:, 2] = base, base + height
    return np.concatenate([lower, upper])


def lathe_solid(radii: list[float], heights: list[float]) -> list[np.ndarray]:
    """Return stacked cone sections through the profile (radius, z)."""
    return [
        frustum(r0, r1, z1 - z0, z0)
        for r0, r1, z0, z1 in zip(radii[:-1], radii[1:], heights[:-1], heights[1:], strict=True)
    ]


def lathe_wall(radii: list[float], heights: list[float], thickness: float, sides: int = 16) -> list[np.ndarray]:
    """Return a hollow wall through the profile (outer radius, z) as convex staves."""
    edges = np.linspace(0, 2 * np.pi, sides + 1)
    staves = []
    for r0, r1, z0, z1 in zip(radii[:-1], radii[1:], heights[:-1], heights[1:], strict=True):
        for a, b in pairwise(edges):
            corners = []
            for angle in (a, b):
                direction = np.array([np.cos(angle), np.sin(angle)])
                for radius, z in ((r0, z0), (r1, z1)):
                    corners.append([*(direction * radius), z])
                    corners.append([*(direction * (radius - thickness)), z])
            staves.append(np.array(corners))
    return staves


def rod(start: ArrayLike, end: ArrayLike, width: float, depth: float | None = None) -> np.ndarray:
    """Return an eight-sided bar from `start` to `end`, `width` × `depth` across."""
    begin, finish = np.asarray(start, float), np.asarray(end, float)
    axis = (finish - begin) / np.linalg.norm(finish - begin)
    side = np.cross(axis, [0.0, 1.0, 0.0] if abs(axis[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False) + np.pi / 8
    scale = 1 / np.cos(np.pi / 8)
    ring = np.outer(np.cos(angle), side) * width / 2 * scale
    ring = ring + np.outer(np.sin(angle), other) * (depth or width) / 2 * scale
    return np.concatenate([begin + ring, finish + ring])


def bent_rod(points: np.ndarray, width: float, depth: float | None = None) -> list[np.ndarray]:
    """Return a chain of bars along a polyline (K, 3); the bars overlap a little at the bends."""
    points = np.asarray(points, float)
    pieces = []
    for start, end in pairwise(points):
        grow = (end - start) / np.linalg.norm(end - start) * width * 0.2
        pieces.append(rod(start - grow, end + grow, width, depth))
    return pieces


def arc(
    radius_x: float, radius_z: float, center: tuple[float, float, float], start: float, end: float, steps: int
) -> np.ndarray:
    """Return a polyline (steps, 3) on an ellipse in the x–z plane, angles in rad from +x."""
    angle = np.linspace(start, end, steps)
    offset = np.stack([radius_x * np.cos(angle), np.zeros(steps), radius_z * np.sin(angle)], -1)
    return offset + np.asarray(center)


def laid_down(pieces: list[np.ndarray]) -> list[np.ndarray]:
    """Turn z-up pieces onto their side: the old z axis becomes x."""
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    return [piece @ turn.T for piece in pieces]
