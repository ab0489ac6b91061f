"""Many objects in parallel, one shard an object; a killed build goes on where it stopped."""

from __future__ import annotations

import json
import logging
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from maskdex_core.data.procedural import FAMILIES, make_object
from maskdex_core.errors import DatasetError
from maskdex_core.hands.model import HandModel
from maskdex_core.synthesis.synthesize import MadeGrasp, SynthesisConfig, synthesize

log = logging.getLogger(__name__)


def build_shards(
    folder: Path, seeds: Sequence[int], families: Sequence[str] | None = None, workers: int = 1,
    config: SynthesisConfig | None = None,
) -> list[Path]:  # fmt: skip
    """Make one shard for each family and seed that has none yet; return all shards.

    Raises:
        DatasetError: when the folder cannot be written.
    """
    config = config or SynthesisConfig()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror})") from error
    wanted = [(family, seed) for seed in seeds for family in (families or FAMILIES)]
    jobs = [(folder, family, seed, config) for family, seed in wanted if not shard_path(folder, family, seed).exists()]
    log.info("%d of %d objects to do", len(jobs), len(wanted))
    if workers == 1:
        for job in jobs:
            _work(job)
    else:
        with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=16) as pool:
            for _ in pool.imap_unordered(_work, jobs):
                pass
    return [shard_path(folder, *pair) for pair in wanted]


def shard_path(folder: Path, family: str, seed: int) -> Path:
    """Return where the grasps of one object are kept."""
    return folder / f"{family}_{seed:03d}.json"


def read_shard(path: Path) -> tuple[dict, list[MadeGrasp]]:
    """Return what is known of the object's build, and its grasps.

    Raises:
        DatasetError: when the file is not a shard.
    """
    try:
        data = json.loads(path.read_text())
        return data["build"], [_from_json(row) for row in data["grasps"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: not a grasp shard ({error})") from error


def _work(job: tuple[Path, str, int, SynthesisConfig]) -> None:
    import torch

    torch.set_num_threads(1)
    folder, family, seed, config = job
    hand, target = HandModel.load("shadow"), make_object(family, seed)
    begun, tried, grasps, by_type = time.process_time(), 0, [], {}
    for label, count, made in synthesize(hand, target, config, seed):
        tried += count
        grasps += made
        by_type[label] = [len(made), count]
    build = {
        "family": family, "seed": seed, "object": target.name, "tried": tried, "valid": len(grasps),
        "core_seconds": round(time.process_time() - begun, 2), "by_type": by_type,
    }  # fmt: skip
    path = shard_path(folder, family, seed)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({"build": build, "grasps": [_to_json(grasp) for grasp in grasps]}))
    temporary.replace(path)
    log.info("%s: %d valid of %d in %.0f s", target.name, len(grasps), tried, build["core_seconds"])


def _to_json(grasp: MadeGrasp) -> dict:
    return {k: np.round(v, 6).tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(grasp).items()}


def _from_json(row: dict) -> MadeGrasp:
    arrays = {k: np.asarray(v, np.float64) for k, v in row.items() if k.startswith(("joints", "pre", "squ", "palm"))}
    return MadeGrasp(**{**row, **arrays, "contact_links": tuple(row["contact_links"]),
                        "contact_parts": tuple(row["contact_parts"])})  # fmt: skip
