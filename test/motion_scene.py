"""A small scene that the motion tests share: arm, a hand of spheres, an object on the table, targets."""

from __future__ import annotations

import numpy as np

from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import HandSpheres, World
from maskdex_core.motion.types import JointLimits, MotionTargets, RobotState

HAND_NAMES = (
    "thumb_joint1",
    "thumb_joint2",
    "thumb_joint3",
    "index_joint",
    "middle_joint",
    "ring_joint",
    "pinky_joint",
)
HAND_LOWER = np.array([-0.4363, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
HAND_UPPER = np.array([0.43663, 1.3786, 0.4537, 1.396, 1.396, 1.396, 1.396])
PALM = 0.16  # m from the flange to the middle of the grasp


def hand_limits() -> JointLimits:
    """Return the driven joints of a seven-joint hand."""
    return JointLimits(HAND_NAMES, HAND_LOWER, HAND_UPPER, np.full(7, 1.5), np.full(7, 10.0), np.full(7, 100.0))


def hand_spheres() -> HandSpheres:
    """Return a palm and two rows of fingers that leave 9 cm free between them, and a pad over the block."""
    palm = [[x, y, 0.05] for x in (-0.03, 0.0, 0.03) for y in (-0.03, 0.0, 0.03)]
    fingers = [[x, y, z] for x in (-0.055, 0.055) for y in (-0.03, 0.0, 0.03) for z in (0.08, 0.11, 0.14, 0.17)]
    pad = [[0.015, 0.015, 0.1195]]  # comes within a few millimetres of what is grasped from above
    points = np.array(palm + fingers + pad)
    return HandSpheres.rigid(points, np.where(points[:, 2] > 0.06, 0.01, 0.03))


def object_points(centre: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a block of 4 x 4 x 10 cm that stands on the table at centre (2,)."""
    rng = np.random.default_rng(seed)
    low, high = [centre[0] - 0.02, centre[1] - 0.02, 0.0], [centre[0] + 0.02, centre[1] + 0.02, 0.1]
    return rng.uniform(low, high, (600, 3))


def world(centre: np.ndarray | None = None) -> World:
    """Return table, hand, and a block at centre (2,) m unless it is None."""
    points = np.zeros((0, 3)) if centre is None else object_points(np.asarray(centre))
    return World(points, 0.0, hand_spheres())


def top_down(centre: np.ndarray, yaw: float = 0.0, height: float = 0.07) -> MotionTargets:
    """Return targets that grasp at centre (2,) m from above."""
    c, s = np.cos(yaw), np.sin(yaw)
    grasp = np.eye(4)
    grasp[:3, :3] = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ np.diag([1.0, -1.0, -1.0])
    grasp[:3, 3] = [centre[0], centre[1], height + PALM]
    approach, lift = grasp.copy(), grasp.copy()
    approach[2, 3] += 0.08
    lift[2, 3] += 0.11
    return MotionTargets(
        approach,
        grasp,
        lift,
        np.array([0.0, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]),
        np.array([0.0, 0.9, 0.3, 0.7, 0.7, 0.7, 0.7]),
        np.array([0.0, 1.0, 0.35, 0.8, 0.8, 0.8, 0.8]),
    )


def home_state(arm: Arm) -> RobotState:
    """Return the arm at home with the hand open."""
    return RobotState(arm.joint_names, arm.home, HAND_NAMES, np.zeros(7))
