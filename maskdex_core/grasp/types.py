"""A batch of grasps: joint angles by name, palm pose in the object frame, tokens, confidence."""

from __future__ import annotations

import dataclasses
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskdex_core.errors import DatasetError

OPTIONAL_KEYS = ("tokens", "token_confidence", "confidence", "chance", "agreement", "score", "pregrasp", "squeeze")
REQUIRED_KEYS = ("joint_names", "joints", "rotation", "translation")
PARTS = 6  # palm, thumb, index, middle, ring, little
ROTATION_SLACK = 1e-3  # of any entry of R Rᵀ - 1


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
    chance: Tensor | None = None
    """(K,) calibrated chance that the grasp holds, once it was judged."""
    agreement: Tensor | None = None
    """(K,) how well the contacts lie where the text wants the hand, in 0..1; None where nothing tells."""
    score: Tensor | None = None
    """(K,) ranking score, higher is better, once something ranked the grasps."""
    pregrasp: Tensor | None = None
    """(K, J) rad: the open hand before contact."""
    squeeze: Tensor | None = None
    """(K, J) rad: joint targets that press on the object."""
    checkpoint: str | None = None
    """Fingerprint of the model whose codes the tokens count; None when unknown."""

    def __post_init__(self) -> None:
        count, joints = len(self.joints), len(self.joint_names)
        shapes = {
            "joints": (count, joints),
            "palm_rotation": (count, 3, 3),
            "palm_translation": (count, 3),
            "confidence": (count,),
            "chance": (count,),
            "agreement": (count,),
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
        if self.checkpoint is not None:
            arrays["checkpoint"] = np.array(self.checkpoint)
        with Path(path).open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]

    @classmethod
    def from_npz(cls, path: str | Path) -> GraspBatch:
        """Read what `to_npz` wrote.

        Raises:
            DatasetError: when the file is missing, is no such archive, its shapes disagree, numbers are not
                finite, palm rotations are no rotations, or tokens are not integers (K, 6).
        """
        try:
            with np.load(Path(path), allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: grasp file does not exist") from error
        except _UNREADABLE as error:
            raise DatasetError(f"{path}: not a readable .npz grasp file") from error
        missing = [key for key in REQUIRED_KEYS if key not in arrays]
        if missing:
            raise DatasetError(f"{path}: grasp file lacks {', '.join(missing)}")
        try:
            tensors = {key: _tensor(key, arrays[key]) for key in (*REQUIRED_KEYS[1:], *OPTIONAL_KEYS) if key in arrays}
            grasps = cls(
                joint_names=_names(arrays["joint_names"]),
                joints=tensors.pop("joints"),
                palm_rotation=tensors.pop("rotation"),
                palm_translation=tensors.pop("translation"),
                checkpoint=str(arrays["checkpoint"]) if "checkpoint" in arrays else None,
                **tensors,
            )
            _check_rotations(grasps.palm_rotation)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from error
        return grasps

    def _map(self, change) -> GraspBatch:  # type: ignore[no-untyped-def]
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return GraspBatch(**{k: change(v) if isinstance(v, Tensor) else v for k, v in values.items()})


_UNREADABLE = (
    OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError, NotImplementedError,
)  # fmt: skip


def _names(values: np.ndarray) -> tuple[str, ...]:
    names = tuple(str(name) for name in values.ravel())
    if values.dtype.kind != "U" or values.ndim != 1 or len(set(names)) != len(names):
        raise DatasetError(
            f"joint_names has type {values.dtype} and shape {values.shape}; expected a row of distinct texts"
        )
    return names


def _tensor(key: str, values: np.ndarray) -> Tensor:
    """Return tokens as int64, anything else as float32."""
    tokens = key == "tokens"
    if values.dtype.kind not in ("iu" if tokens else "fiu"):
        raise DatasetError(f"{key} has type {values.dtype}; expected {'integers' if tokens else 'numbers'}")
    if key in ("tokens", "token_confidence") and (values.ndim != 2 or values.shape[1] != PARTS):
        raise DatasetError(f"{key} has shape {values.shape}; expected (K, {PARTS})")
    if values.ndim == 0:
        raise DatasetError(f"{key} is a single number; expected one row a grasp")
    if not np.isfinite(values).all():
        raise DatasetError(f"{key} holds NaN or infinity")
    return torch.from_numpy(values.astype(np.int64 if tokens else np.float32))


def _check_rotations(rotation: Tensor) -> None:
    """Refuse matrices (K, 3, 3) that stretch, shear or mirror."""
    off = (rotation @ rotation.transpose(1, 2) - torch.eye(3)).abs().amax((1, 2))
    wrong = (off > ROTATION_SLACK) | (torch.linalg.det(rotation) < 0)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise DatasetError(
            f"rotation of grasp {row} is no rotation (R·Rᵀ is off by {float(off[row]):.2g}, "
            f"determinant {float(torch.linalg.det(rotation[row])):.2g})"
        )


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
