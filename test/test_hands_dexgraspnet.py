"""DexGraspNet's convention: names, signs and frames agree with ours on numbers."""

import math

import numpy as np
import pytest
from robot_tables import table, walk

from maskdex_core.errors import DatasetError
from maskdex_core.hands import HandModel
from maskdex_core.hands.dexgraspnet import JOINT_NAMES, SIGNS, THEIR_NAMES, from_dexgraspnet, to_dexgraspnet


def _random_grasp(seed):
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(0, 0.8) for name in THEIR_NAMES}
    values |= {f"WRJT{axis}": rng.uniform(-0.2, 0.2) for axis in "xyz"}
    return values | {f"WRJR{axis}": rng.uniform(-1.5, 1.5) for axis in "xyz"}


def test_order_is_the_shadow_models():
    assert HandModel.load("shadow").joint_names == JOINT_NAMES


def test_names_are_offset_by_one_and_four_are_flipped():
    pairs = dict(zip(JOINT_NAMES, zip(THEIR_NAMES, SIGNS, strict=True), strict=True))
    assert pairs["FFJ4"] == ("robot0:FFJ3", -1) and pairs["MFJ4"] == ("robot0:MFJ3", -1)
    assert pairs["RFJ4"] == ("robot0:RFJ3", 1) and pairs["LFJ5"] == ("robot0:LFJ4", 1)
    assert pairs["THJ2"] == ("robot0:THJ1", -1) and pairs["THJ1"] == ("robot0:THJ0", -1)
    assert sum(sign < 0 for sign in SIGNS) == 4


def test_names_and_signs_are_those_of_the_fact_table():
    facts = table("shadow_joint_map")
    ours = {their: (name, sign) for name, their, sign in zip(JOINT_NAMES, THEIR_NAMES, SIGNS, strict=True)}
    assert ours == {their: (row["urdf"], row["sign"]) for their, row in facts.items()}


def test_joint_angles_by_name():
    grasp = _random_grasp(0)
    joints, _, translation = from_dexgraspnet(grasp)
    by_name = dict(zip(JOINT_NAMES, joints, strict=True))
    assert by_name["FFJ4"] == -grasp["robot0:FFJ3"] and by_name["FFJ3"] == grasp["robot0:FFJ2"]
    assert by_name["THJ1"] == -grasp["robot0:THJ0"] and by_name["THJ5"] == grasp["robot0:THJ4"]
    assert translation.tolist() == [grasp["WRJTx"], grasp["WRJTy"], grasp["WRJTz"]]


def test_euler_angles_turn_about_fixed_axes_x_first():
    grasp = _random_grasp(1) | {"WRJRx": math.pi / 2, "WRJRy": 0.0, "WRJRz": math.pi / 2}
    _, rotation, _ = from_dexgraspnet(grasp)
    # x first: the palm's z goes to -y, then z: -y goes to x.
    assert np.allclose(rotation @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    assert np.allclose(rotation @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_there_and_back(seed):
    grasp = _random_grasp(seed)
    back = to_dexgraspnet(*from_dexgraspnet(grasp))
    assert back.keys() == grasp.keys()
    assert max(abs(back[name] - grasp[name]) for name in grasp) < 1e-12


def test_both_hands_put_their_fingertips_in_the_same_place():
    """The same grasp in both fact tables: the palm frames are one, so that fingertips coincide."""
    ours, theirs = table("shadow_menagerie"), table("shadow_dexgraspnet")
    ranges = {joint["name"]: (joint["lower"], joint["upper"]) for joint in theirs["joints"]}
    rng = np.random.default_rng(3)
    # m; the two models differ in the thumb's mount (0.42 mm) and the little finger's metacarpal.
    tolerance = {"ff": 1e-9, "mf": 1e-9, "rf": 1e-9, "th": 0.45e-3, "lf": 1.9e-3}
    for _ in range(50):
        grasp = _random_grasp(0) | {name: rng.uniform(*limits) for name, limits in ranges.items()}
        joints, _, _ = from_dexgraspnet(grasp)
        mine = walk(ours, "rh_palm", {f"rh_{name}": q for name, q in zip(JOINT_NAMES, joints, strict=True)})
        other = walk(theirs, "robot0:palm", grasp)
        for finger, allowed in tolerance.items():
            tip = np.array([0, 0, 0.0275 if finger == "th" else 0.026, 1.0])
            gap = mine[f"rh_{finger}distal"] @ tip - other[f"robot0:{finger}distal"] @ tip
            assert np.linalg.norm(gap) < allowed, finger


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"robot0:THJ5": 0.0}, "joint 'robot0:THJ5' is unknown; known: .*robot0:FFJ0"),
        ({"robot0:FFJ0": math.nan}, "'robot0:FFJ0' is nan; expected a finite number"),
        ({"WRJTx": "far"}, "'WRJTx' is 'far'"),
        ({"robot0:LFJ4": None}, "'robot0:LFJ4' is missing"),
    ],
)
def test_wrong_values_are_named(change, message):
    grasp = {k: v for k, v in (_random_grasp(0) | change).items() if v is not None}
    with pytest.raises(DatasetError, match=message):
        from_dexgraspnet(grasp)


def test_wrong_shapes_are_named():
    with pytest.raises(DatasetError, match=r"joints has shape \(21,\); expected \(22,\)"):
        to_dexgraspnet(np.zeros(21), np.eye(3), np.zeros(3))
    with pytest.raises(DatasetError, match="palm_translation"):
        to_dexgraspnet(np.zeros(22), np.eye(3), np.array([0, np.nan, 0]))
