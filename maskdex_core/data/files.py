"""The dataset folder: grasps.parquet, objects.safetensors, objects.json, card.md, and their checksums."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.data.columns import Table, check_table, read_table, rows_to_columns, write_table
from maskdex_core.data.surfaces import read_surfaces, write_surfaces
from maskdex_core.errors import DatasetError

FORMAT = "maskdex-grasps"
SCHEMA_VERSION = 2
GRASPS, SURFACES, OBJECTS, CARD = "grasps.parquet", "objects.safetensors", "objects.json", "card.md"
CHECKSUMS = "checksums.sha256"  # as sha256sum writes and checks them
UNFINISHED = ".unfinished"


def write_dataset(
    folder: str | Path,
    grasps: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
    objects: Mapping[str, Mapping[str, Any]],
    info: Mapping[str, Any],
) -> None:
    """Write a dataset folder.

    Args:
        folder: made if need be; files of a dataset in it are replaced.
        grasps: rows (one mapping a grasp) or columns. Poses are palm→object in the mesh's own frame,
            `palm_rotation` row-major (9) or (3, 3), metres and radians. Columns `object`, `texts`,
            `joints`, `palm_translation` and `palm_rotation` are required; others have blanks, and
            `pregrasp` and `squeeze` default to `joints`.
        objects: name → {"points" (P, 3) m, "normals" (P, 3), "part_ids" (P,)} and any further facts
            that JSON can carry (family, licence, part_names).
        info: facts of the whole set. `joint_names` is required; `hand`, `card` (markdown) and `version`
            are used when there.

    Raises:
        DatasetError: when a column is unknown or missing, a shape is wrong, an object is unknown, or the
            disk is full; the dataset that was there is then left as it was.
    """
    table = rows_to_columns(grasps)
    joint_names = [str(name) for name in info.get("joint_names", ())]
    if not joint_names:
        raise DatasetError("dataset info lacks joint_names")
    table = check_table(table, len(joint_names), objects, "dataset to write")
    folder = Path(folder)
    unfinished = folder / UNFINISHED
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        _write_files(unfinished, table, objects, joint_names, info)
        for path in sorted(unfinished.iterdir()):
            path.replace(folder / path.name)
        write_checksums(folder)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_checksums(folder: Path) -> None:
    """Write the sha256 of every file of a dataset folder; called again when a file is added."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def read_files(folder: Path) -> tuple[Table, dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """Read a dataset folder into columns, surfaces by object, and the content of objects.json.

    Raises:
        DatasetError: when a file is missing or corrupt, or the schema version is another.
    """
    for name in (OBJECTS, GRASPS, SURFACES):
        if not (folder / name).is_file():
            raise DatasetError(f"dataset {str(folder)!r} lacks {name}")
    content = _read_json(folder)
    table, surfaces = read_table(folder / GRASPS), read_surfaces(folder / SURFACES)
    _verify(folder)
    return check_table(table, len(content["info"]["joint_names"]), surfaces, str(folder)), surfaces, content


def _write_files(
    folder: Path, table: Table, objects: Mapping[str, Mapping[str, Any]], joint_names: Sequence[str],
    info: Mapping[str, Any],
) -> None:  # fmt: skip
    write_table(folder / GRASPS, table)
    facts = write_surfaces(folder / SURFACES, objects)
    content = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "info": {key: value for key, value in info.items() if key != "card"} | {"joint_names": list(joint_names)},
        "objects": facts,
    }
    (folder / OBJECTS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    card = str(info.get("card") or f"# Grasps\n\n{len(table['object'])} grasps on {len(facts)} objects.\n")
    (folder / CARD).write_text(card, encoding="utf-8")


def _verify(folder: Path) -> None:
    """Compare the files with their checksums."""
    path = folder / CHECKSUMS
    if not path.is_file():
        raise DatasetError(f"dataset {str(folder)!r} lacks {CHECKSUMS}")
    for line in path.read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        if not (folder / name).is_file():
            raise DatasetError(f"dataset {str(folder)!r} lacks {name}, which {CHECKSUMS} names")
        if _sha256(folder / name) != expected:
            raise DatasetError(f"{folder / name}: differs from {CHECKSUMS}; the file is damaged or was changed")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_json(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / OBJECTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder / OBJECTS}: not valid JSON") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DatasetError(f"{folder / OBJECTS}: not a {FORMAT} dataset")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DatasetError(f"dataset {str(folder)!r} has schema version {version}, this program reads {SCHEMA_VERSION}")
    if not content.get("info", {}).get("joint_names"):
        raise DatasetError(f"{folder / OBJECTS}: lacks info.joint_names")
    return content
