"""Shards → one dataset: tasks and texts by contact, splits by object and by family."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from maskdex_core.data.files import write_dataset
from maskdex_core.data.procedural import ObjectModel, make_object
from maskdex_core.data.tasks import GraspFacts, TaskBook, load_tasks
from maskdex_core.hands.model import HandModel
from maskdex_core.synthesis.build import read_shard
from maskdex_core.synthesis.synthesize import MadeGrasp

UNSEEN_FAMILIES = ("jug", "torch")  # a category nobody trains on
UNSEEN_EVERY = 6  # of the other families every sixth object is an unseen instance
TEXTS = 5
SURFACE_POINTS = 2048
PROTOCOL = "FC6 as in maskdex_core/physics/hold_test.py"


def assemble(shards: Iterable[Path], folder: Path) -> int:
    """Write the dataset of all valid grasps; return how many there are.

    Raises:
        DatasetError: when a shard cannot be read.
    """
    book, hand = load_tasks(), HandModel.load("shadow")
    rows: list[dict] = []
    objects: dict[str, dict] = {}
    seconds = tried = 0.0
    for path in sorted(shards):
        build, grasps = read_shard(path)
        seconds, tried = seconds + build["core_seconds"], tried + build["tried"]
        if not grasps:
            continue
        target = make_object(build["family"], build["seed"])
        points, normals, parts = target.sample_surface(SURFACE_POINTS)
        objects[target.name] = {
            "points": points, "normals": normals, "part_ids": parts,
            "family": target.family, "seed": build["seed"], "part_names": list(target.part_names),
        }  # fmt: skip
        rng = np.random.default_rng(len(rows))
        made = [_row(book, target, grasp, build["seed"], rng) for grasp in grasps]
        rows += [row for row in made if row["tasks"]]  # held by one digit and the palm: no task asks for that
    info = {
        "hand": "shadow", "joint_names": list(hand.joint_names), "grasps": len(rows), "objects": len(objects),
        "simulated": int(tried), "core_hours": round(seconds / 3600, 3), "protocol": PROTOCOL,
    }  # fmt: skip
    info["version"] = _version(rows)
    write_dataset(folder, rows, objects, info | {"card": _card(info, rows)})
    return len(rows)


def _version(rows: list[dict]) -> str:
    """Return a name that changes whenever a grasp does."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row["object"].encode() + np.asarray(row["joints"], np.float32).tobytes())
    return f"procedural-{digest.hexdigest()[:8]}"


def _card(info: dict, rows: list[dict]) -> str:
    """Return the dataset's card: what it is, how it was made, what is in it."""
    splits = Counter(row["split"] for row in rows)
    tasks = Counter(task for row in rows for task in row["tasks"])
    families = Counter(row["family"] for row in rows)
    rate = info["grasps"] / max(info["core_hours"], 1e-9)
    tables = [
        "\n".join(["", f"| {name} | grasps |", "|---|---|", *(f"| {key} | {n} |" for key, n in counts.most_common())])
        for name, counts in (("split", splits), ("task", tasks), ("family", families))
    ]
    return "\n".join([
        "# Grasps of the right Shadow hand on procedural objects",
        "",
        f"Version `{info['version']}`: {info['grasps']} grasps on {info['objects']} objects,"
        f" {sum(len(row['texts']) for row in rows)} texts.",
        f"Every grasp passed {info['protocol']} (0.1 kg, friction 0.6, six directions, 1 N each).",
        f"Made by `maskdex data build`: {info['simulated']} candidates simulated, {info['core_hours']} core-hours,",
        f"{rate:.0f} valid grasps a core-hour. All objects, parts, tasks and texts are this project's own.",
        "Tasks are given by contact: `config/tasks.yaml`. Every hand stays above the table its object rests on.",
        "Not measured: q1, posture, FC1 beyond FC6 (a grasp that passed FC6 passed FC1).",
        *tables,
        "",
    ])  # fmt: skip


def split_of(family: str, seed: int) -> str:
    """Return the split of an object: train, unseen_instance or unseen_category."""
    if family in UNSEEN_FAMILIES:
        return "unseen_category"
    return "unseen_instance" if seed % UNSEEN_EVERY == UNSEEN_EVERY - 1 else "train"


def _row(book: TaskBook, target: ObjectModel, grasp: MadeGrasp, seed: int, rng: np.random.Generator) -> dict:
    low, high = target.bounds[:, 2]
    heights = _heights(grasp, low, high)
    facts = GraspFacts(target.family, grasp.contact_links, grasp.contact_parts, *heights)
    tasks = book.satisfied(facts)
    return {
        "object": target.name, "family": target.family, "source": "procedural",
        "split": split_of(target.family, seed), "tasks": list(tasks),
        "texts": book.write(facts, tasks, TEXTS, rng),
        "joints": grasp.joints, "pregrasp": grasp.pregrasp, "squeeze": grasp.squeeze,
        "palm_translation": grasp.palm_translation, "palm_rotation": grasp.palm_rotation.ravel(),
        "contact_parts": list(grasp.contact_parts), "contact_links": list(grasp.contact_links),
        "fc6": 1.0, "fc1": 1.0, "pen_mm": grasp.pen_mm,
    }  # fmt: skip


def _heights(grasp: MadeGrasp, low: float, high: float) -> tuple[float, float]:
    """Return the heights of the palm's middle and of the fingertips' side as shares of the object's."""
    palm = grasp.palm_rotation @ np.array([0.0, 0.0, 0.05]) + grasp.palm_translation
    reach = grasp.palm_rotation @ np.array([0.0, -0.06, 0.11]) + grasp.palm_translation
    span = max(high - low, 1e-3)
    return float((palm[2] - low) / span), float((reach[2] - low) / span)
