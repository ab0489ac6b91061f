"""Many objects in parallel, one shard an object; a killed build goes on where it stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from maskdex_core.errors import DatasetError
from maskdex_core.hands.model import HandModel
from maskdex_core.synthesis.executors import Executor, on_this_machine
from maskdex_core.synthesis.jobs import SynthesisJob
from maskdex_core.synthesis.measure import measure
from maskdex_core.synthesis.shards import Shard, write_shard
from maskdex_core.synthesis.synthesize import SynthesisConfig, synthesize

log = logging.getLogger(__name__)


def build_shards(
    folder: Path, jobs: Sequence[SynthesisJob], execute: Executor | None = None,
    config: SynthesisConfig | None = None, on_shard: Callable[[], object] = lambda: None,
) -> list[Path]:  # fmt: skip
    """Do every job that has no shard yet; return the shards of all jobs.

    Workers return text and only this process writes: they need no common disk.

    Args:
        folder: of the shards. jobs: what to do.
        execute: how; in this process by default.
        config: effort on one object.
        on_shard: called for each job that is done, those done before among them.

    Raises:
        DatasetError: when the folder cannot be written, or an object is unknown.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror})") from error
    missing = [job for job in jobs if not (folder / job.shard).exists()]
    for _ in range(len(jobs) - len(missing)):
        on_shard()
    work = partial(make_shard, config=config or SynthesisConfig())
    for job, text in (execute or on_this_machine(1))(work, missing):
        write_shard(folder / job.shard, text)
        on_shard()
    return [folder / job.shard for job in jobs]


def make_shard(job: SynthesisJob, config: SynthesisConfig) -> tuple[SynthesisJob, str]:
    """Do one job, anywhere; return it with its shard's text."""
    import torch

    torch.set_num_threads(1)
    hand, target = HandModel.load("shadow"), job.load()
    begun, tried, grasps, by_type = time.process_time(), 0, [], {}
    for label, count, made in synthesize(hand, target, config, job.seed):
        tried += count
        grasps += made
        by_type[label] = [len(made), count]
    seconds = time.process_time() - begun
    build = {
        "source": job.source, "name": job.name, "seed": job.seed, "object": target.name, "family": target.family,
        "fingerprint": getattr(target, "fingerprint", ""), "tried": tried, "valid": len(grasps),
        "core_seconds": round(seconds, 2), "by_type": by_type,
    }  # fmt: skip
    log.info("%s: %d valid of %d in %.0f s", target.name, len(grasps), tried, seconds)
    return job, Shard(build, grasps, measure(hand, target, grasps)).to_json()
