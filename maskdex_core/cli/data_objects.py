"""`maskdex data objects`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from maskdex_core.cli.common import Command, output_file, say
from maskdex_core.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from maskdex_core.objects.meshes.annotated_mesh import AnnotatedMesh
    from maskdex_core.objects.object_model import ObjectModel

MAX_SEEDS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objects(Command):
    """List the objects that grasps are made on, with their parts; or draw them all."""

    meshes: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of real meshes with an index.json; only procedural objects without it."""
    seeds: int = 3
    """Procedural objects of each family."""
    contact_sheet: Annotated[Path | None, arg(metavar="FILE.png")] = None
    """Picture to write instead of the list: every object at rest, its parts coloured."""

    def run(self) -> int:
        """List or draw."""
        if not 0 <= self.seeds <= MAX_SEEDS:
            raise UsageError(f"--seeds {self.seeds} is out of range; expected 0 to {MAX_SEEDS}")
        if self.seeds == 0 and self.meshes is None:
            raise UsageError("--seeds 0 without --meshes leaves no objects")
        if self.meshes is not None and not self.meshes.is_dir():
            raise DatasetError(f"mesh folder {str(self.meshes)!r} does not exist")
        import torch

        torch.set_num_threads(1)
        if self.contact_sheet is None:
            _print_table(self._objects())
            return 0
        output_file(self.contact_sheet, ".png")
        from maskdex_core.objects.object_sheet import object_sheet

        found = list(self._objects())
        object_sheet(found, self.contact_sheet)
        say(f"{len(found)} objects in {self.contact_sheet}")
        return 0

    def _objects(self) -> Iterator[ObjectModel | AnnotatedMesh]:
        from maskdex_core.objects.meshes.annotated_mesh import load_objects
        from maskdex_core.objects.procedural import FAMILIES, make_object

        real = [] if self.meshes is None else load_objects(self.meshes).values()
        for family in FAMILIES:
            for seed in range(self.seeds):
                yield make_object(family, seed)
        for entry in real:
            yield entry.load()


def _print_table(objects: Iterator[ObjectModel | AnnotatedMesh]) -> None:
    print(f"{'object':<32} {'family':<13} {'size [mm]':<15} {'pieces':>6}  parts")
    for found in objects:
        size = " x ".join(f"{1000 * side:.0f}" for side in found.bounds[1] - found.bounds[0])
        parts = ", ".join(found.part_names)
        print(f"{found.name:<32} {found.family:<13} {size:<15} {len(found.pieces):>6}  {parts}", flush=True)
