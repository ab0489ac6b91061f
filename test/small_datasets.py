"""Dataset folders of a few grasps, made up or on procedural objects: enough for machinery, without any meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from grasp_model_support import shadow

from maskdex_core.data.files import write_dataset
from maskdex_core.grasp.rotation import matrix_from_6d
from maskdex_core.objects.procedural import make_object


def write_ellipsoids(folder: Path, objects: int = 4, each: int = 6, texts: int = 2, seed: int = 0) -> Path:
    """`objects` ellipsoids, egg 0 the smallest, with `each` grasps; grasp g has the text "way g % texts"."""
    hand, rng = shadow(), np.random.default_rng(seed)
    surfaces, rows = {}, []
    for index in range(objects):
        normals = rng.normal(size=(512, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        radii = np.array([0.02, 0.035, 0.05]) + 0.01 * index
        facts = {"family": "egg", "part_names": ["body"], "part_ids": np.zeros(512, int)}
        surfaces[f"egg_{index}"] = {"points": normals * radii + [0.0, 0.0, 0.1], "normals": normals, **facts}
        for grasp in range(each):
            rows.append(_row(hand, f"egg_{index}", "train", f"way {grasp % texts}", rng))
    rows += [_row(hand, "egg_0", "unseen_instance", "way 0", rng) for _ in range(2)]
    write_dataset(folder, rows, surfaces, {"joint_names": hand.joint_names, "hand": "shadow"})
    return folder


def write_cans(folder: Path, grasps: int = 12, family: str = "can") -> Path:
    """One can (or another family) to train on and one unseen, which can be built again for tests in simulation."""
    hand, rng, surfaces, rows = shadow(), np.random.default_rng(0), {}, []
    for seed, split in ((0, "train"), (1, "unseen_instance")):
        name, shape = f"{family}_{seed:03d}", make_object(family, seed)
        points, normals, parts = shape.sample_surface(256)
        facts = {"family": family, "seed": seed, "part_names": list(shape.part_names)}
        surfaces[name] = {"points": points, "normals": normals, "part_ids": parts, **facts}
        rows += [_row(hand, name, split, "lift the can", rng) for _ in range(grasps if split == "train" else 2)]
    write_dataset(folder, rows, surfaces, {"joint_names": hand.joint_names, "hand": "shadow"})
    return folder


def write_splits(folder: Path, splits: dict[str, str], seeds: dict[str, int] | None = None) -> Path:
    """One grasp of no hand on each object, in its split; those with a seed are cans that can be built again."""
    surface = {"points": np.ones((9, 3)), "normals": np.ones((9, 3)), "part_ids": np.zeros(9, int)}
    rows = [
        {"object": name, "split": split, "tasks": ["lift"], "texts": ["lift it"], "joints": np.zeros(2),
         "squeeze": np.zeros(2), "palm_translation": np.zeros(3), "palm_rotation": np.eye(3)}
        for name, split in splits.items()
    ]  # fmt: skip
    facts = {name: {"family": "can", "part_names": ["body"]} for name in splits}
    for name, seed in (seeds or {}).items():
        facts[name]["seed"] = seed
    surfaces = {name: {**surface, **facts[name]} for name in splits}
    write_dataset(folder, rows, surfaces, {"joint_names": ("a", "b"), "hand": "shadow"})
    return folder


def _row(hand, name: str, split: str, text: str, rng: np.random.Generator) -> dict:
    lower, upper = hand.lower.numpy(), hand.upper.numpy()
    joints = lower + rng.uniform(size=len(lower)) * (upper - lower)
    rotation = matrix_from_6d(torch.tensor(rng.normal(size=6))).numpy()
    return {
        "object": name, "split": split, "tasks": ["lift"], "texts": [text], "joints": joints, "squeeze": joints,
        "palm_translation": rng.uniform(0.05, 0.15, 3), "palm_rotation": rotation,
    }  # fmt: skip
