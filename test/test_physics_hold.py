"""FC6 in MuJoCo: what holds holds again, and what cannot hold fails, for the stated reason."""

import mujoco
import numpy as np
import pytest
from held_grasps import held_grasps, held_object

from maskdex_core.hands import HandModel
from maskdex_core.physics.hold_test import FC6_HARD, HoldTest

FAMILIES = tuple(held_grasps())
AWAY = np.array([0.0, 0.0, 0.5])  # m


@pytest.fixture(scope="module")
def hand():
    return HandModel.load("shadow")


def _run(hand, grasp, **change):
    poses = {"pregrasp": grasp.pregrasp, "grasp": grasp.joints, "squeeze": grasp.squeeze, **change}
    return HoldTest(hand, grasp.target).run(grasp.rotation, poses.pop("translation", grasp.translation), **poses)


def test_stored_grasps_hold_again(hand):
    results = {family: _run(hand, grasp) for family, grasp in held_grasps().items()}
    assert len(results) == 12
    assert sum(result.fc6 for result in results.values()) >= 11
    for result in results.values():
        assert result.fc1 >= result.fc6 and result.contacts >= 2
        assert result.penetration < 0.006  # m, of MuJoCo's soft contacts under the squeeze


def test_the_quick_test_says_the_same_in_fewer_steps(hand, monkeypatch):
    taken = []
    step = mujoco.mj_step
    for quick in (False, True):
        count = [0]

        def counted(*args, count=count):
            count[0] += 1
            step(*args)

        monkeypatch.setattr(mujoco, "mj_step", counted)
        results = {family: _run(hand, held_grasps()[family], quick=quick) for family in FAMILIES}
        taken.append((count[0], {family: result.fc6 for family, result in results.items()}))
        assert all((result.margin >= 0) == result.fc6 for result in results.values() if result.passed.any())
    assert taken[0][1] == taken[1][1]
    assert taken[1][0] < 0.6 * taken[0][0]


def test_without_a_squeeze_few_hold(hand):
    # A touching hand pushes with nothing: measured 0 of 12.
    results = [_run(hand, held_grasps()[family], squeeze=held_grasps()[family].joints) for family in FAMILIES[::2]]
    assert sum(result.fc6 for result in results) <= 1


def test_an_empty_hand_holds_nothing(hand):
    grasp = held_grasps()["can"]
    result = _run(hand, grasp, translation=grasp.translation + AWAY)
    assert not result.passed.any() and result.contacts == 0 and result.penetration == 0


def test_a_pregrasp_inside_the_object_fails_at_once(hand):
    grasp = held_grasps()["can"]
    palm_in_can = grasp.target.bounds.mean(0) - grasp.rotation @ np.array([0.011, 0.0, 0.04])
    result = _run(hand, grasp, translation=palm_in_can)
    assert not result.passed.any() and result.penetration > 0.01


def test_a_pregrasp_inside_the_hand_itself_fails(hand):
    grasp = held_grasps()["can"]
    depth = []
    for angle in (-0.34, 0.34):  # index finger away from the middle finger, and into it
        pregrasp = np.zeros(22)
        pregrasp[hand.joint_names.index("FFJ4")] = angle
        result = _run(hand, grasp, translation=grasp.translation + AWAY, pregrasp=pregrasp)
        assert not result.passed.any()
        depth.append(result.penetration)
    assert depth[0] < 0.001 and depth[1] > 0.01


def test_a_squeeze_that_lets_go_fails(hand):
    grasp = held_grasps()["can"]
    opened = 2 * grasp.pregrasp - grasp.joints
    assert not _run(hand, grasp, squeeze=opened).fc6


def test_repeats_exactly_and_does_not_depend_on_what_ran_before(hand):
    grasp, test = held_grasps()["carton"], HoldTest(hand, held_object("carton", 0))
    poses = (grasp.rotation, grasp.translation, grasp.pregrasp, grasp.joints, grasp.squeeze)
    first = test.run(*poses)
    test.run(grasp.rotation, grasp.translation + 0.02 * AWAY, *poses[2:], quick=True)
    again = test.run(*poses)
    assert again.passed.tolist() == first.passed.tolist() and again.penetration == first.penetration


def test_stopping_early_gives_the_same_verdict(hand):
    grasp = held_grasps()["mug"]
    whole = _run(hand, grasp, squeeze=grasp.joints)
    early = _run(hand, grasp, squeeze=grasp.joints, quick=True)
    assert early.fc6 == whole.fc6 and early.fc1 == whole.fc1 and early.passed.sum() <= whole.passed.sum()


def test_stopping_early_finds_the_one_direction_that_holds(hand, monkeypatch):
    """Only the last direction holds: the quick test must not have given up at the first."""
    shares = iter([2.0] * 5 + [0.5])
    monkeypatch.setattr(HoldTest, "_push", lambda *_: next(shares))
    result = _run(hand, held_grasps()["can"], quick=True)
    assert result.passed.tolist() == [False] * 5 + [True] and result.fc1 and not result.fc6


def test_slippery_hands_hold_less(hand):
    families = ("can", "carton", "spray_bottle", "bowl")
    held = 0
    for grasp in (held_grasps()[family] for family in families):
        test = HoldTest(hand, grasp.target, FC6_HARD)
        held += test.run(grasp.rotation, grasp.translation, grasp.pregrasp, grasp.joints, grasp.squeeze).passed.sum()
    normal = sum(_run(hand, held_grasps()[family]).passed.sum() for family in families)
    assert held < normal
