"""Twelve stored Shadow grasps that passed FC6, one an object family, and the objects they hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from maskdex_core.data.files import write_dataset
from maskdex_core.hands import HandModel
from maskdex_core.objects.procedural import ObjectModel, make_object
from maskdex_core.refine.pose import HandPose

torch.set_num_threads(1)  # small batches on a busy machine: threads that wait for each other cost 20 times more
FILE = Path(__file__).parent / "data" / "held_grasps.npz"


@dataclass(frozen=True)
class HeldGrasp:
    """One grasp; angles in rad in the Shadow model's order, pose object_from_palm in m."""

    family: str
    seed: int
    joints: np.ndarray
    pregrasp: np.ndarray
    squeeze: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    contact_links: tuple[str, ...]
    contact_parts: tuple[str, ...]

    @property
    def target(self) -> ObjectModel:
        """The object."""
        return held_object(self.family, self.seed)

    @property
    def pose(self) -> HandPose:
        """The configuration as a batch of one."""
        arrays = (self.joints, self.rotation, self.translation)
        return HandPose(*(torch.tensor(array, dtype=torch.float32)[None] for array in arrays))


@lru_cache(maxsize=16)
def held_object(family: str, seed: int) -> ObjectModel:
    """Return an object; its distance field is kept once made."""
    return make_object(family, seed)


@lru_cache(maxsize=1)
def held_grasps() -> dict[str, HeldGrasp]:
    """Return the stored grasps by family."""
    with np.load(FILE) as data:
        names = data["joint_names"].tolist()
        order = [names.index(name) for name in HandModel.load("shadow").joint_names]
        return {
            str(family): HeldGrasp(
                str(family), int(data["seed"][row]),
                *(data[key][row][order].astype(float) for key in ("joints", "pregrasp", "squeeze")),
                data["palm_rotation"][row].astype(float), data["palm_translation"][row].astype(float),
                tuple(str(data["contact_links"][row]).split()), tuple(str(data["contact_parts"][row]).split()),
            )
            for row, family in enumerate(data["family"])
        }  # fmt: skip


def write_held(folder: Path) -> Path:
    """A dataset of three of the grasps, on objects that can be built again; the mug's is one to train on."""
    rows, surfaces = [], {}
    for family, split in (("can", "unseen_instance"), ("carton", "unseen_category"), ("mug", "train")):
        grasp = held_grasps()[family]
        points, normals, parts = grasp.target.sample_surface(256)
        facts = {"family": family, "seed": grasp.seed, "part_names": list(grasp.target.part_names)}
        surfaces[family] = {"points": points, "normals": normals, "part_ids": parts, **facts}
        rows.append(
            {"object": family, "split": split, "tasks": ["lift"], "texts": ["lift it"], "joints": grasp.joints,
             "pregrasp": grasp.pregrasp, "squeeze": grasp.squeeze, "palm_translation": grasp.translation,
             "palm_rotation": grasp.rotation}
        )  # fmt: skip
    write_dataset(folder, rows, surfaces, {"joint_names": HandModel.load("shadow").joint_names, "hand": "shadow"})
    return folder
