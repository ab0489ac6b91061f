"""`maskdex data build`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from maskdex_core.cli.common import Command, log_to_stderr, output_folder, say
from maskdex_core.errors import UsageError, unknown_choice

if TYPE_CHECKING:
    from maskdex_core.synthesis.executors import Executor
    from maskdex_core.synthesis.jobs import SynthesisJob

MAX_WORKERS = 1024
MAX_OBJECTS = 100_000
MAX_ROUNDS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build(Command):
    """Make physics-checked grasps on procedural objects and meshes; a killed build goes on where it stopped."""

    out: Annotated[Path, arg(metavar="DIR")]
    """Folder of the dataset; one shard an object is kept in DIR/shards."""
    objects: int = 80
    """Number of procedural objects, the families in turn; 0 for none."""
    families: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ()
    """Procedural families; all by default."""
    meshes: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder with an index.json of real meshes, annotated in config/object_parts.yaml."""
    rounds: int = 1
    """Searches for grasps on each mesh, every one with another seed."""
    workers: int = 1
    """Processes of this machine."""
    ray: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Work on this Ray cluster instead ("auto" finds a running one)."""

    def run(self) -> int:
        """Build the missing shards, then the dataset of all asked for."""
        self._check()
        jobs, execute = self._jobs(), self._executor()
        output_folder(self.out)
        log_to_stderr()
        from tqdm import tqdm

        from maskdex_core.synthesis.assemble import assemble
        from maskdex_core.synthesis.build import build_shards

        with tqdm(total=len(jobs), desc="objects", smoothing=0.05) as bar:
            build_shards(self.out / "shards", jobs, execute, on_shard=bar.update)
        count = assemble(self.out, self.out / "shards", jobs)
        say(f"{count} grasps from {len(jobs)} shards in {self.out}")
        return 0

    def _check(self) -> None:
        from maskdex_core.objects.procedural import FAMILIES

        for family in self.families:
            if family not in FAMILIES:
                raise UsageError(f"--families: {unknown_choice('object family', family, FAMILIES)}")
        fewest = 0 if self.meshes else 1
        for name, value, least, most in (
            ("objects", self.objects, fewest, MAX_OBJECTS), ("rounds", self.rounds, 1, MAX_ROUNDS),
            ("workers", self.workers, 1, MAX_WORKERS),
        ):  # fmt: skip
            if not least <= value <= most:
                raise UsageError(f"--{name} {value} is out of range; expected {least} to {most}")

    def _jobs(self) -> list[SynthesisJob]:
        from maskdex_core.synthesis.jobs import mesh_jobs, procedural_jobs

        jobs = procedural_jobs(self.objects, tuple(dict.fromkeys(self.families)))
        return jobs + (mesh_jobs(self.meshes.absolute(), self.rounds) if self.meshes else [])

    def _executor(self) -> Executor:
        from maskdex_core.synthesis.executors import on_ray, on_this_machine

        return on_ray(self.ray) if self.ray is not None else on_this_machine(self.workers)
