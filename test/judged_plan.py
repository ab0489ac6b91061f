"""A plan that passes the safety verdict, and ways to change one thing about it."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
from motion_scene import hand_limits, home_state, top_down, world

from maskdex_core.motion.arm import Arm
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.types import RobotTrajectory, Verdict
from maskdex_core.motion.verdict import check_trajectory

CENTRE = np.array([0.45, 0.1])


@cache
def arm() -> Arm:
    return Arm.load("xarm7")


@cache
def good() -> RobotTrajectory:
    return plan_motion(arm(), hand_limits(), home_state(arm()), top_down(CENTRE), world(CENTRE), speed_scale=0.5)


def judge(trajectory: RobotTrajectory, **changes: object) -> Verdict:
    given = {
        "arm": arm(),
        "hand_limits": hand_limits(),
        "start": home_state(arm()),
        "world": world(CENTRE),
        **changes,
    }
    return check_trajectory(trajectory, **given)


def rules(verdict: Verdict) -> set[str]:
    assert verdict.ok is (not verdict.reasons)
    return {reason.split(":")[0] for reason in verdict.reasons}


def arm_with(**limits: np.ndarray) -> Arm:
    return dataclasses.replace(arm(), limits=dataclasses.replace(arm().limits, **limits))


def with_arm(**arrays: object) -> RobotTrajectory:
    return dataclasses.replace(good(), arm=dataclasses.replace(good().arm, **arrays))


def with_hand(**arrays: object) -> RobotTrajectory:
    return dataclasses.replace(good(), hand=dataclasses.replace(good().hand, **arrays))


def changed(part: str, key: str, index: tuple[int, ...], value: float) -> RobotTrajectory:
    motion = getattr(good(), part)
    array = np.array(getattr(motion, key))
    array[index] = value
    return dataclasses.replace(good(), **{part: dataclasses.replace(motion, **{key: array})})
