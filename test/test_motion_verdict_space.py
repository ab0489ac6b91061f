"""Rules of the safety verdict about space: workspace, table, object, obstacles, fingers, what is carried."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from judged_plan import CENTRE, arm, changed, good, judge, rules
from motion_scene import hand_limits, home_state, object_points, top_down, world

from maskdex_core.motion.collision import FingerPair, HandSpheres, World
from maskdex_core.motion.contact_rules import SafetySettings
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.types import JointTrajectory, RobotTrajectory


def test_workspace() -> None:
    tip = arm().forward(good().arm.positions)[:, :3, 3]
    box = np.array(arm().workspace)
    box[1, 1] = tip[:, 1].max() - 0.01
    verdict = judge(good(), arm=dataclasses.replace(arm(), workspace=box))
    assert rules(verdict) == {"workspace"}
    assert "link_eef is at y" in verdict.reasons[0]


def test_table_collision() -> None:
    raised = dataclasses.replace(world(CENTRE), table_height=0.08)
    verdict = judge(good(), world=raised)
    assert rules(verdict) == {"table collision"}
    assert "hand and table" in verdict.reasons[0] and "mm needed" in verdict.reasons[0]


def test_object_collision_in_transit() -> None:
    middle = int(np.mean(good().phases["transit"]) / 0.02)
    inside = arm().forward(good().arm.positions[middle][None])[0] @ [0.0, 0.0, 0.1, 1.0]
    blocked = dataclasses.replace(
        world(CENTRE), object_points=np.concatenate([object_points(CENTRE), inside[None, :3]])
    )
    verdict = judge(good(), world=blocked)
    assert rules(verdict) == {"object collision"}
    assert any("in transit" in reason for reason in verdict.reasons)


def test_object_contact_needs_the_phases_to_be_named() -> None:
    verdict = judge(dataclasses.replace(good(), phases={}), world=_tall())
    assert rules(verdict) == {"object collision"}


def _tall() -> World:
    """An object that the palm reaches in the last 3 mm of the approach, and touches from there on."""
    touch = np.array([[CENTRE[0], CENTRE[1], 0.07 + 0.16 - 0.05 - 0.03 + 0.003]])
    return dataclasses.replace(world(CENTRE), object_points=np.concatenate([object_points(CENTRE), touch]))


def test_object_contact_is_allowed_at_the_end_of_the_approach_only() -> None:
    assert judge(good(), world=_tall()).ok
    early = dataclasses.replace(
        _tall(),
        object_points=_tall().object_points + np.where(_tall().object_points[:, 2:] > 0.13, 0.02, 0.0),
    )
    verdict = judge(good(), world=early)
    assert rules(verdict) == {"object collision"}
    assert all("in approach" in reason for reason in verdict.reasons)


def test_obstacle_collision_of_the_hand_and_of_the_arm() -> None:
    middle = good().arm.positions[int(np.mean(good().phases["transit"]) / 0.02)]
    at_hand = arm().forward(middle[None])[0] @ [0.0, 0.0, 0.1, 1.0]
    at_elbow = arm().link_transforms(middle[None])[0, 4, :3, 3]
    for place in (at_hand[:3], at_elbow):
        verdict = judge(good(), world=dataclasses.replace(world(CENTRE), obstacle_points=place[None]))
        assert rules(verdict) == {"obstacle collision"}
    far = np.array([[0.2, -0.6, 0.3]])
    assert judge(good(), world=dataclasses.replace(world(CENTRE), obstacle_points=far)).ok


def test_self_collision() -> None:
    wide = SafetySettings(self_clearance=1.0)
    assert rules(judge(good(), settings=wide)) == {"self collision"}


def test_a_hand_does_not_ram_the_object() -> None:
    deep = dataclasses.replace(_tall(), object_points=_tall().object_points + np.array([0.0, 0.0, 0.003]))
    verdict = judge(good(), world=deep)
    assert rules(verdict) == {"object collision"}
    assert all("in approach" in reason and "-4 mm needed" in reason for reason in verdict.reasons)


def _two_fingers(gap: float) -> HandSpheres:
    """Two spheres of two fingers on the palm's axis, `gap` m apart while the hand is open, `gap` / 2 when closed."""

    def centers(q: np.ndarray) -> np.ndarray:
        half = (0.01 + gap / 2.0 * (1.0 - q[:, 1])) * np.array([[1.0], [-1.0]])  # (2, T)
        return np.stack([half, np.zeros_like(half), np.full_like(half, 0.1)], axis=2).transpose(1, 0, 2)

    pair = FingerPair(("thumb", "index"), np.array([0]), np.array([1]))
    return HandSpheres(np.array([0.01, 0.01]), centers, (pair,))


def test_finger_collision() -> None:
    assert judge(good(), world=dataclasses.replace(world(None), hand=_two_fingers(0.004))).ok
    verdict = judge(good(), world=dataclasses.replace(world(None), hand=_two_fingers(-0.004)))
    assert rules(verdict) == {"finger collision"}
    assert "thumb and index are" in verdict.reasons[0]
    # while the hand holds, what is between the fingers stops them, not each other
    assert all("in close" not in reason and "in lift" not in reason for reason in verdict.reasons)


def test_the_carried_object_stays_clear_of_what_was_beside_it() -> None:
    """A shelf over the block: hand and arm pass beside it, the block would not."""
    x, y = np.meshgrid(np.linspace(-0.01, 0.01, 5), np.linspace(-0.01, 0.01, 5))
    shelf = np.stack([x.ravel() + CENTRE[0], y.ravel() + CENTRE[1], np.full(25, 0.135)], axis=1)
    beside = dataclasses.replace(world(CENTRE), obstacle_points=shelf, hand=None)
    verdict = judge(good(), world=beside)
    assert rules(verdict) == {"carried collision"}
    assert "carried object and obstacle are" in verdict.reasons[0] and "in lift" in verdict.reasons[0]
    above = dataclasses.replace(beside, obstacle_points=shelf + np.array([0.0, 0.0, 0.1]))
    assert not [reason for reason in judge(good(), world=above).reasons if "carried" in reason]


def test_the_carried_object_is_not_pressed_into_the_table() -> None:
    """A plan that turns its lift into a push down of 3 mm; the hand itself has nothing there to hit."""
    down = dataclasses.replace(top_down(CENTRE), base_from_eef_lift=top_down(CENTRE).base_from_eef_grasp @ _shift(0.01))
    plan = plan_motion(
        arm(), hand_limits(), home_state(arm()), down, dataclasses.replace(world(None), table_height=None)
    )
    verdict = judge(plan, world=dataclasses.replace(world(CENTRE), hand=None))
    assert rules(verdict) == {"carried collision"}
    assert "carried object and table are" in verdict.reasons[0]


def _shift(z: float) -> np.ndarray:
    moved = np.eye(4)
    moved[2, 3] = z
    return moved


def test_points_far_apart_in_time() -> None:
    """A gap in which nobody knows what the controller does."""
    keep = np.ones(len(good().arm.times), dtype=bool)
    keep[60:63] = False
    motions = (
        JointTrajectory(m.joint_names, m.times[keep], m.positions[keep], m.velocities[keep], m.accelerations[keep])
        for m in (good().arm, good().hand)
    )
    verdict = judge(RobotTrajectory(*motions, good().phases))
    assert rules(verdict) == {"times"} and "at most 0.05 s" in verdict.reasons[0]


def test_more_points_than_are_judged() -> None:
    assert rules(judge(good(), settings=SafetySettings(most_points=100))) == {"times"}


@pytest.mark.parametrize("part", ["arm", "hand"])
def test_the_end_does_not_accelerate(part: str) -> None:
    verdict = judge(changed(part, "accelerations", (-1, 1), 0.2))
    assert rules(verdict) == {"end"} and "has acceleration 0.2 rad/s^2 at the last point" in verdict.reasons[0]


def test_obstacle_under_the_arm_is_told_from_the_object() -> None:
    seen = np.concatenate([object_points(CENTRE), [[0.05, 0.0, 0.1]]])
    at_base = dataclasses.replace(world(CENTRE), object_points=seen)
    verdict = judge(good(), world=at_base)
    assert rules(verdict) == {"object collision"} and "link_base and object are" in verdict.reasons[0]


def test_arguments_are_left_as_they_were() -> None:
    before = good().to_dict()
    judge(good())
    assert good().to_dict() == before
