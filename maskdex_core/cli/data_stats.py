"""`maskdex data stats`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from maskdex_core.cli.common import Command, print_json
from maskdex_core.errors import DatasetError

SHIPPED = Path("data") / "shadow"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stats(Command):
    """Count a dataset: grasps, objects, tasks, penetration, diversity, duplicates."""

    folder: Annotated[Positional[Path | None], arg(metavar="[DIR]")] = None
    """Dataset folder; the shipped one by default."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Compute and print."""
        import torch

        torch.set_num_threads(1)
        from maskdex_core.data.dataset import GraspDataset
        from maskdex_core.metrics.dataset_stats import dataset_stats

        numbers = dataset_stats(GraspDataset.load(self._folder()))
        if self.json:
            print_json(numbers)
            return 0
        for name, value in numbers.items():
            if isinstance(value, dict):
                print(f"{name}:")
                for key, count in value.items():
                    print(f"  {key:<14} {count}")
            else:
                print(f"{name:<16} {'unknown' if value is None else value}")
        return 0

    def _folder(self) -> Path:
        from maskdex_core.resources import resource_path

        if self.folder is None:
            return resource_path(SHIPPED)
        if not self.folder.is_dir():
            raise DatasetError(f"dataset folder {str(self.folder)!r} does not exist")
        return self.folder
