"""What a plan folder carries for those who look at it later: the scene, the candidates and the robot."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import UsageError

if TYPE_CHECKING:
    from maskdex_core.planning.plan import Plan

FILE = "scene.npz"
SHOWN_POINTS = 60_000  # of the cloud; more makes the folder large and the picture no clearer
SHAPES = {
    "cloud": (None, 3), "object_points": (None, 3), "table_height": (), "palm_poses": (None, 4, 4),
    "joints": (None, None), "approaches": (None, 3), "arm_start": (None,), "hand_start": (None,),
}  # fmt: skip
TOLD = {"touch": (None,)}  # there when the plan's model can tell
LARGEST = 64 * 2**20  # bytes of one file in a plan folder


@dataclass(frozen=True, eq=False)
class SavedPlan:
    """A plan as it lies in its folder; metres and radians in base.

    Attributes:
        report: of report.json.
        cloud: (V, 3) float32, what the camera saw, thinned. object_points: (M, 3) float32.
        table_height: z of the table.
        palm_poses: (C, 4, 4) base_from_palm of the candidates. joints: (C, J) of the target hand.
        approaches: (C, 3) unit directions toward the grasp.
        arm_start, hand_start: where the robot stood.
        touch: (M,) float32 chance of each object point to lie where the text wants the hand, or None.
    """

    report: dict[str, Any]
    cloud: NDArray[np.float32]
    object_points: NDArray[np.float32]
    table_height: float
    palm_poses: NDArray[np.float64]
    joints: NDArray[np.float64]
    approaches: NDArray[np.float64]
    arm_start: NDArray[np.float64]
    hand_start: NDArray[np.float64]
    touch: NDArray[np.float32] | None = None

    @staticmethod
    def load(folder: Path) -> SavedPlan:
        """Read a folder that `maskdex plan --out` left.

        Raises:
            UsageError: when a file is missing, damaged or holds something else.
        """
        report, path = _report(folder / "report.json"), folder / FILE
        _check_size(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                shapes = SHAPES | {name: shape for name, shape in TOLD.items() if name in file}
                arrays = {name: file[name] for name in shapes}
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path} cannot be read ({error}); expected what `maskdex plan --out` leaves") from error
        for name, shape in shapes.items():
            _check_array(path, name, arrays[name], shape)
        _check_counts(path, report, arrays)
        arrays["table_height"] = float(arrays["table_height"])
        return SavedPlan(report, **arrays)


def save_scene(plan: Plan, folder: Path) -> None:
    """Write scene.npz; the same plan gives the same bytes."""
    points = plan.scene.points
    told: dict[str, Any] = {} if plan.touch is None else {"touch": plan.touch.astype(np.float32)}
    rows = np.linspace(0, len(points) - 1, min(len(points), SHOWN_POINTS)).astype(int)
    candidates = plan.candidates
    np.savez_compressed(
        folder / FILE,
        cloud=points[rows].astype(np.float32),
        object_points=plan.object_points.astype(np.float32),
        table_height=np.float64(plan.scene.table_height),
        palm_poses=np.stack([candidate.palm_pose for candidate in candidates]),
        joints=np.stack([candidate.joints for candidate in candidates]),
        approaches=np.stack([candidate.approach for candidate in candidates]),
        arm_start=plan.start.arm_positions,
        hand_start=plan.start.hand_positions,
        **told,
    )


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise UsageError(
            f"{path} is missing; expected a folder that `maskdex plan --out` or `maskdex replay --out` left"
        )
    if path.stat().st_size > LARGEST:
        raise UsageError(f"{path} is {path.stat().st_size / 2**20:.0f} MiB large; at most {LARGEST >> 20} MiB")


def _report(path: Path) -> dict[str, Any]:
    _check_size(path)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error})") from error
    if not isinstance(report, dict) or not {"candidates", "target_hand", "arm", "text"} <= set(report):
        raise UsageError(f"{path} is no report of a plan with candidates")
    return report


def _check_array(path: Path, name: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind != "f" or not np.isfinite(array).all():
        expected = tuple("any" if size is None else size for size in shape)
        raise UsageError(f"{path}: {name} is {array.dtype} {array.shape}; expected finite numbers of shape {expected}")


def _check_counts(path: Path, report: dict[str, Any], arrays: dict[str, Any]) -> None:
    counts = {len(report["candidates"]), *(len(arrays[name]) for name in ("palm_poses", "joints", "approaches"))}
    if len(counts) != 1:
        raise UsageError(
            f"{path}: {sorted(counts)} candidates beside those of the report; the files are not of one plan"
        )
    touch, points = arrays.get("touch"), len(arrays["object_points"])
    if touch is not None and len(touch) != points:
        raise UsageError(f"{path}: touch has {len(touch)} values for {points} object points")
