"""A batch of grasps: joint angles by name, palm pose in the object frame, tokens, confidence."""

from __future__ import annotations

import dataclasses
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskdex_core.errors import DatasetError

OPTIONAL_KEYS = ("tokens", "token_confidence", "confidence", "score", "pregrasp", "squeeze")


@dataclass(frozen=True)
class GraspBatch:
    """K grasps of one hand. `object_from_palm` maps palm coordinates to object coordinates."""

    joint_names: tuple[str, ...]
    """J names, in the order of every joint tensor here."""
    joints: Tensor
    """(K, J) rad."""
    palm_rotation: Tensor
    """(K, 3, 3) rotation of object_from_palm."""
    palm_translation: Tensor
    """(K, 3) m, translation of object_from_palm."""
    tokens: Tensor | None = None
    """(K, 6) int64: palm, thumb, index, middle, ring, little."""
    token_confidence: Tensor | None = None
    """(K, 6) probability of each token when it was kept."""
    confidence: Tensor | None = None
    """(K,) geometric mean of the token confidences."""
    score: Tensor | None = None
    """(K,) ranking score, higher is better, once something ranked the grasps."""
    pregrasp: Tensor | None = None
    """(K, J) rad: the open hand before contact."""
    squeeze: Tensor | None = None
    """(K, J) rad: joint targets that press on the object."""

    def __post_init__(self) -> None:
        count, joints = len(self.joints), len(self.joint_names)
        shapes = {
            "joints": (count, joints),
            "palm_rotation": (count, 3, 3),
            "palm_translation": (count, 3),
            "confidence": (count,),
            "score": (count,),
            "pregrasp": (count, joints),
            "squeeze": (count, joints),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise DatasetError(f"grasp batch: {name} has shape {tuple(value.shape)}, expected {shape}")
        for name in ("tokens", "token_confidence"):
            value = getattr(self, name)
            if value is not None and (value.ndim != 2 or len(value) != count):
                raise DatasetError(f"grasp batch: {name} has shape {tuple(value.shape)}, not ({count}, N)")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, rows: Tensor | slice | list[int]) -> GraspBatch:
        """Return the grasps at some rows (index tensor, bool mask, list or slice), in that order."""
        return self._map(lambda value: value[rows])

    def to(self, device: torch.device | str) -> GraspBatch:
        """Return the same grasps with every tensor on another device."""
        return self._map(lambda value: value.to(device))

    def replace(self, **fields: object) -> GraspBatch:
        """Return a copy with some fields exchanged."""
        return dataclasses.replace(self, **fields)  # type: ignore[arg-type]

    def to_npz(self, path: str | Path) -> None:
        """Write joint_names, joints, rotation, translation and whatever else is known, without pickle."""
        arrays: dict[str, np.ndarray] = {
            "joint_names": np.array(self.joint_names),
            "joints": _array(self.joints),
            "rotation": _array(self.palm_rotation),
            "translation": _array(self.palm_translation),
        }
        for key in OPTIONAL_KEYS:
            value = getattr(self, key)
            if value is not None:
                arrays[key] = _array(value)
        with Path(path).open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]

    @classmethod
    def from_npz(cls, path: str | Path) -> GraspBatch:
        """Read what `to_npz` wrote.

        Raises:
            DatasetError: when the file is missing, is no such archive, or its shapes disagree.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: grasp file does not exist") from error
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
            raise DatasetError(f"{path}: not a readable .npz grasp file") from error
        missing = [key for key in ("joint_names", "joints", "rotation", "translation") if key not in arrays]
        if missing:
            raise DatasetError(f"{path}: grasp file lacks {', '.join(missing)}")
        optional = {key: torch.from_numpy(arrays[key]) for key in OPTIONAL_KEYS if key in arrays}
        return cls(
            joint_names=tuple(str(name) for name in arrays["joint_names"]),
            joints=torch.from_numpy(arrays["joints"]).float(),
            palm_rotation=torch.from_numpy(arrays["rotation"]).float(),
            palm_translation=torch.from_numpy(arrays["translation"]).float(),
            **optional,
        )

    def _map(self, change) -> GraspBatch:  # type: ignore[no-untyped-def]
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return GraspBatch(**{k: change(v) if isinstance(v, Tensor) else v for k, v in values.items()})


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
