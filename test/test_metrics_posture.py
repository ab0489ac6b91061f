"""The natural-posture score and the rule that rejects crossed, bent-back and knuckle grasps."""

import math

import pytest
import torch
from analytic_fields import ball
from held_grasps import held_grasps

from maskdex_core.errors import HandError
from maskdex_core.hands import HandModel
from maskdex_core.metrics.posture import BENT_BACK, CROSSED, KNUCKLES, natural_posture, unnatural
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

torch.set_num_threads(1)
HAND = HandModel.load("shadow")
RELAXED = {
    **{finger + "J3": 30.0 for finger in ("FF", "MF", "RF", "LF")},
    **{finger + "J2": 36.0 for finger in ("FF", "MF", "RF", "LF")},
    **{finger + "J1": 24.0 for finger in ("FF", "MF", "RF", "LF")},
    "LFJ5": 5.0, "THJ5": 15.0, "THJ4": 50.0, "THJ2": 10.0, "THJ1": 15.0,
}  # fmt: skip
FAR = ball((0, 0, 1.0), 0.03)


def _joints(**degrees: float) -> torch.Tensor:
    values = {**RELAXED, **degrees}
    return torch.tensor([[math.radians(values.get(name, 0.0)) for name in HAND.joint_names]])


def _pose(joints: torch.Tensor) -> HandPose:
    return HandPose(joints, torch.eye(3).expand(len(joints), 3, 3), torch.zeros(len(joints), 3))


def _reason(**degrees: float) -> str | None:
    return unnatural(HandOnObject(HAND, FAR), _pose(_joints(**degrees)))[0]


def _score(**degrees: float) -> float:
    return float(natural_posture(HAND, _joints(**degrees)))


def test_a_relaxed_hand_and_a_fist_score_one():
    assert _score() == pytest.approx(1.0, abs=1e-5)
    fist = {f"{finger}{joint}": angle for finger in ("FF", "MF", "RF", "LF")
            for joint, angle in (("J3", 75.0), ("J2", 84.0), ("J1", 56.0))}  # fmt: skip
    assert _score(**fist) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "strain"),
    [
        ({"FFJ1": 54.0}, 1 / 4),  # 30° off its ratio to J2: one step, one finger of four
        ({"FFJ3": 76.0, "FFJ2": 16.0, "FFJ1": 16 / 1.5}, 1 / 4),  # 60° apart: 20° free, then a step of 40°
        ({"THJ2": -10.0}, 1 / 6),  # one step behind straight, of four knuckles and two thumb joints
        ({"FFJ4": -22.0}, 1 / 3),  # spread from the middle finger by 10° free and one step of 12°
        ({"THJ5": 60.0}, 1 / 5),  # one thumb joint of five at its limit
    ],
)
def test_each_strain_costs_what_the_formula_says(change, strain):
    joints = _joints(**change)
    assert float(natural_posture(HAND, joints)) == pytest.approx(math.exp(-strain / 2), abs=2e-3)


def test_neighbours_spread_the_same_way_cost_nothing():
    # The outer two fingers' J4 turn the other way round.
    assert _score(FFJ4=15.0, MFJ4=15.0, RFJ4=-15.0, LFJ4=-15.0) == pytest.approx(1.0, abs=1e-5)
    assert _score(FFJ4=15.0, MFJ4=15.0, RFJ4=15.0, LFJ4=15.0) < 0.8


def test_a_lone_straight_finger_scores_less_the_more_its_neighbours_curl():
    bends = [{f"{f}{j}": a * share for f in ("MF", "RF", "LF") for j, a in (("J3", 84.0), ("J2", 84.0), ("J1", 56.0))}
             for share in (0.5, 0.75, 1.0)]  # fmt: skip
    straight = {"FFJ3": 0.0, "FFJ2": 0.0, "FFJ1": 0.0}
    scores = [_score(**straight, **bend) for bend in bends]
    assert 1.0 > scores[0] > scores[1] > scores[2] > 0.2


def test_sane_postures_pass():
    assert _reason() is None
    assert _reason(LFJ5=15.0, FFJ4=10.0, MFJ4=-5.0) is None
    assert _reason(FFJ3=-8.0) is None  # a little: any hand does
    assert _reason(THJ1=-15.0) is None


@pytest.mark.parametrize(
    "degrees",
    [
        {"FFJ4": 20.0, "MFJ4": -20.0},
        {"MFJ4": 20.0, "RFJ4": 20.0},
        {"RFJ4": -20.0, "LFJ4": 20.0, "LFJ5": 20.0},
    ],
)
def test_fingers_that_change_their_order_are_crossed(degrees):
    assert _reason(**degrees) == CROSSED
    assert _reason(**{name: -angle for name, angle in degrees.items() if name != "LFJ5"}) is None  # they spread


@pytest.mark.parametrize("degrees", [{"FFJ3": -14.0}, {"RFJ3": -8.0, "RFJ2": 60.0}, {"THJ2": -38.0}])
def test_bent_back_fingers_are_found(degrees):
    assert _reason(**degrees) == BENT_BACK


def test_a_ball_counts_on_the_back_of_a_finger_only():
    joints = _joints(**{name: 0.0 for name in RELAXED if not name.startswith("TH")})
    link = HAND.link_index("rh_ffproximal")
    middle = HAND.link_transforms(joints)[0, link, :3, 3] + torch.tensor([0.0, 0.0, 0.0225])
    found = {}
    sides = {"back": (0, 1, 0), "palm side": (0, -1, 0), "flank": (1, 0, 0), "away": (0, 1.3, 0)}
    for name, side in sides.items():
        center = middle + 0.0245 * torch.tensor(side)  # radius 9 of the finger and 15 of the ball, and 0.5 mm
        found[name] = unnatural(HandOnObject(HAND, ball(center.tolist(), 0.015)), _pose(joints))[0]
    assert found == {"back": KNUCKLES, "palm side": None, "flank": None, "away": None}


def test_most_held_grasps_pass_and_a_batch_answers_for_each_of_its_grasps():
    reasons = []
    for family in ("can", "bottle", "mug"):
        grasp = held_grasps()[family]
        scene = HandOnObject(HAND, grasp.target.sdf)
        bent = grasp.pose.joints.clone()
        bent[:, HAND.joint_names.index("MFJ3")] = -0.25
        both = HandPose.joined([grasp.pose, HandPose(bent, grasp.pose.rotation, grasp.pose.translation)])
        first, second = unnatural(scene, both)
        reasons.append(first)
        assert second is not None and first == unnatural(scene, grasp.pose)[0]
    assert reasons.count(None) >= 2
    assert unnatural(scene, both[:0]) == []


def test_another_hand_is_an_error():
    other = HandModel.load("freedom_v2")
    with pytest.raises(HandError, match=r"freedom_v2.*shadow"):
        natural_posture(other, torch.zeros(1, len(other.joint_names)))
