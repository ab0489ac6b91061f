"""An arm is data: URDF + YAML give kinematics, limits, collision capsules and a home pose.

Index legend: B batch of configurations, J joints, L chain links, C capsules. Everything is numpy and
vectorised over B, because inverse kinematics calls it tens of times with tens of seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.config import from_mapping, from_yaml
from maskdex_core.errors import ConfigError, RobotError, unknown_choice
from maskdex_core.motion.types import JointLimits
from maskdex_core.motion.urdf import Capsule, ChainJoint, read_chain
from maskdex_core.resources import resource_path

ARM_FOLDER = Path("config") / "arms"


@dataclass(frozen=True)
class JointConfig:
    """One joint: position limits and home in rad, then the greatest rad/s, rad/s^2 and rad/s^3."""

    lower: float
    upper: float
    velocity: float
    acceleration: float
    jerk: float
    home: float


@dataclass(frozen=True)
class ArmConfig:
    """What `config/arms/<name>.yaml` holds; the workspace is a box in the base frame, m."""

    name: str
    urdf: str
    group: str
    base_frame: str
    tip_frame: str
    controller: str
    joints: dict[str, Any]
    workspace_lower: tuple[float, float, float]
    workspace_upper: tuple[float, float, float]


@dataclass(frozen=True)
class Arm:
    """Serial arm from base to tip frame.

    Attributes:
        link_names: (L,) chain links, the base first and the tip last.
        capsules: collision shapes, each in the frame of its link.
        home: (J,) rad, a pose from which the table in front is free to reach.
        workspace: (2, 3) m, lower and upper corner of the box in which the tip's origin has to stay.
    """

    config: ArmConfig
    limits: JointLimits
    chain: tuple[ChainJoint, ...]
    link_names: tuple[str, ...]
    capsules: tuple[Capsule, ...]
    home: np.ndarray
    workspace: np.ndarray

    @classmethod
    def load(cls, name: str) -> Arm:
        """Load a shipped arm by name.

        Raises:
            RobotError: for an unknown name, or when URDF and YAML contradict each other.
        """
        folder = resource_path(ARM_FOLDER)
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        if name not in known:
            raise RobotError(unknown_choice("arm", name, known))
        try:
            return cls.from_config(from_yaml(ArmConfig, folder / f"{name}.yaml"))
        except ConfigError as error:
            raise RobotError(f"arm {name!r}: {error}") from error

    @classmethod
    def from_config(cls, config: ArmConfig) -> Arm:
        """Build an arm from its configuration.

        Raises:
            RobotError: when URDF and configuration contradict each other.
        """
        chain, capsules = read_chain(resource_path(config.urdf), config.base_frame, config.tip_frame)
        moving = [joint for joint in chain if joint.moves]
        if tuple(joint.name for joint in moving) != tuple(config.joints):
            expected = ", ".join(joint.name for joint in moving)
            raise RobotError(f"arm {config.name!r}: joints {', '.join(config.joints)}; the URDF has {expected}")
        joints = _joint_configs(config)
        for joint, ours in zip(moving, joints, strict=True):
            _check_not_wider(config.name, joint, ours)
        limits = JointLimits(
            names=tuple(config.joints),
            **{k: np.array([getattr(j, k) for j in joints]) for k in _LIMIT_KEYS},
        )
        workspace = _workspace(config)
        link_names = (config.base_frame, *(joint.child for joint in chain))
        return cls(
            config=config,
            limits=limits,
            chain=tuple(chain),
            link_names=link_names,
            capsules=tuple(capsules),
            home=np.array([joint.home for joint in joints]),
            workspace=workspace,
        )

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the moving joints, (J,), in the controller's order."""
        return self.limits.names

    def link_transforms(self, positions: np.ndarray) -> np.ndarray:
        """Return base_from_link of every chain link.

        Args:
            positions: (B, J) rad.

        Returns:
            (B, L, 4, 4) m, in the order of `link_names`.
        """
        positions = np.asarray(positions, dtype=np.float64)
        batch = len(positions)
        frames = np.empty((batch, len(self.link_names), 4, 4))
        frames[:, 0] = np.eye(4)
        sine, cosine = np.sin(positions), np.cos(positions)
        turned = 0
        for index, joint in enumerate(self.chain):
            local = joint.origin[None]
            if joint.moves:
                s, c = sine[:, turned, None, None], cosine[:, turned, None, None]
                local = joint.origin + s * joint.origin_cross + (1.0 - c) * joint.origin_cross_twice
                turned += 1
            frames[:, index + 1] = frames[:, index] @ local
        return frames

    def forward(self, positions: np.ndarray) -> np.ndarray:
        """Return base_from_tip (B, 4, 4) m of positions (B, J) rad."""
        return self.link_transforms(positions)[:, -1]

    def tip_and_jacobian(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return base_from_tip (B, 4, 4) and the geometric Jacobian (B, 6, J) in the base frame.

        Rows 0..2 are the tip origin's velocity in m/rad, rows 3..5 the angular velocity in rad/rad.
        """
        frames = self.link_transforms(positions)
        tip = frames[:, -1]
        moving = [index for index, joint in enumerate(self.chain) if joint.moves]
        axes = np.stack([frames[:, i + 1, :3, :3] @ self.chain[i].axis for i in moving], axis=1)  # (B, J, 3)
        arms = tip[:, None, :3, 3] - frames[:, [i + 1 for i in moving]][..., :3, 3]  # (B, J, 3)
        jacobian = np.concatenate([np.cross(axes, arms), axes], axis=2)
        return tip, jacobian.transpose(0, 2, 1)

    def reach(self) -> np.ndarray:
        """Return (J,) m: the farthest that any point of the arm up to the tip lies from each joint's axis.

        A change dq moves no point of the arm farther than sum |dq_j| * reach_j.
        """
        lengths = np.array([np.linalg.norm(joint.origin[:3, 3]) for joint in self.chain])
        beyond = np.cumsum(lengths[::-1])[::-1] - lengths
        return np.array([beyond[i] for i, joint in enumerate(self.chain) if joint.moves])


_LIMIT_KEYS = ("lower", "upper", "velocity", "acceleration", "jerk")


def _joint_configs(config: ArmConfig) -> list[JointConfig]:
    try:
        return [from_mapping(JointConfig, values, key) for key, values in config.joints.items()]
    except ConfigError as error:
        raise RobotError(f"arm {config.name!r}: {error}") from error


def _workspace(config: ArmConfig) -> np.ndarray:
    """Return the (2, 3) corners of the workspace."""
    corners = (config.workspace_lower, config.workspace_upper)
    try:
        box = np.array(corners, dtype=np.float64)
    except (TypeError, ValueError):
        box = np.full((2, 3), np.nan)
    if box.shape != (2, 3) or not np.isfinite(box).all() or (box[0] >= box[1]).any():
        raise RobotError(
            f"arm {config.name!r}: workspace_lower {list(corners[0])}, workspace_upper {list(corners[1])}; expected "
            "three finite numbers each, the lower ones below the upper ones"
        )
    return box


def _check_not_wider(arm: str, joint: ChainJoint, ours: JointConfig) -> None:
    """A YAML limit wider than the hardware's would let the verdict pass what the arm cannot do."""
    slack = 1e-9
    if ours.lower < joint.lower - slack or ours.upper > joint.upper + slack:
        raise RobotError(
            f"arm {arm!r}: {joint.name} limits [{ours.lower}, {ours.upper}] are wider than "
            f"the hardware's [{joint.lower}, {joint.upper}]"
        )
    if ours.velocity > joint.velocity + slack:
        raise RobotError(
            f"arm {arm!r}: {joint.name} velocity {ours.velocity} rad/s is above the hardware's {joint.velocity} rad/s"
        )
    if not ours.lower <= ours.home <= ours.upper:
        raise RobotError(f"arm {arm!r}: home of {joint.name} is {ours.home}, outside [{ours.lower}, {ours.upper}]")
