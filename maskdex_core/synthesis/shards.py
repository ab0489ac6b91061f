"""Shards: the grasps of one job as a JSON file, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.errors import DatasetError
from maskdex_core.synthesis.made_grasp import MadeGrasp
from maskdex_core.synthesis.measure import GraspMeasures


@dataclass(frozen=True)
class Shard:
    """The outcome of one job.

    Attributes:
        build: what was done: source, name, seed, object, fingerprint, tried, valid, core_seconds, by_type.
        grasps: those that hold. measures: of each of them.
    """

    build: dict[str, Any]
    grasps: list[MadeGrasp]
    measures: list[GraspMeasures]

    def to_json(self) -> str:
        """Return the shard as text."""
        rows = [
            {"grasp": _plain(grasp), "measures": _plain(measured)}
            for grasp, measured in zip(self.grasps, self.measures, strict=True)
        ]
        return json.dumps({"build": self.build, "grasps": rows})


def write_shard(path: Path, text: str) -> None:
    """Write a shard so that a kill or a full disk leaves the old state.

    Raises:
        DatasetError: when it cannot be written.
    """
    temporary = path.with_suffix(".part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DatasetError(f"{path}: cannot be written ({error.strerror}); finished shards are kept") from error


def read_shard(path: Path) -> Shard:
    """Read a shard.

    Raises:
        DatasetError: when the file is not a shard.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = data["grasps"]
        grasps = [MadeGrasp(**_arrays(row["grasp"])) for row in rows]
        return Shard(data["build"], grasps, [GraspMeasures(**_arrays(row["measures"])) for row in rows])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: not a grasp shard ({error})") from error


def _plain(value: MadeGrasp | GraspMeasures) -> dict[str, Any]:
    return {k: np.round(v, 6).tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(value).items()}


def _arrays(row: dict[str, Any]) -> dict[str, Any]:
    """Return fields with number lists as arrays and word lists as tuples."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, list):
            words = not value or isinstance(value[0], str)
            found[key] = tuple(value) if words else np.asarray(value, np.float64)
        else:
            found[key] = value
    return found
