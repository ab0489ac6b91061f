"""`maskdex data build` and `maskdex data stats`."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from maskdex_core.cli.common import Command, log_to_stderr, output_folder, print_json, say
from maskdex_core.errors import DatasetError, UsageError, unknown_choice

MAX_WORKERS = 1024
MAX_OBJECTS = 100_000
LOOK_EVERY = 1.0  # s
SHIPPED = Path("data") / "shadow"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build(Command):
    """Make physics-checked grasps on procedural objects; a killed build goes on where it stopped."""

    out: Annotated[Path, arg(metavar="DIR")]
    """Folder of the dataset; one shard an object is kept in DIR/shards."""
    objects: int = 84
    """Number of objects, the families in turn."""
    workers: int = 1
    """Processes."""
    families: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ()
    """Object families; all by default."""

    def run(self) -> int:
        """Build the missing shards, then the dataset of all asked for."""
        from maskdex_core.data.procedural import FAMILIES

        for family in self.families:
            if family not in FAMILIES:
                raise UsageError(f"--families: {unknown_choice('object family', family, FAMILIES)}")
        for name, value, limit in (
            ("objects", self.objects, MAX_OBJECTS),
            ("workers", self.workers, MAX_WORKERS),
        ):
            if not 1 <= value <= limit:
                raise UsageError(f"--{name} {value} is out of range; expected 1 to {limit}")
        output_folder(self.out)
        from maskdex_core.synthesis.assemble import assemble
        from maskdex_core.synthesis.build import build_shards, shard_path

        families = tuple(dict.fromkeys(self.families)) or tuple(FAMILIES)
        folder = self.out / "shards"
        shards = [shard_path(folder, *job) for job in object_jobs(families, self.objects)]
        with shard_progress(shards):
            whole, rest = divmod(self.objects, len(families))
            if whole:
                build_shards(folder, range(whole), families, self.workers)
            if rest:
                build_shards(folder, [whole], families[:rest], self.workers)
        count = assemble(shards, self.out)
        say(f"{count} grasps on {len(shards)} objects in {self.out}")
        return 0


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


def object_jobs(families: Sequence[str], count: int) -> list[tuple[str, int]]:
    """Return `count` (family, seed) pairs, the families in turn."""
    return [(families[index % len(families)], index // len(families)) for index in range(count)]


@contextmanager
def shard_progress(shards: Sequence[Path]) -> Iterator[None]:
    """Show how many shards exist while the block makes them; worker processes log nothing here."""
    from tqdm import tqdm

    log_to_stderr()
    done = threading.Event()

    def watch(bar: tqdm) -> None:
        while True:
            ended = done.wait(LOOK_EVERY)
            bar.update(sum(shard.exists() for shard in shards) - bar.n)
            if ended:
                return

    with tqdm(total=len(shards), desc="objects", mininterval=LOOK_EVERY) as bar:
        watcher = threading.Thread(target=watch, args=(bar,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
