"""A grasp dataset in memory, as tensors.

Legend: G grasps, J joints, P surface points of one object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskdex_core.data.columns import Table
from maskdex_core.data.files import read_files
from maskdex_core.errors import DatasetError, unknown_choice


@dataclass(frozen=True)
class ObjectSurface:
    """Points on an object's surface, in its mesh's own frame."""

    points: Tensor
    """(P, 3) m."""
    normals: Tensor
    """(P, 3) outward unit normals."""
    part_ids: Tensor
    """(P,) int64, index into the object's part names."""
    facts: dict[str, Any]
    """Family, licence, part names: whatever objects.json says."""


@dataclass(frozen=True)
class GraspDataset:
    """G grasps on named objects. Poses are palm→object in the mesh's own frame."""

    joint_names: tuple[str, ...]
    joints: Tensor
    """(G, J) rad."""
    palm_rotation: Tensor
    """(G, 3, 3)."""
    palm_translation: Tensor
    """(G, 3) m."""
    object_index: Tensor
    """(G,) int64, index into `object_names`."""
    object_names: tuple[str, ...]
    objects: dict[str, ObjectSurface]
    texts: tuple[tuple[str, ...], ...]
    """Task texts of each grasp."""
    table: Table
    """Every column of grasps.parquet, row by row."""
    info: dict[str, Any]

    def __len__(self) -> int:
        return len(self.joints)

    @classmethod
    def load(cls, folder: str | Path) -> GraspDataset:
        """Read a dataset folder.

        Raises:
            DatasetError: when it is missing, corrupt, or of another schema version.
        """
        table, surfaces, content = read_files(Path(folder))
        facts = content.get("objects", {})
        objects = {
            name: ObjectSurface(
                points=torch.from_numpy(surface["points"]),
                normals=torch.from_numpy(surface["normals"]),
                part_ids=torch.from_numpy(surface["part_ids"]),
                facts=facts.get(name, {}),
            )
            for name, surface in surfaces.items()
        }
        return cls.from_table(table, objects, tuple(content["info"]["joint_names"]), content["info"])

    def splits(self, name: str) -> tuple[str, ...]:
        """Return the splits that a name stands for, sorted: itself, and "unseen" for all that begin with "unseen_".

        Raises:
            DatasetError: when no grasp has such a split.
        """
        known = {str(split) for split in self.table["split"]}
        found = sorted(split for split in known if split == name or split.startswith(f"{name}_"))
        if not found:
            raise DatasetError(unknown_choice("split", name, known))
        return tuple(found)

    def split(self, name: str) -> GraspDataset:
        """Return the grasps of the splits that `name` stands for; see `splits`.

        Raises:
            DatasetError: when no grasp has that split.
        """
        wanted = self.splits(name)
        return self.subset([row for row, split in enumerate(self.table["split"]) if split in wanted])

    def subset(self, rows: Sequence[int]) -> GraspDataset:
        """Return the grasps at some rows; objects without a grasp are left out."""
        table = {column: [values[row] for row in rows] for column, values in self.table.items()}
        return self.from_table(table, self.objects, self.joint_names, self.info)

    def joints_as(self, joint_names: Sequence[str], column: str = "joints") -> Tensor:
        """Return a joint column (G, J) in rad, reordered to `joint_names`.

        Raises:
            DatasetError: when a joint is not in the dataset.
        """
        for name in joint_names:
            if name not in self.joint_names:
                raise DatasetError(unknown_choice("joint", name, self.joint_names))
        order = [self.joint_names.index(name) for name in joint_names]
        return _stack(self.table[column], len(self.joint_names))[:, order]

    @classmethod
    def from_table(
        cls,
        table: Table,
        objects: dict[str, ObjectSurface],
        joint_names: tuple[str, ...],
        info: dict[str, Any],
    ) -> GraspDataset:
        """Build a dataset from columns as `maskdex_core.data.columns.check_table` returns them."""
        used = tuple(sorted(set(table["object"])))
        position = {name: index for index, name in enumerate(used)}
        return cls(
            joint_names=joint_names,
            joints=_stack(table["joints"], len(joint_names)),
            palm_rotation=_stack(table["palm_rotation"], 9).view(-1, 3, 3),
            palm_translation=_stack(table["palm_translation"], 3),
            object_index=torch.tensor([position[name] for name in table["object"]], dtype=torch.int64),
            object_names=used,
            objects={name: objects[name] for name in used},
            texts=tuple(tuple(texts) for texts in table["texts"]),
            table=table,
            info=info,
        )


def _stack(values: Sequence[Any], size: int) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32).reshape(len(values), size))
