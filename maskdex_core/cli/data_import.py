"""`maskdex data import`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from maskdex_core.cli.common import Command, log_to_stderr, output_folder, say


@dataclasses.dataclass(frozen=True, kw_only=True)
class Import(Command):
    """Turn DexGraspNet's Shadow grasps into a dataset folder; its pickles are read without running them."""

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """One <object code>.npy, or a folder of them."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder of the dataset; must not hold one yet."""
    meshes: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder with <object code>/coacd/decomposed.obj or <object code>.obj, unscaled."""

    def run(self) -> int:
        """Read, check and write."""
        from maskdex_core.data.dexgraspnet_import import import_dexgraspnet

        output_folder(self.out)
        log_to_stderr()
        grasps, objects = import_dexgraspnet(self.source, self.out, self.meshes)
        say(f"{grasps} grasps on {objects} objects in {self.out}")
        return 0
