"""`maskdex data view`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from maskdex_core.cli.common import Command, check_seed, output_file, say
from maskdex_core.errors import DatasetError, UsageError

MAX_TILES = 400


@dataclasses.dataclass(frozen=True, kw_only=True)
class View(Command):
    """Draw random grasps of a dataset on one sheet: which fingers touch what."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """Dataset folder."""
    out: Annotated[Path, arg(metavar="FILE.png")]
    """Picture to write."""
    n: int = 24
    """Number of grasps; all, when there are fewer."""
    seed: int = 0
    """Which grasps are drawn."""
    split: Annotated[str | None, arg(metavar="NAME")] = None
    """Only grasps of this split."""
    task: Annotated[str | None, arg(metavar="NAME")] = None
    """Only grasps of this task."""
    object: Annotated[str | None, arg(metavar="NAME")] = None
    """Only grasps of this object."""

    def run(self) -> int:
        """Choose, draw and write."""
        if not 1 <= self.n <= MAX_TILES:
            raise UsageError(f"--n {self.n} is out of range; expected 1 to {MAX_TILES}")
        check_seed(self.seed)
        if not self.folder.is_dir():
            raise DatasetError(f"dataset folder {str(self.folder)!r} does not exist")
        output_file(self.out, ".png")
        import torch

        torch.set_num_threads(1)
        from maskdex_core.data.dataset import GraspDataset
        from maskdex_core.data.grasp_sheet import choose_rows, grasp_sheet

        data = GraspDataset.load(self.folder)
        data = data if self.split is None else data.split(self.split)
        rows = choose_rows(data, self.n, self.seed, self.task, self.object)
        grasp_sheet(data, rows, self.out, self._title(len(rows), len(data)))
        say(f"{len(rows)} grasps in {self.out}" + (f", all there are of {self.n} asked for" * (len(rows) < self.n)))
        return 0

    def _title(self, shown: int, there: int) -> str:
        chosen = [f"{name} {value}" for name, value in (("split", self.split), ("task", self.task),
                  ("object", self.object)) if value is not None]  # fmt: skip
        among = f" ({', '.join(chosen)})" if chosen else ""
        return f"{self.folder.name}: {shown} grasps{among} of {there}, seed {self.seed}"
