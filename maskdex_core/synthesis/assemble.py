"""Shards → one dataset: tasks and texts by contact, splits by object and by family, duplicates left out."""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.data.files import write_checksums, write_dataset
from maskdex_core.data.tasks import GraspFacts, TaskBook, load_tasks
from maskdex_core.data.view_rendering import render_views
from maskdex_core.data.views import VIEWS as VIEWS_FILE
from maskdex_core.data.views import pack_views, write_views
from maskdex_core.errors import DatasetError
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.diversity import duplicates
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.synthesis.dataset_card import dataset_card
from maskdex_core.synthesis.jobs import PROCEDURAL, SynthesisJob
from maskdex_core.synthesis.made_grasp import MadeGrasp
from maskdex_core.synthesis.measure import GraspMeasures
from maskdex_core.synthesis.shards import Shard, read_shard

UNSEEN_FAMILIES = ("jug", "torch", "figure", "scissors", "headphones")  # categories nobody trains on
UNSEEN_EVERY = 6  # of the others every sixth object is an unseen instance
TEXTS = 5
SURFACE_POINTS = 1024
VIEWS = 6  # kept of objects that cannot be built again
DEEPEST = 2.0  # mm, in convex parts and in the mesh


@dataclass
class Effort:
    """What a build took: core-seconds and grasps by object family and by grasp type, candidates in all."""

    seconds: float = 0.0
    tried: int = 0
    by_family: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0]))
    by_type: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def add(self, build: dict[str, Any]) -> None:
        """Count one shard."""
        self.seconds += build["core_seconds"]
        self.tried += build["tried"]
        self.by_family[build["family"]][0] += build["core_seconds"]
        self.by_family[build["family"]][1] += build["valid"]
        for label, (valid, tried) in build["by_type"].items():
            counts = self.by_type[label.split("/")[0]]
            counts[0], counts[1] = counts[0] + valid, counts[1] + tried


def assemble(folder: Path, shards: Path, jobs: Iterable[SynthesisJob]) -> int:
    """Write the dataset of all valid grasps of some jobs; return how many there are.

    Args:
        folder: of the dataset. shards: where the shards are. jobs: those to take; each must have its shard.

    Raises:
        DatasetError: when a shard cannot be read, an object is another one than its grasps were made for, or
            the dataset cannot be written.
    """
    book, hand, effort = load_tasks(), HandModel.load("shadow"), Effort()
    rows: list[dict[str, Any]] = []
    objects: dict[str, dict[str, Any]] = {}
    views: dict[str, np.ndarray] = {}
    by_object: dict[tuple[str, str, Path | None], list[tuple[SynthesisJob, Shard]]] = defaultdict(list)
    for job in jobs:
        shard = read_shard(shards / job.shard)
        effort.add(shard.build)
        by_object[(job.source, shard.build["object"], job.meshes)].append((job, shard))
    for (source, name, _), made in sorted(by_object.items(), key=lambda item: item[0][:2]):
        target = made[0][0].load()
        _check_parts(target, [shard for _, shard in made])
        grasps = [pair for _, shard in made for pair in zip(shard.grasps, shard.measures, strict=True)]
        own = zlib.crc32(name.encode())  # whatever else is in the set, an object keeps its split and its words
        split = split_of(target.family, made[0][0].seed if source == PROCEDURAL else own)
        rng = np.random.default_rng(own)
        found = [_row(book, target, source, split, *pair, rng) for pair in _kept(grasps)]
        found = [row for row in found if row["tasks"]]  # held by one digit and the palm: no task asks for that
        if not found:
            continue
        rows += found
        objects[name] = _object_facts(target, source, made[0])
        if source != PROCEDURAL:
            views[name] = pack_views(render_views(target, VIEWS))
    info = {
        "hand": "shadow", "joint_names": list(hand.joint_names), "grasps": len(rows), "objects": len(objects),
        "simulated": effort.tried, "core_hours": round(effort.seconds / 3600, 3), "version": _version(rows),
    }  # fmt: skip
    write_dataset(folder, rows, objects, info | {"card": dataset_card(info, rows, objects, effort)})
    if views or (folder / VIEWS_FILE).exists():  # those of a set that was there before must not stay
        write_views(folder, views)
        write_checksums(folder)
    return len(rows)


def split_of(family: str, number: int) -> str:
    """Return the split of an object of a family: train, unseen_instance or unseen_category."""
    if family in UNSEEN_FAMILIES:
        return "unseen_category"
    return "unseen_instance" if number % UNSEEN_EVERY == UNSEEN_EVERY - 1 else "train"


def _check_parts(target: TargetObject, shards: Iterable[Shard]) -> None:
    """Refuse grasps that were made on other convex parts: most of them would not hold on these."""
    parts = getattr(target, "fingerprint", "")
    for shard in shards:
        if shard.build["fingerprint"] != parts:
            raise DatasetError(
                f"{target.name}: its convex parts are not those that its grasps were made on"
                f" ({parts[:8]}, expected {shard.build['fingerprint'][:8]}); remove its shard and build again"
            )


def _kept(grasps: list[tuple[MadeGrasp, GraspMeasures]]) -> list[tuple[MadeGrasp, GraspMeasures]]:
    """Leave out what sits too deep by the exact measure, and near-duplicates but one."""
    shallow = [pair for pair in grasps if max(pair[1].pen_mm, pair[1].pen_mesh_mm) <= DEEPEST]
    kept: list[tuple[MadeGrasp, GraspMeasures]] = []
    while shallow:
        joints, rotation, translation = (
            np.stack([getattr(grasp, name) for grasp, _ in shallow])
            for name in ("joints", "palm_rotation", "palm_translation")
        )
        same = duplicates(joints, rotation, translation, np.zeros(len(shallow)))
        if not same.any():
            return kept + shallow
        shallow.pop(int(np.flatnonzero(same)[0]))
    return kept


def _row(
    book: TaskBook, target: TargetObject, source: str, split: str, grasp: MadeGrasp,
    measures: GraspMeasures, rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    facts = grasp_facts(target.family, target.bounds, grasp, measures)
    tasks = book.satisfied(facts)
    return {
        "object": target.name, "family": target.family, "source": source, "split": split,
        "grasp_type": grasp.grasp_type, "closing": grasp.closing,
        "tasks": list(tasks), "texts": book.write(facts, tasks, TEXTS, rng),
        "joints": grasp.joints, "pregrasp": grasp.pregrasp, "squeeze": grasp.squeeze,
        "palm_translation": grasp.palm_translation, "palm_rotation": grasp.palm_rotation.ravel(),
        "contact_parts": list(grasp.contact_parts), "contact_links": list(grasp.contact_links),
        "fc6": 1.0, "fc1": 1.0, "fc6_hard": float(grasp.fc6_hard), "fc6_margin": grasp.fc6_margin,
        "pen_mm": measures.pen_mm, "pen_mesh_mm": measures.pen_mesh_mm, "clearance_mm": measures.clearance_mm,
        "q1": measures.q1, "posture": measures.posture,
    }  # fmt: skip


def grasp_facts(family: str, bounds: np.ndarray, grasp: MadeGrasp, measures: GraspMeasures) -> GraspFacts:
    """Return what tasks are decided by, for a grasp on an object with bounds (2, 3) m that rests on z = 0."""
    contact, toward_palm = measures.contact_center, measures.palm_center - measures.contact_center
    height = float((contact[2] - bounds[0, 2]) / max(bounds[1, 2] - bounds[0, 2], 1e-3))
    elevation = float(np.degrees(np.arctan2(toward_palm[2], np.linalg.norm(toward_palm[:2]))))
    return GraspFacts(family, grasp.contact_links, grasp.contact_parts, height, elevation)


def _object_facts(target: TargetObject, source: str, made: tuple[SynthesisJob, Shard]) -> dict[str, Any]:
    job, shard = made
    points, normals, parts = target.sample_surface(SURFACE_POINTS)
    facts: dict[str, Any] = {
        "points": points, "normals": normals, "part_ids": parts, "family": target.family, "source": source,
        "part_names": list(target.part_names),
    }  # fmt: skip
    if source == PROCEDURAL:
        return facts | {"seed": job.seed}
    return facts | {"fingerprint": shard.build["fingerprint"], "licence": job.licence}


def _version(rows: list[dict[str, Any]]) -> str:
    """Return a name that changes whenever a grasp does."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row["object"].encode() + np.asarray(row["joints"], np.float32).tobytes())
    return f"shadow-{digest.hexdigest()[:8]}"
