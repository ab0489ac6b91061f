"""One motion to plan: what is built once for it, and the questions every step of planning asks of it.

Index legend: T configurations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import CollisionModel
from maskdex_core.motion.contact_rules import SafetySettings, are_free, collision_reasons, hand_reasons
from maskdex_core.motion.types import JointLimits, MotionTargets


@dataclass(frozen=True)
class MotionTask:
    """A planning request in the order of the limits.

    Attributes:
        limits: of arm and hand together. q_arm (7,), q_hand (J,): where the robot stands, rad.
        speed_scale: share in (0, 1] of the rate limits. dt: s between points.
    """

    arm: Arm
    hand_limits: JointLimits
    limits: JointLimits
    model: CollisionModel
    settings: SafetySettings
    speed_scale: float
    dt: float
    q_arm: np.ndarray
    q_hand: np.ndarray
    targets: MotionTargets

    def contacts(self, arm: np.ndarray, hand: np.ndarray, phase: str) -> list[str]:
        """Return what speaks against arm (T, 7) and hand (T, J) or (J,) positions in a phase."""
        return collision_reasons(self.model, arm, _rows(hand, len(arm)), _named(phase, len(arm)), self.settings)

    def are_free(self, arm: np.ndarray, hand: np.ndarray, phase: str) -> np.ndarray:
        """Return (T,) bool: which configurations nothing speaks against; arguments as of `contacts`."""
        return are_free(self.model, arm, _rows(hand, len(arm)), _named(phase, len(arm)), self.settings)

    def in_workspace(self, arm: np.ndarray) -> np.ndarray:
        """Return (T,) bool: at which arm positions (T, 7) rad the tip's origin is in the workspace."""
        tip = self.arm.forward(arm)[:, :3, 3]
        return ((tip >= self.arm.workspace[0]) & (tip <= self.arm.workspace[1])).all(axis=1)

    def hand_contacts(self, base_from_tip: np.ndarray, hand: np.ndarray, phase: str) -> list[str]:
        """Return what speaks against tip poses (T, 4, 4) with the hand at (J,), however the arm gets there."""
        count = len(base_from_tip)
        return hand_reasons(self.model, base_from_tip, _rows(hand, count), _named(phase, count), self.settings)


def _rows(hand: np.ndarray, count: int) -> np.ndarray:
    return np.broadcast_to(hand, (count, hand.shape[-1]))


def _named(phase: str, count: int) -> np.ndarray:
    return np.full(count, phase, dtype=object)
