"""Each rule of the safety verdict, broken alone: its reason appears and no other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from judged_plan import CENTRE, arm, arm_with, changed, good, judge, rules, with_arm, with_hand
from motion_scene import HAND_NAMES, hand_limits, home_state, object_points, world

from maskdex_core.motion.collision import World
from maskdex_core.motion.contact_rules import SafetySettings
from maskdex_core.motion.types import JointTrajectory, RobotState, RobotTrajectory, Verdict


def test_the_planned_trajectory_passes() -> None:
    assert judge(good()) == Verdict(True, ())


@pytest.mark.parametrize("part", ["arm", "hand"])
def test_names(part: str) -> None:
    names = getattr(good(), part).joint_names
    swapped = (names[1], names[0], *names[2:])
    motion = dataclasses.replace(getattr(good(), part), joint_names=swapped)
    verdict = judge(dataclasses.replace(good(), **{part: motion}))
    assert rules(verdict) == {"names"}
    assert names[0] in verdict.reasons[0]


@pytest.mark.parametrize("part", ["arm", "hand"])
@pytest.mark.parametrize("key", ["positions", "velocities", "accelerations"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_finite(part: str, key: str, value: float) -> None:
    assert rules(judge(changed(part, key, (3, 2), value))) == {"finite"}


def _retimed(times: np.ndarray) -> RobotTrajectory:
    return RobotTrajectory(
        dataclasses.replace(good().arm, times=times),
        dataclasses.replace(good().hand, times=times),
        good().phases,
    )


def test_times_have_to_increase() -> None:
    times = np.array(good().arm.times)
    times[5] = times[4]
    assert rules(judge(_retimed(times))) == {"times"}


def test_the_first_time_has_to_be_above_zero() -> None:
    assert rules(judge(_retimed(good().arm.times - good().arm.times[0]))) == {"times"}


def test_arm_and_hand_have_one_time_axis() -> None:
    assert rules(judge(with_hand(times=good().hand.times * 1.001))) == {"times"}


@pytest.mark.parametrize(
    "phases",
    [
        {"transit": (0.0, 1.0)},
        {"transit": (0.0, 1.0), "dance": (1.0, 2.0)},
        {"approach": (1.0, 2.0), "transit": (0.0, 1.0)},
    ],
)
def test_phases_cover_the_motion_in_order(phases: dict) -> None:
    assert rules(judge(dataclasses.replace(good(), phases=phases))) == {"phases"}


def test_the_arm_stands_still_while_the_hand_closes() -> None:
    spans = dict(good().phases)
    middle = float(np.round(np.mean(spans["lift"]), 2))
    spans["close"], spans["lift"] = (spans["close"][0], middle), (middle, spans["lift"][1])
    verdict = judge(dataclasses.replace(good(), phases=spans))
    assert rules(verdict) == {"phases"}
    assert "while the hand closes" in verdict.reasons[0]


@pytest.mark.parametrize(("missing", "sentence"), [("close", "lift without close"), ("approach", "close without app")])
def test_nothing_is_lifted_that_was_not_grasped(missing: str, sentence: str) -> None:
    spans = dict(good().phases)
    _, end = spans.pop(missing)
    before = {"close": "approach", "approach": "transit"}[missing]
    spans[before] = (spans[before][0], end)
    verdict = judge(dataclasses.replace(good(), phases=spans))
    assert rules(verdict) == {"phases"} and sentence in verdict.reasons[0]


def test_nothing_is_lifted_from_afar() -> None:
    """Under the name of a lift the hand may touch the object: it has to be there."""
    away = dataclasses.replace(world(CENTRE), object_points=object_points(CENTRE + np.array([0.0, 0.3])))
    verdict = judge(good(), world=away)
    assert rules(verdict) == {"phases"} and "the lift begins with the hand 20 mm or more" in verdict.reasons[0]


def test_the_start_is_where_the_robot_stands() -> None:
    moved = np.array(arm().home)
    moved[3] += 0.02
    start = RobotState(arm().joint_names, moved, HAND_NAMES, np.zeros(7))
    verdict = judge(good(), start=start)
    assert rules(verdict) == {"start"} and "joint4 stands at" in verdict.reasons[0]
    moved[3] -= 0.019  # an encoder's noise is no reason
    assert judge(good(), start=dataclasses.replace(start, arm_positions=moved)).ok


def test_the_order_of_joints_in_the_state_does_not_matter() -> None:
    start = home_state(arm())
    mixed = RobotState(
        start.arm_joint_names[::-1], start.arm_positions[::-1], start.hand_joint_names, start.hand_positions
    )
    assert judge(good(), start=mixed).ok


@pytest.mark.parametrize(
    ("names", "positions", "sentence"),
    [
        (HAND_NAMES[:-1], np.zeros(6), "hand joint 'pinky_joint' is missing"),
        ((*HAND_NAMES, "tail"), np.zeros(8), "hand joint 'tail' is unknown"),
        (HAND_NAMES, [0, 0, np.nan, 0, 0, 0, 0], "hand joint 'thumb_joint3' is at nan"),
        (HAND_NAMES, [0, 0, 0, 1.5, 0, 0, 0], r"'index_joint' is at 1.5000 rad, outside [0.0000, 1.3960]"),
    ],
)
def test_a_state_that_cannot_be_used(names: tuple, positions: list, sentence: str) -> None:
    verdict = judge(good(), start=RobotState(arm().joint_names, arm().home, names, positions))
    assert rules(verdict) == {"start"}
    assert len(verdict.reasons) == 1 and sentence in verdict.reasons[0]


def test_the_motion_begins_from_rest() -> None:
    cut = 20
    late = RobotTrajectory(
        *(
            JointTrajectory(
                m.joint_names,
                m.times[cut:] - m.times[cut - 1],
                m.positions[cut:],
                m.velocities[cut:],
                m.accelerations[cut:],
            )
            for m in (good().arm, good().hand)
        )
    )
    start = RobotState(arm().joint_names, good().arm.positions[cut], HAND_NAMES, good().hand.positions[cut])
    verdict = judge(late, start=start, world=World(table_height=0.0))
    assert rules(verdict) == {"start"} and all("after rest" in reason for reason in verdict.reasons)


def test_the_end_is_at_rest() -> None:
    spans = dict(good().phases)
    middle = int(np.round(np.mean(spans["lift"]) / 0.02))
    arm_part, hand_part = (
        JointTrajectory(
            m.joint_names,
            m.times[:middle],
            m.positions[:middle],
            m.velocities[:middle],
            m.accelerations[:middle],
        )
        for m in (good().arm, good().hand)
    )
    spans["lift"] = (spans["lift"][0], float(arm_part.times[-1]))
    verdict = judge(RobotTrajectory(arm_part, hand_part, spans))
    assert rules(verdict) == {"end"} and "expected 0" in verdict.reasons[0]


@pytest.mark.parametrize("part", ["arm", "hand"])
def test_velocities_fit_positions(part: str) -> None:
    moving = int(np.argmax(np.abs(getattr(good(), part).velocities).max(axis=1)))
    verdict = judge(changed(part, "velocities", (moving, 0), 0.3))
    assert rules(verdict) == {"consistency"}


@pytest.mark.parametrize("part", ["arm", "hand"])
def test_accelerations_fit_velocities(part: str) -> None:
    moving = int(np.argmax(np.abs(getattr(good(), part).velocities).max(axis=1)))
    verdict = judge(changed(part, "accelerations", (moving, 0), 9.0))
    assert rules(verdict) == {"consistency"}


@pytest.mark.parametrize("key", ["velocity", "acceleration", "jerk"])
@pytest.mark.parametrize("part", ["arm", "hand"])
def test_rates(part: str, key: str) -> None:
    """One joint's limit is set a tenth below what that joint does."""
    limits = arm().limits if part == "arm" else hand_limits()
    motion = getattr(good(), part)
    if key == "velocity":
        peak = np.abs(motion.velocities).max(axis=0)
    elif key == "acceleration":
        peak = np.abs(motion.accelerations).max(axis=0)
    else:
        peak = np.abs(np.diff(motion.accelerations, axis=0)).max(axis=0) / 0.02
    joint = int(np.argmax(peak / getattr(limits, key)))
    tight = np.array(getattr(limits, key))
    tight[joint] = 0.9 * peak[joint]
    changes = (
        {"arm": arm_with(**{key: tight})}
        if part == "arm"
        else {"hand_limits": dataclasses.replace(limits, **{key: tight})}
    )
    verdict = judge(good(), **changes)
    assert rules(verdict) == {key}
    assert len(verdict.reasons) == 1 and motion.joint_names[joint] in verdict.reasons[0]


def test_a_jump_between_two_points_is_seen_between_them() -> None:
    """At the points themselves everything stays within limits; only what is interpolated does not."""
    positions = np.array(good().arm.positions)
    positions[60:, 0] += 0.02
    loose = SafetySettings(consistency_jerk=1e6)
    verdict = judge(with_arm(positions=positions), world=World(table_height=None), settings=loose)
    assert "jerk" in rules(verdict)


def test_position() -> None:
    motion = good().arm
    joint = int(np.argmax(motion.positions.max(axis=0) - arm().home))
    upper = np.array(arm().limits.upper)
    upper[joint] = (motion.positions[:, joint].max() + arm().home[joint]) / 2.0
    verdict = judge(good(), arm=arm_with(upper=upper))
    assert rules(verdict) == {"position"}
    assert motion.joint_names[joint] in verdict.reasons[0]
