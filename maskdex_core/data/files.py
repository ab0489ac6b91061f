"""The dataset folder on disk: grasps.parquet, objects.safetensors, objects.json, card.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.errors import DatasetError, unknown_choice

FORMAT = "maskdex-grasps"
SCHEMA_VERSION = 1
GRASPS, SURFACES, OBJECTS, CARD = "grasps.parquet", "objects.safetensors", "objects.json", "card.md"
SURFACE_FIELDS = ("points", "normals", "part_ids")

TEXT_COLUMNS: dict[str, str] = {
    "object": "",
    "family": "",
    "source": "",
    "split": "train",
    "posture": "",
}
LIST_COLUMNS = ("tasks", "texts", "contact_parts", "contact_links")
JOINT_COLUMNS = ("joints", "pregrasp", "squeeze")
POSE_COLUMNS = {"palm_translation": 3, "palm_rotation": 9}
NUMBER_COLUMNS = ("fc6", "fc1", "pen_mm", "q1")
REQUIRED = ("object", "texts", "joints", "palm_translation", "palm_rotation")
COLUMNS = (*TEXT_COLUMNS, *LIST_COLUMNS, *JOINT_COLUMNS, *POSE_COLUMNS, *NUMBER_COLUMNS)

Table = dict[str, list[Any]]


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
        DatasetError: when a column is unknown or missing, a shape is wrong, or an object is unknown.
    """
    table = _columns(grasps)
    joint_names = [str(name) for name in info.get("joint_names", ())]
    if not joint_names:
        raise DatasetError("dataset info lacks joint_names")
    table = check_table(table, len(joint_names), objects, "dataset to write")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_parquet(folder / GRASPS, table)
    facts = _write_surfaces(folder / SURFACES, objects)
    content = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "info": {key: value for key, value in info.items() if key != "card"} | {"joint_names": joint_names},
        "objects": facts,
    }
    (folder / OBJECTS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    card = str(info.get("card") or f"# Grasps\n\n{len(table['object'])} grasps on {len(facts)} objects.\n")
    (folder / CARD).write_text(card, encoding="utf-8")


def read_files(folder: Path) -> tuple[Table, dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """Read a dataset folder into columns, surfaces by object, and the content of objects.json.

    Raises:
        DatasetError: when a file is missing or corrupt, or the schema version is another.
    """
    import pyarrow
    import pyarrow.parquet
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    for name in (OBJECTS, GRASPS, SURFACES):
        if not (folder / name).is_file():
            raise DatasetError(f"dataset {str(folder)!r} lacks {name}")
    content = _read_json(folder)
    try:
        table = pyarrow.parquet.read_table(folder / GRASPS).to_pydict()
        flat = load_file(folder / SURFACES)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{folder / GRASPS}: not a readable parquet file") from error
    except (SafetensorError, ValueError) as error:
        raise DatasetError(f"{folder / SURFACES}: not a readable safetensors file") from error
    surfaces: dict[str, dict[str, np.ndarray]] = {}
    for key, value in flat.items():
        name, _, field = key.rpartition("/")
        surfaces.setdefault(name, {})[field] = value
    return check_table(table, len(content["info"]["joint_names"]), surfaces, str(folder)), surfaces, content


def check_table(table: Mapping[str, Sequence[Any]], joints: int, objects: Mapping[str, Any], where: str) -> Table:
    """Fill absent columns and check names, lengths and shapes.

    Raises:
        DatasetError: naming the first thing that is wrong.
    """
    for column in table:
        if column not in COLUMNS:
            raise DatasetError(f"{where}: {unknown_choice('column', column, COLUMNS)}")
    for column in REQUIRED:
        if column not in table:
            raise DatasetError(f"{where}: column {column!r} is missing")
    rows = len(table["object"])
    full: Table = {column: list(table[column]) for column in table}
    for column, blank in TEXT_COLUMNS.items():
        full.setdefault(column, [blank] * rows)
    for column in LIST_COLUMNS:
        full.setdefault(column, [[] for _ in range(rows)])
    for column in ("pregrasp", "squeeze"):
        full.setdefault(column, list(full["joints"]))
    for column in NUMBER_COLUMNS:
        full.setdefault(column, [float("nan")] * rows)
    for column, values in full.items():
        if len(values) != rows:
            raise DatasetError(f"{where}: column {column!r} has {len(values)} rows, expected {rows}")
    sizes = {**dict.fromkeys(JOINT_COLUMNS, joints), **POSE_COLUMNS}
    for column, size in sizes.items():
        full[column] = _fixed(full[column], size, f"{where}: column {column!r}")
    for name in dict.fromkeys(full["object"]):
        if name not in objects:
            raise DatasetError(f"{where}: {unknown_choice('object', name, objects)}")
    return full


def _fixed(values: list[Any], size: int, where: str) -> list[Any]:
    try:
        array = np.asarray(values, dtype=np.float32).reshape(len(values), size)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{where}: every row needs {size} numbers") from error
    if not np.isfinite(array).all():
        raise DatasetError(f"{where}: contains NaN or infinity")
    return list(array)


def _columns(grasps: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    if isinstance(grasps, Mapping):
        return dict(grasps)
    keys = set(grasps[0]) if grasps else set()
    for row, grasp in enumerate(grasps):
        if set(grasp) != keys:
            raise DatasetError(f"grasp {row} has other columns than grasp 0: {sorted(set(grasp) ^ keys)}")
    return {key: [grasp[key] for grasp in grasps] for key in keys}


def _write_parquet(path: Path, table: Table) -> None:
    import pyarrow
    import pyarrow.parquet

    kinds: dict[str, pyarrow.DataType] = dict.fromkeys(TEXT_COLUMNS, pyarrow.string())
    kinds |= dict.fromkeys(LIST_COLUMNS, pyarrow.list_(pyarrow.string()))
    kinds |= dict.fromkeys((*JOINT_COLUMNS, *POSE_COLUMNS), pyarrow.list_(pyarrow.float32()))
    kinds |= dict.fromkeys(NUMBER_COLUMNS, pyarrow.float32())
    arrays = {}
    for column in COLUMNS:
        values = table[column]
        if column in LIST_COLUMNS:
            values = [[str(item) for item in row] for row in values]
        elif column in NUMBER_COLUMNS:
            values = [float(value) for value in values]
        elif column in TEXT_COLUMNS:
            values = [str(value) for value in values]
        arrays[column] = pyarrow.array(values, type=kinds[column])
    pyarrow.parquet.write_table(pyarrow.table(arrays), path, compression="zstd")


def _write_surfaces(path: Path, objects: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    from safetensors.numpy import save_file

    flat: dict[str, np.ndarray] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name, entry in objects.items():
        points = np.ascontiguousarray(entry["points"], dtype=np.float32)
        normals = np.ascontiguousarray(entry.get("normals", np.zeros_like(points)), dtype=np.float32)
        parts = np.ascontiguousarray(entry.get("part_ids", np.zeros(len(points))), dtype=np.int64)
        if points.ndim != 2 or points.shape[1:] != (3,) or normals.shape != points.shape or not len(points):
            raise DatasetError(f"object {name!r}: points {points.shape} and normals {normals.shape} need (P, 3)")
        if parts.shape != (len(points),):
            raise DatasetError(f"object {name!r}: part_ids {parts.shape} need ({len(points)},)")
        # Half precision is 0.1 mm at 20 cm; a set of hundreds of objects stays a few MB.
        flat |= {
            f"{name}/points": points.astype(np.float16),
            f"{name}/normals": normals.astype(np.float16),
            f"{name}/part_ids": parts.astype(np.uint8),
        }
        facts[name] = {key: value for key, value in entry.items() if key not in SURFACE_FIELDS}
    save_file(flat, path)
    return facts


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
