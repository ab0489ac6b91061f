"""The dataset's card: what it is, how it was made, what is in it, and what it cannot do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.synthesis.jobs import PROCEDURAL

if TYPE_CHECKING:
    from maskdex_core.synthesis.assemble import Effort

Rows = list[dict[str, Any]]


def dataset_card(info: Mapping[str, Any], rows: Rows, objects: Mapping[str, Mapping[str, Any]], effort: Effort) -> str:
    """Return the card as markdown."""
    real = [facts for facts in objects.values() if facts["source"] != PROCEDURAL]
    texts = sum(len(row["texts"]) for row in rows)
    return "\n".join([
        "# Grasps of the right Shadow hand on everyday objects",
        "",
        f"Version `{info['version']}`: {len(rows)} grasps with {texts} texts on {len(objects)} objects,"
        f" {len(objects) - len(real)} procedural ones of this project and {len(real)} real meshes.",
        "",
        "Every grasp passed FC6 (`maskdex_core/physics/hold_test.py`: 0.1 kg, friction 0.6, six directions, 1 N each;",
        "pre-grasp, grasp and squeeze are the ones stored) in its quick form, which agreed with the whole test in 400",
        "of 400 grasps. `fc6_hard` is the same test with half the sliding friction and a tenth of the torsional.",
        "A grasp on a real mesh holds for the convex parts whose fingerprint `objects.json` gives.",
        "",
        "Before physics a grasp passed these gates (`maskdex_core/synthesis/gates.py`): hand at most 2 mm deep in",
        "object and itself, 1 mm in the table; pre-grasp clear of the object, at most 2 mm in the table; no crossed",
        "fingers, none bent back, no knuckles on the object, posture score above 0.2. All contacts lie on the surface",
        "that is seen. Tasks are given by contact (`config/tasks.yaml`); near-duplicates are left out.",
        "",
        f"Made by `maskdex data build`: {info['simulated']} candidates simulated in {info['core_hours']} core-hours,",
        f"{_rate(len(rows), effort.seconds)} kept grasps a core-hour; by family below, by method in",
        "`docs/decisions.md` (closing in simulation made as many, and is not used).",
        "",
        _measures(rows),
        "",
        _counts("split", Counter(row["split"] for row in rows)),
        _counts("task", Counter(task for row in rows for task in row["tasks"])),
        _types(rows, effort),
        _families(rows, effort),
        _licences(real),
        "Limits: objects are rigid and weigh 0.1 kg in the test; hooks without the thumb are not made; tasks say where",
        "and how a hand holds, not that the motion that follows would succeed; texts come from templates.",
        "",
    ])  # fmt: skip


def _measures(rows: Rows) -> str:
    lines = ["| measure | p5 | median | p95 |", "|---|---|---|---|"]
    for name, label in (
        ("pen_mm", "Pen in the convex parts, mm"), ("pen_mesh_mm", "Pen in the mesh, mm"),
        ("clearance_mm", "clearance of the pre-grasp, mm"), ("q1", "Q1"), ("posture", "posture score"),
        ("fc6_margin", "FC6 margin"),
    ):  # fmt: skip
        values = np.array([row[name] for row in rows] or [np.nan], float)
        low, middle, high = np.nanpercentile(values, [5, 50, 95])
        lines.append(f"| {label} | {low:.2f} | {middle:.2f} | {high:.2f} |")
    hard = np.mean([row["fc6_hard"] for row in rows]) if rows else 0.0
    return "\n".join([*lines, "", f"FC6-hard: {hard:.1%} of the grasps."])


def _counts(name: str, counts: Counter[str]) -> str:
    return _table([name, "grasps"], [[key, n] for key, n in counts.most_common()])


def _types(rows: Rows, effort: Effort) -> str:
    kept = Counter(row["grasp_type"] for row in rows)
    return _table(
        ["grasp type", "grasps", "held of simulated"],
        [[name, kept[name], f"{valid / max(tried, 1):.0%}"] for name, (valid, tried) in sorted(effort.by_type.items())],
    )


def _families(rows: Rows, effort: Effort) -> str:
    kept = Counter(row["family"] for row in rows)
    return _table(
        ["family", "grasps", "valid a core-hour"],
        [[name, kept[name], _rate(valid, seconds)] for name, (seconds, valid) in sorted(effort.by_family.items())],
    )


def _licences(real: list[Mapping[str, Any]]) -> str:
    if not real:
        return ""
    counts = Counter((facts["source"], facts["licence"]) for facts in real)
    lines = [
        f"- {source}: points sampled from {n} meshes, licence {licence}"
        for (source, licence), n in sorted(counts.items())
    ]
    return "\n".join(["Real objects (no mesh is in this folder):", "", *lines, ""])


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""])


def _rate(grasps: float, seconds: float) -> int:
    return round(grasps / max(seconds, 1e-9) * 3600)
