"""What motion planning takes and gives: joint limits, robot state, targets, trajectories, verdicts.

Index legend: T points in time, J joints, S spheres. Joint values never travel without their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskdex_core.errors import RobotError

TRANSIT, APPROACH, CLOSE, LIFT = "transit", "approach", "close", "lift"
PHASES = (TRANSIT, APPROACH, CLOSE, LIFT)


def _array(value: Any, shape: tuple[int | None, ...], what: str) -> np.ndarray:
    """Return a read-only float64 copy of `value`; None in `shape` accepts any length."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RobotError(f"{what} must be numbers of shape {_shape_text(shape)}: {error}") from error
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise RobotError(f"{what} has shape {array.shape}; expected {_shape_text(shape)}")
    array.setflags(write=False)
    return array


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def _names(value: Sequence[str], what: str) -> tuple[str, ...]:
    names = tuple(str(name) for name in value)
    if len(set(names)) != len(names):
        raise RobotError(f"{what} are not unique: {', '.join(names)}")
    return names


@dataclass(frozen=True)
class JointLimits:
    """Limits by joint; each array is (J,), in rad, rad/s, rad/s^2 and rad/s^3.

    Raises:
        RobotError: on a wrong shape, a lower limit above its upper one, or a rate that is not positive.
    """

    names: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _names(self.names, "joint limit names"))
        for key in ("lower", "upper", "velocity", "acceleration", "jerk"):
            object.__setattr__(self, key, _array(getattr(self, key), (len(self.names),), f"joint limits: {key}"))
        for key in ("velocity", "acceleration", "jerk"):
            for name, value in zip(self.names, getattr(self, key), strict=True):
                if not (np.isfinite(value) and value > 0.0):
                    raise RobotError(f"joint limits: {key} of {name} is {value}; expected a positive number")
        for name, lower, upper in zip(self.names, self.lower, self.upper, strict=True):
            if not lower <= upper:
                raise RobotError(f"joint limits: {name} has lower {lower} above upper {upper}")

    def joined(self, other: JointLimits) -> JointLimits:
        """Return the limits of these joints followed by the other's."""
        keys = ("lower", "upper", "velocity", "acceleration", "jerk")
        arrays = {key: np.concatenate([getattr(self, key), getattr(other, key)]) for key in keys}
        return JointLimits(names=self.names + other.names, **arrays)


@dataclass(frozen=True)
class RobotState:
    """Where the robot stands: positions (J,) in rad beside their joint names."""

    arm_joint_names: tuple[str, ...]
    arm_positions: np.ndarray
    hand_joint_names: tuple[str, ...]
    hand_positions: np.ndarray

    def __post_init__(self) -> None:
        for part in ("arm", "hand"):
            names = _names(getattr(self, f"{part}_joint_names"), f"robot state: {part} joint names")
            object.__setattr__(self, f"{part}_joint_names", names)
            key = f"{part}_positions"
            object.__setattr__(self, key, _array(getattr(self, key), (len(names),), f"robot state: {key}"))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, for JSON."""
        return {
            "arm": {"joint_names": list(self.arm_joint_names), "positions": self.arm_positions.tolist()},
            "hand": {"joint_names": list(self.hand_joint_names), "positions": self.hand_positions.tolist()},
        }


@dataclass(frozen=True)
class MotionTargets:
    """Where the hand has to go.

    Args:
        base_from_eef_approach: (4, 4) m, stand-off pose; from it straight to the grasp.
        base_from_eef_grasp: (4, 4) m, pose in which the hand closes.
        base_from_eef_lift: (4, 4) m, pose at the end of the straight lift.
        hand_pregrasp, hand_grasp, hand_squeeze: (J,) rad, in the order of the hand's `JointLimits`.
    """

    base_from_eef_approach: np.ndarray
    base_from_eef_grasp: np.ndarray
    base_from_eef_lift: np.ndarray
    hand_pregrasp: np.ndarray
    hand_grasp: np.ndarray
    hand_squeeze: np.ndarray

    def __post_init__(self) -> None:
        for key in ("base_from_eef_approach", "base_from_eef_grasp", "base_from_eef_lift"):
            pose = _array(getattr(self, key), (4, 4), f"motion targets: {key}")
            if not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-4):
                raise RobotError(f"motion targets: {key} is not a rigid transform with finite numbers")
            object.__setattr__(self, key, pose)
        for key in ("hand_pregrasp", "hand_grasp", "hand_squeeze"):
            object.__setattr__(self, key, _array(getattr(self, key), (None,), f"motion targets: {key}"))


@dataclass(frozen=True)
class JointTrajectory:
    """Sampled joint motion: times (T,) s from the start of motion; the rest (T, J) rad, rad/s, rad/s^2.

    The first point lies after time 0, at which the robot stands still in its start state. Only shapes
    are checked here; whether the motion may be run is for `check_trajectory` to say.
    """

    joint_names: tuple[str, ...]
    times: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "joint_names", _names(self.joint_names, "trajectory joint names"))
        times = _array(self.times, (None,), "trajectory times")
        if len(times) == 0:
            raise RobotError("trajectory has 0 points; expected at least 1")
        object.__setattr__(self, "times", times)
        for key in ("positions", "velocities", "accelerations"):
            shape = (len(times), len(self.joint_names))
            object.__setattr__(self, key, _array(getattr(self, key), shape, f"trajectory {key}"))

    @property
    def duration(self) -> float:
        """Time of the last point, s."""
        return float(self.times[-1])

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, for JSON."""
        arrays = {key: getattr(self, key).tolist() for key in ("times", "positions", "velocities", "accelerations")}
        return {"joint_names": list(self.joint_names), **arrays}


@dataclass(frozen=True)
class RobotTrajectory:
    """Arm and hand motion on one time axis; `phases` maps a phase's name to its (start, end) in s."""

    arm: JointTrajectory
    hand: JointTrajectory
    phases: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "phases", {k: (float(a), float(b)) for k, (a, b) in self.phases.items()})

    @property
    def duration(self) -> float:
        """Time of the last point of the longer of the two, s."""
        return max(self.arm.duration, self.hand.duration)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, for JSON."""
        phases = {name: list(span) for name, span in self.phases.items()}
        return {"arm": self.arm.to_dict(), "hand": self.hand.to_dict(), "phases": phases}


@dataclass(frozen=True)
class Verdict:
    """Whether a trajectory may be run, and every reason why not."""

    ok: bool
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"ok": self.ok, "reasons": list(self.reasons)}
