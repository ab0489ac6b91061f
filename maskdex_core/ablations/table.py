"""Rows of a run as markdown: a table for each group, the reference in all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskdex_core.ablations.run import ROWS
from maskdex_core.ablations.variants import REFERENCE
from maskdex_core.errors import DatasetError

SHARES = {
    "raw": "raw", "refined": "refined", "top1": "top-1", "best_of_k": "best of K", "top1_fc6_hard": "top-1, hard",
    "part_agreement": "part agreement",
}  # fmt: skip
NUMBERS = {"top1_pen_mesh_mm": "top-1 depth, mm", "hmean": "Hmean", "auroc": "AUROC", "seconds": "s"}


def read_rows(out: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows that are there, in the order of the names.

    Raises:
        DatasetError: when there is none, or one is damaged.
    """
    paths = [path for name in names if (path := out / ROWS / f"{name}.json").is_file()]
    if not paths:
        raise DatasetError(f"{out / ROWS} holds no row of {', '.join(names)}")
    try:
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    except ValueError as error:
        raise DatasetError(f"{out / ROWS} holds a row that is no JSON ({error})") from error


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables: shares of grasps in per cent, top-1 with its interval, other numbers as they are."""
    lines: list[str] = []
    for group in dict.fromkeys(row["group"] for row in rows):
        lines += ["", f"## {group}", "", f"| | {' | '.join((*SHARES.values(), *NUMBERS.values()))} |"]
        lines.append("|---" * (1 + len(SHARES) + len(NUMBERS)) + "|")
        lines += [_line(row) for row in rows if row["group"] == group or row["variant"] == REFERENCE]
    protocol, objects = rows[0]["protocol"], rows[0]["table"]["top1"]["objects"]
    told = ", ".join(f"{name} {value}" for name, value in protocol.items())
    return "\n".join((f"FC6 in %, {objects} objects; {told}.", *lines))


def _line(row: Mapping[str, Any]) -> str:
    table = row["table"]
    shares = [_share(table.get(name), with_interval=name == "top1") for name in SHARES]
    return f"| {row['variant']} | {' | '.join((*shares, *(_number(table.get(name)) for name in NUMBERS)))} |"


def _share(rate: Mapping[str, float] | None, with_interval: bool) -> str:
    if rate is None:
        return "-"
    interval = f" [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]" if with_interval else ""
    return f"{100 * rate['mean']:.0f}{interval}"


def _number(value: float | Mapping[str, float] | None) -> str:
    mean = value["mean"] if isinstance(value, Mapping) else value
    return "-" if mean is None else f"{mean:.2f}"
