"""Objects that the completion network learns from: the families, deformed; free inventions; real meshes.

A network that saw only upright mugs and bottles would complete everything to one. Families are therefore
stretched and laid on other sides, and as many solids again are put together at random: vessels, turned
bodies, stacks of blocks, with handles or without. No object of a held-out split is ever drawn.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import MaskdexError
from maskdex_core.objects.meshes.annotated_mesh import load_objects
from maskdex_core.objects.meshes.convex_parts import PartsField, union_mesh
from maskdex_core.objects.meshes.mesh_object import SolidField
from maskdex_core.objects.meshes.resting import rest_rotation
from maskdex_core.objects.object_model import ObjectModel
from maskdex_core.objects.procedural import FAMILIES, make_object
from maskdex_core.objects.procedural.shapes import arc, bent_rod, box, frustum, lathe_solid, lathe_wall, rod
from maskdex_core.perception.render import Mesh
from maskdex_core.synthesis.assemble import UNSEEN_FAMILIES, split_of

log = logging.getLogger(__name__)

Field = Callable[[NDArray[np.floating]], NDArray[np.floating]]  # points (N, 3) m → signed distance (N,) m
Pieces = list[np.ndarray]  # vertices (V, 3) m of each convex piece

SMALLEST, LARGEST = 0.03, 0.33  # m, longest side of an invented object
TIPPED = 0.25  # share of the objects that lie on another side than their own
INVENTED = 0.45  # share of the procedural objects that belong to no family


@dataclass(frozen=True, eq=False)
class Shape:
    """A solid at rest on z = 0: what is seen, and the signed distance to it."""

    name: str
    mesh: Mesh
    distance: Field


def drawn_shape(index: int) -> Shape:
    """Return one training object; the same index gives the same one."""
    rng = np.random.default_rng([zlib.crc32(b"completion"), index])
    pieces = _invention(rng) if rng.random() < INVENTED else _of_a_family(rng)
    if rng.random() < TIPPED:
        points = np.concatenate(pieces)
        turn = rest_rotation(points, points.mean(0), rng.standard_normal(3))
        pieces = [piece @ turn.T for piece in pieces]
    return solid_of(ObjectModel.from_parts(f"shape_{index:05d}", "shape", {"body": pieces}))


def solid_of(model: ObjectModel) -> Shape:
    """Return a procedural object as one solid."""
    return Shape(model.name, union_mesh(model.pieces), PartsField(model.pieces))


def real_shapes(folder: Path) -> Iterator[Shape]:
    """Yield the training split of a folder of real meshes; meshes that cannot be read are left out."""
    for name, entry in load_objects(folder).items():
        if split_of(entry.annotation.family, zlib.crc32(name.encode())) != "train":
            continue
        try:
            mesh = entry.load().mesh
            yield Shape(name.replace("/", "_"), mesh, SolidField(mesh, name))
        except MaskdexError as error:
            log.warning("%s is left out: %s", name, error)


def _of_a_family(rng: np.random.Generator) -> Pieces:
    """Return a stretched object of a training family and a training seed."""
    family = str(rng.choice(sorted(set(FAMILIES) - set(UNSEEN_FAMILIES))))
    seed = int(rng.integers(100_000))
    while split_of(family, seed) != "train":
        seed += 1
    stretch = rng.uniform(0.8, 1.25, 3) if rng.random() < 0.7 else np.ones(3)
    return [piece.vertices * stretch for piece in make_object(family, seed).pieces]


def _invention(rng: np.random.Generator) -> Pieces:
    makers = (_vessel, _turned, _stack, _tool)
    pieces = makers[rng.choice(len(makers), p=(0.4, 0.2, 0.25, 0.15))](rng)
    longest = float(np.ptp(np.concatenate(pieces), axis=0).max())
    wanted = np.clip(longest, SMALLEST, LARGEST) / longest
    stretch = rng.uniform(0.75, 1.3, 3) if rng.random() < 0.5 else np.ones(3)
    return [piece * wanted * stretch for piece in pieces]


def _vessel(rng: np.random.Generator) -> Pieces:
    """Return something hollow and open at the top: bowls, cups, pots, trays; perhaps with a handle."""
    radius = float(np.exp(rng.uniform(np.log(0.022), np.log(0.11))))
    height = radius * float(np.exp(rng.uniform(np.log(0.35), np.log(3.0))))
    wall = min(rng.uniform(0.002, 0.007), 0.4 * radius)
    count = int(rng.integers(2, 5))
    radii = radius * np.clip(np.linspace(rng.uniform(0.45, 1.0), 1.0, count) + rng.normal(0, 0.06, count), 0.3, 1.1)
    heights = np.linspace(0.0, height, count)
    floor = max(wall, 0.002) if rng.random() < 0.8 else height * rng.uniform(0.1, 0.5)
    pieces = lathe_wall(radii.tolist(), heights.tolist(), wall, sides=int(rng.choice([4, 8, 16, 20])))
    inner = float(np.interp(floor, heights, radii))
    pieces.append(frustum(float(radii[0]) - wall / 2, max(inner - wall / 2, 0.003), floor))
    if rng.random() < 0.45:
        pieces += _handle(rng, float(radii.mean()), height)
    return pieces


def _handle(rng: np.random.Generator, radius: float, height: float) -> Pieces:
    width = rng.uniform(0.006, 0.014)
    if rng.random() < 0.65:
        low, high = sorted(rng.uniform(0.1, 0.95, 2) * height)
        half = max((high - low) / 2, 0.01)
        middle = (radius - width * 0.3, 0.0, (low + high) / 2)
        return bent_rod(arc(rng.uniform(0.02, 0.045), half, middle, -np.pi / 2, np.pi / 2, 7), width)
    level = height * rng.uniform(0.5, 0.95)
    return [rod([radius * 0.9, 0, level], [radius + rng.uniform(0.05, 0.16), 0, level], width * 1.5, width)]


def _turned(rng: np.random.Generator) -> Pieces:
    """Return a solid of revolution with a random profile: bottles, fruit, knobs, chessmen."""
    count = int(rng.integers(2, 7))
    radius = float(np.exp(rng.uniform(np.log(0.012), np.log(0.07))))
    height = radius * float(np.exp(rng.uniform(np.log(0.4), np.log(6.0))))
    if rng.random() < 0.35:  # round
        angle = np.linspace(0.12, np.pi - 0.12, 9)
        return lathe_solid((radius * np.sin(angle)).tolist(), (height / 2 * (1 - np.cos(angle))).tolist())
    radii = radius * rng.uniform(0.35, 1.0, count)
    steps = np.cumsum(rng.uniform(0.3, 1.0, count))
    return lathe_solid(radii.tolist(), (height * (steps - steps[0]) / (steps[-1] - steps[0])).tolist())


def _stack(rng: np.random.Generator) -> Pieces:
    """Return one to four blocks, bars and rollers grown together."""
    size = float(np.exp(rng.uniform(np.log(0.02), np.log(0.12))))
    pieces: Pieces = []
    place = np.zeros(3)
    for _ in range(int(rng.integers(1, 5))):
        edges = size * rng.uniform(0.25, 1.2, 3)
        if rng.random() < 0.6:
            pieces.append(box(tuple(edges)) + place)
        else:
            pieces.append(frustum(edges[0] / 2, edges[1] / 2, edges[2], -edges[2] / 2) + place)
        place = place + rng.uniform(-0.5, 0.5, 3) * edges
    return pieces


def _tool(rng: np.random.Generator) -> Pieces:
    """Return something long that lies: a bar with another head."""
    length, width = rng.uniform(0.08, 0.26), rng.uniform(0.008, 0.03)
    middle = width * rng.uniform(0.5, 0.8)
    pieces = [rod([-length, 0, middle], [0.0, 0, middle], width, width * rng.uniform(0.5, 1.0))]
    head = rng.uniform(0.01, 0.06, 3)
    if rng.random() < 0.5:
        pieces.append(box(tuple(head), (0.0, float(rng.normal(0, 0.01)), float(head[2]) / 2)))
    else:
        end = [float(head[0]) + 0.02, float(rng.normal(0, 0.02)), middle]
        pieces.append(rod([-0.01, 0, middle], end, float(head[1]), float(head[2]) / 2 + 0.004))
    return pieces
