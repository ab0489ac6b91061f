"""The columns of grasps.parquet: which there are, what shape they have, how they are written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.errors import DatasetError, unknown_choice

TEXT_COLUMNS: dict[str, str] = {
    "object": "",
    "family": "",
    "source": "",
    "split": "train",
    "grasp_type": "",
    "closing": "",
}
LIST_COLUMNS = ("tasks", "texts", "contact_parts", "contact_links")
JOINT_COLUMNS = ("joints", "pregrasp", "squeeze")
POSE_COLUMNS = {"palm_translation": 3, "palm_rotation": 9}
NUMBER_COLUMNS = (
    "fc6", "fc1", "fc6_hard", "fc6_margin", "pen_mm", "pen_mesh_mm", "clearance_mm", "q1", "posture",
)  # fmt: skip
REQUIRED = ("object", "texts", "joints", "palm_translation", "palm_rotation")
COLUMNS = (*TEXT_COLUMNS, *LIST_COLUMNS, *JOINT_COLUMNS, *POSE_COLUMNS, *NUMBER_COLUMNS)
# Numbers are rounded to a power of two, far below what a hand can do: 0.004°, 8 µm, 0.002°, and a thousandth.
# The bits that this leaves zero compress away.
STEPS = {
    **dict.fromkeys(JOINT_COLUMNS, 2.0**-14),
    "palm_translation": 2.0**-17,
    "palm_rotation": 2.0**-15,
    **dict.fromkeys(NUMBER_COLUMNS, 2.0**-10),
}

Table = dict[str, list[Any]]


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


def rows_to_columns(grasps: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return rows (one mapping a grasp) as columns; columns are returned as they are.

    Raises:
        DatasetError: when rows have different columns.
    """
    if isinstance(grasps, Mapping):
        return dict(grasps)
    keys = set(grasps[0]) if grasps else set()
    for row, grasp in enumerate(grasps):
        if set(grasp) != keys:
            raise DatasetError(f"grasp {row} has other columns than grasp 0: {sorted(set(grasp) ^ keys)}")
    return {key: [grasp[key] for grasp in grasps] for key in keys}


def write_table(path: Path, table: Table) -> None:
    """Write columns that `check_table` has passed as parquet."""
    import pyarrow
    import pyarrow.parquet

    kinds: dict[str, pyarrow.DataType] = dict.fromkeys(TEXT_COLUMNS, pyarrow.string())
    kinds |= dict.fromkeys(LIST_COLUMNS, pyarrow.list_(pyarrow.string()))
    kinds |= dict.fromkeys((*JOINT_COLUMNS, *POSE_COLUMNS), pyarrow.list_(pyarrow.float32()))
    kinds |= dict.fromkeys(NUMBER_COLUMNS, pyarrow.float32())
    arrays = {column: pyarrow.array(_plain(column, table[column]), type=kinds[column]) for column in COLUMNS}
    floats = [f"{column}.list.element" for column in (*JOINT_COLUMNS, *POSE_COLUMNS)] + list(NUMBER_COLUMNS)
    words = [*TEXT_COLUMNS, *(f"{column}.list.element" for column in LIST_COLUMNS)]
    options: dict[str, Any] = {"use_dictionary": words, "use_byte_stream_split": floats}
    pyarrow.parquet.write_table(pyarrow.table(arrays), path, compression="zstd", compression_level=15, **options)


def read_table(path: Path) -> dict[str, list[Any]]:
    """Read columns as they are in the file.

    Raises:
        DatasetError: when it is no readable parquet file.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: not a readable parquet file") from error


def _plain(column: str, values: Sequence[Any]) -> list[Any]:
    if column in LIST_COLUMNS:
        return [[str(item) for item in row] for row in values]
    if column in TEXT_COLUMNS:
        return [str(value) for value in values]
    step = STEPS[column]
    rounded = np.round(np.asarray(values, np.float64) / step) * step
    return list(rounded.astype(np.float32))
