"""One job an object: what to load, and the shard that its grasps go into.

A job travels to other machines: naming it imports nothing heavy, loading its object does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskdex_core.objects.meshes.annotated_mesh import ObjectSet
    from maskdex_core.objects.target_object import TargetObject

PROCEDURAL = "procedural"


@dataclass(frozen=True)
class SynthesisJob:
    """Make grasps for one object.

    Attributes:
        source: "procedural", or where the mesh comes from.
        name: a procedural family, or a mesh by its name in the folder.
        seed: of the procedural object, and of the search for grasps.
        meshes: folder of the meshes; None for a procedural object.
    """

    source: str
    name: str
    seed: int
    meshes: Path | None = None

    @property
    def shard(self) -> str:
        """Name of the shard's file."""
        return f"{self.name.replace('/', '__')}_{self.seed:03d}.json"

    def load(self) -> TargetObject:
        """Build or read the object.

        Raises:
            DatasetError, MeshError: when it is unknown or bad.
        """
        if self.meshes is None:
            from maskdex_core.objects.procedural import make_object

            return make_object(self.name, self.seed)
        return _mesh_set(self.meshes)[self.name].load()

    @property
    def licence(self) -> str:
        """Licence of the mesh; empty for a procedural object."""
        return "" if self.meshes is None else _mesh_set(self.meshes)[self.name].licence


def procedural_jobs(count: int, families: Sequence[str] | None = None) -> list[SynthesisJob]:
    """Return `count` jobs, the families in turn."""
    from maskdex_core.objects.procedural import FAMILIES

    names = list(families or FAMILIES)
    return [SynthesisJob(PROCEDURAL, names[i % len(names)], i // len(names)) for i in range(count)]


def mesh_jobs(folder: Path, rounds: int) -> list[SynthesisJob]:
    """Return `rounds` jobs with different seeds for every usable object of a folder of meshes.

    Raises:
        DatasetError: when the folder has no index, or none of its objects is annotated.
    """
    entries = _mesh_set(folder)
    return [
        SynthesisJob(entry.source, entry.name, seed, folder) for seed in range(rounds) for entry in entries.values()
    ]


@lru_cache(maxsize=4)
def _mesh_set(folder: Path) -> ObjectSet:
    from maskdex_core.objects.meshes.annotated_mesh import load_objects

    return load_objects(folder)
