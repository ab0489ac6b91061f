"""Shards → one dataset: tasks and texts by contact, splits by object and by family."""

from __future__ import annotations

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
HARDWARE_NOTE = "Shadow hand, right; FC6 as in maskdex_core/physics/hold_test.py"


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
        "simulated": int(tried), "core_hours": round(seconds / 3600, 3), "protocol": HARDWARE_NOTE,
    }  # fmt: skip
    write_dataset(folder, rows, objects, info)
    return len(rows)


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
