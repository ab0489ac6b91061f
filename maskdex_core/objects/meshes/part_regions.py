"""Parts of a real object as regions in its mesh's coordinates, read from `config/object_parts.yaml`.

N points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from maskdex_core.config import from_mapping, read_yaml
from maskdex_core.errors import ConfigError, unknown_choice
from maskdex_core.resources import resource_path

SHIPPED = Path("config") / "object_parts.yaml"
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


class Shape(Protocol):
    """A region of space."""

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Return (N,) bool: which of the points (N, 3) m lie inside."""
        ...


@dataclass(frozen=True)
class Slab:
    """Space between two planes across a direction; an infinite end makes it a half-space."""

    along: tuple[float, float, float]
    between: tuple[float, float]

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Return (N,) bool."""
        height = points @ (np.asarray(self.along) / np.linalg.norm(self.along))
        return (height >= self.between[0]) & (height <= self.between[1])


@dataclass(frozen=True)
class Sphere:
    """A ball."""

    center: tuple[float, float, float]
    radius: float

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Return (N,) bool."""
        return np.linalg.norm(points - np.asarray(self.center), axis=1) <= self.radius


@dataclass(frozen=True)
class Cylinder:
    """A round rod with flat ends."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Return (N,) bool."""
        start, axis = np.asarray(self.start), np.subtract(self.end, self.start)
        length = float(np.linalg.norm(axis))
        height = (points - start) @ (axis / length)
        across = np.linalg.norm(points - start - height[:, None] * (axis / length), axis=1)
        return (height >= 0) & (height <= length) & (across <= self.radius)


@dataclass(frozen=True)
class Region:
    """A named part where all shapes overlap."""

    part: str
    shapes: tuple[Shape, ...]

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Return (N,) bool."""
        return np.all([shape.contains(points) for shape in self.shapes], axis=0)


@dataclass(frozen=True)
class Annotation:
    """What we know of a real object beside its mesh.

    Attributes:
        family: its family in `config/tasks.yaml`.
        rest: the part of all points that no region contains.
        parts: regions as they stand in the file; the first that contains a point names its part.
        up: direction (3,) in mesh coordinates that points up, roughly, where the object rests.
        cut: most convex parts to cut the mesh into, where those that come with it fill it badly; 0 takes these.
        use: False leaves the object out. reason: why.
    """

    family: str
    rest: str
    parts: tuple[Mapping[str, Any], ...] = ()
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    cut: int = 0
    use: bool = True
    reason: str = ""

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The regions, in order.

        Raises:
            ConfigError: on an unknown kind of shape, or one without its numbers.
        """
        return tuple(_region(entry, f"{self.family}, region {i}") for i, entry in enumerate(self.parts))

    @cached_property
    def part_names(self) -> tuple[str, ...]:
        """Different parts in order of the regions, the rest last."""
        return tuple(dict.fromkeys([*(region.part for region in self.regions if region.part != self.rest), self.rest]))

    def label(self, points: np.ndarray) -> np.ndarray:
        """Return the index in `part_names` (N,) of the part of each point (N, 3) m in mesh coordinates."""
        found = np.full(len(points), self.part_names.index(self.rest))
        for region in reversed(self.regions):
            found[region.contains(points)] = self.part_names.index(region.part)
        return found


def read_annotations(path: Path | None = None) -> dict[str, Annotation]:
    """Return what is known of each object, by `source/name`; the shipped annotations by default.

    Raises:
        ConfigError: when the file is missing, is no YAML, or an entry is wrong.
    """
    path = path or resource_path(SHIPPED)
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: expected objects by name, got {type(content).__name__}")
    found = {str(name): from_mapping(Annotation, entry, f"{path.name}: {name}") for name, entry in content.items()}
    for name, annotation in found.items():
        try:
            annotation.regions  # noqa: B018  (a wrong region is an error now, not when an object is first used)
        except ConfigError as error:
            raise ConfigError(f"{path.name}: {name}: {error}") from error
    return found


def _region(entry: Mapping[str, Any], where: str) -> Region:
    shapes: list[Shape] = []
    for kind, value in entry.items():
        if kind == "part":
            continue
        if kind in AXES:
            shapes.append(Slab(AXES[kind], _numbers(value, 2, f"{where}: {kind}")))
        elif kind == "slabs":
            shapes += [from_mapping(Slab, slab, f"{where}: slabs") for slab in value]
        elif kind == "sphere":
            shapes.append(from_mapping(Sphere, value, f"{where}: sphere"))
        elif kind == "cylinder":
            shapes.append(from_mapping(Cylinder, value, f"{where}: cylinder"))
        else:
            raise ConfigError(f"{where}: {unknown_choice('shape', kind, [*AXES, 'slabs', 'sphere', 'cylinder'])}")
    if not isinstance(entry.get("part"), str) or not shapes:
        raise ConfigError(f"{where}: needs a `part` and at least one shape")
    return Region(entry["part"], tuple(shapes))


def _numbers(value: Any, count: int, where: str) -> Any:
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise ConfigError(f"{where}: expected {count} numbers, got {value!r}")
    return tuple(float(number) for number in value)
