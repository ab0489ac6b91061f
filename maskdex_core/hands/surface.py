"""Points on a hand's skin: as many on each part, uniform by area inside a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskdex_core.primitives import Primitive

SURFACE_POINTS = 2000  # as in the paper
SKIN_STEP = 2e-4  # m


@dataclass(frozen=True)
class HandSurface:
    """link (N,) index, point and normal (N, 3) in the link's frame, palmar (N,) faces the grasping side."""

    link: np.ndarray
    point: np.ndarray
    normal: np.ndarray
    palmar: np.ndarray


def sample_hand_surface(
    shapes: Sequence[tuple[int, Primitive]], link_part: np.ndarray, link_palmar: np.ndarray
) -> HandSurface:
    """Sample the skin; the same hand gives the same points every time.

    Args:
        shapes: (link index, shape) pairs.
        link_part: (L,) part index of each link.
        link_palmar: (L, 3) grasping direction of each link in its own frame.
    """
    rng = np.random.default_rng(0)
    parts = sorted({int(link_part[link]) for link, _ in shapes})
    counts = np.full(len(parts), SURFACE_POINTS // len(parts))
    counts[0] += SURFACE_POINTS - counts.sum()
    drawn = [
        _sample_part([s for s in shapes if link_part[s[0]] == part], count, rng)
        for part, count in zip(parts, counts, strict=True)
    ]
    link, point, normal = (np.concatenate(column) for column in zip(*drawn, strict=True))
    palmar = (normal * link_palmar[link]).sum(-1) > 0.0
    return HandSurface(link, point, normal, palmar)


def _sample_part(
    shapes: Sequence[tuple[int, Primitive]], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weights = np.array([shape.area() for _, shape in shapes])
    share = np.ceil(8 * count * weights / weights.sum()).astype(int) + 8
    links, points, normals = [], [], []
    for (link, shape), number in zip(shapes, share, strict=True):
        point, normal = shape.sample_surface(int(number), rng)
        hidden = np.zeros(number, bool)
        for other_link, other in shapes:
            if other_link == link and other is not shape:
                # Just off the surface too: a face that two boxes share is no skin.
                hidden |= other.signed_distance(point) < -1e-5
                hidden |= other.signed_distance(point + SKIN_STEP * normal) < 0
        links.append(np.full(int((~hidden).sum()), link))
        points.append(point[~hidden])
        normals.append(normal[~hidden])
    link, point, normal = np.concatenate(links), np.concatenate(points), np.concatenate(normals)
    chosen = np.sort(rng.choice(len(link), size=count, replace=False))
    return link[chosen], point[chosen], normal[chosen]
