"""Shadow grasps on another hand: inside its limits, out of the object, fingertips where they were."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.errors import HandError
from maskdex_core.hands import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.rows import HandMotion
from maskdex_core.resources import resource_path
from maskdex_core.retarget import retarget
from maskdex_core.retarget.retarget import DEEPEST, touching_fingers
from maskdex_core.retarget.slope import LEVEL, ROUNDING, SCALE, level_goal, pressed_slope

FAMILIES = ("bottle", "bowl", "brush", "can", "carton", "screwdriver", "spray_bottle", "torch")
SHADOW = HandModel.load("shadow")
FREEDOM = HandModel.load("freedom_v2")


def _retargeted(family, target):
    grasp = held_grasps()[family]
    field = grasp.target.sdf
    touch = touching_fingers(HandOnObject(SHADOW, field, 0.0), grasp.pose)
    scene = HandOnObject(target, field, 0.0)
    made = retarget(SHADOW, grasp.pose, scene, touch)
    return SimpleNamespace(grasp=grasp, touch=touch, scene=scene, made=made)


@pytest.fixture(scope="module")
def on_freedom():
    return {family: _retargeted(family, FREEDOM) for family in FAMILIES}


def _goals(case):
    return case.grasp.pose.to_object(SHADOW.tip_points(case.grasp.pose.joints))


def test_stored_grasps_touch_with_the_fingers_their_labels_say():
    parts = {"th": "thumb", "ff": "index", "mf": "middle", "rf": "ring", "lf": "little"}
    for family in ("can", "knife"):
        grasp = held_grasps()[family]
        touch = touching_fingers(HandOnObject(SHADOW, grasp.target.sdf), grasp.pose)[0]
        labelled = {parts[link[3:5]] for link in grasp.contact_links}
        assert labelled <= {f for f, t in zip(SHADOW.finger_names, touch.tolist(), strict=True) if t}


def test_all_joints_are_inside_the_limits(on_freedom):
    for family, case in on_freedom.items():
        for joints in (case.made.pose.joints, case.made.pregrasp, case.made.squeeze):
            assert joints.shape == (1, 7)
            assert ((joints >= FREEDOM.lower) & (joints <= FREEDOM.upper)).all(), family


def test_mimic_joints_stay_inside_their_limits(on_freedom):
    for case in on_freedom.values():
        moved = FREEDOM.expand_mimic(case.made.squeeze)[0].tolist()
        for name, angle in zip(FREEDOM.all_joint_names, moved, strict=True):
            joint = FREEDOM.urdf.joints[name]
            assert joint.lower - 1e-5 <= angle <= joint.upper + 1e-5, name


def test_nothing_penetrates(on_freedom):
    depths = {family: case.made.penetration.item() for family, case in on_freedom.items()}
    assert max(depths.values()) < 0.002, depths
    for case in on_freedom.values():
        assert case.made.penetration.item() == pytest.approx(case.scene.penetration(case.made.pose).item())


def test_touching_fingertips_go_where_the_shadows_were(on_freedom):
    errors = torch.cat([case.made.contact_error[case.touch] for case in on_freedom.values()])
    assert torch.isfinite(errors).all()
    # m; five fingers round a thin stick are far worse than this, and have no bound here.
    assert errors.median() < 0.006 and errors.quantile(0.75) < 0.012


def test_the_error_reported_is_the_error(on_freedom):
    for case in on_freedom.values():
        assert case.made.fingers == ("thumb", "index", "middle", "ring", "little")
        tips = case.made.pose.to_object(FREEDOM.tip_points(case.made.pose.joints))
        assert (case.made.tip_error - (tips - _goals(case)).norm(dim=-1)).abs().max() < 1e-5


def test_the_fingers_that_touched_touch(on_freedom):
    kept, asked = 0, 0
    for case in on_freedom.values():
        kept += (touching_fingers(case.scene, case.made.pose) & case.touch).sum().item()
        asked += case.touch.sum().item()
    # The try that holds best may let a finger go.
    assert kept >= 0.7 * asked, (kept, asked)


def test_rotations_are_rotations(on_freedom):
    for case in on_freedom.values():
        rotation = case.made.pose.rotation
        assert (rotation @ rotation.transpose(1, 2) - torch.eye(3)).abs().max() < 1e-5
        assert torch.linalg.det(rotation).item() == pytest.approx(1, abs=1e-4)


def test_repeats_exactly(on_freedom):
    again, first = _retargeted("can", FREEDOM).made, on_freedom["can"].made
    assert torch.equal(again.pose.joints, first.pose.joints) and torch.equal(again.squeeze, first.squeeze)


def test_onto_the_same_hand_fingertips_stay():
    case = _retargeted("can", SHADOW)
    # The contacts come back; several postures make them, and which holds best is a matter of the last digits.
    assert case.made.tip_error[case.touch].max() < 0.020 and case.made.contact_error[case.touch].max() < 0.003  # m
    assert case.made.penetration.item() < 0.001


def test_grasps_turned_with_their_object_give_the_same_joints(on_freedom):
    """Moving everything along the table changes nothing in the hand."""
    case, shift = on_freedom["can"], torch.tensor([0.3, -0.2, 0.0])
    pose = case.grasp.pose
    moved = HandPose(pose.joints, pose.rotation, pose.translation + shift)
    scene = HandOnObject(FREEDOM, case.grasp.target.sdf.moved(-shift.numpy()), 0.0)
    made = retarget(SHADOW, moved, scene, case.touch)
    assert (made.pose.joints - case.made.pose.joints).abs().max() < 0.03
    assert (made.pose.translation - shift - case.made.pose.translation).norm() < 0.003


def _without(tmp_path, *fingers):
    """Return freedom_v2 that lacks fingers."""
    numbers = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "little": 5}
    text = resource_path("config/hands/freedom_v2.yaml").read_text()
    for finger in fingers:
        text = "\n".join(line for line in text.split("\n") if not line.startswith(f"  {finger}:"))
        for phalanx in (2, 3, 4):
            for ending in (", ", ",\n  ", "]"):
                link = f"f_link{numbers[finger]}_{phalanx}"
                text = text.replace(f"{link}{ending}", "]" if ending == "]" else "")
    text = text.replace(", ]", "]").replace(",\n  ]", "]")
    path = tmp_path / "fewer.yaml"
    path.write_text(text.replace("name: freedom_v2", "name: fewer"))
    return HandModel.load(path)


def test_a_finger_the_hand_lacks_is_left_out(tmp_path):
    hand = _without(tmp_path, "little")
    assert hand.finger_names == ("thumb", "index", "middle", "ring")
    case = _retargeted("bottle", hand)  # the little finger touches on the Shadow hand
    assert case.touch[0, 4] and case.made.fingers == hand.finger_names
    assert case.made.tip_error.shape == (1, 4) and case.made.penetration.item() < 0.002
    shared = case.touch[:, :4]
    assert case.made.tip_error[shared].max() < 0.02
    assert (touching_fingers(case.scene, case.made.pose) & shared).sum() >= 2


def test_hands_that_share_one_finger_are_refused(tmp_path):
    hand = _without(tmp_path, "index", "middle", "ring", "little")
    with pytest.raises(HandError, match="hands 'shadow' and 'fewer' share 1 fingers; at least 2 are needed"):
        _retargeted("can", hand)


def _pinch(*heights):
    """Two contacts of equal force on a scene whose surface looks up by some slope at each of them."""
    normal = torch.tensor([[[(1 - z * z) ** 0.5 * side, 0.0, z] for side, z in zip((1.0, -1.0), heights, strict=True)]])
    scene = SimpleNamespace(contacts=lambda pose: SimpleNamespace(normal=normal))
    return scene, SimpleNamespace(forces=-5.0 * normal)


@pytest.mark.parametrize(
    ("heights", "slope"), [((0.0, 0.0), 0.0), ((0.6, 0.0), 0.3), ((0.6, -0.9), 0.3), ((1.0, 1.0), 1.0)]
)
def test_slope_is_what_is_pressed_from_above(heights, slope):
    scene, closing = _pinch(*heights)
    assert pressed_slope(scene, closing, None).item() == pytest.approx(slope, abs=1e-6)


def test_between_grasps_that_balance_the_one_on_level_sides_costs_less(on_freedom):
    made = on_freedom["can"].made
    level, steep = (replace(made, slope=torch.tensor([slope])) for slope in (0.05, 0.4))
    assert level.cost.item() == pytest.approx((made.residual + made.penetration / DEEPEST).item())
    assert steep.cost.item() > level.cost.item() + 0.02


def test_contacts_are_drawn_down_from_surfaces_that_look_up():
    links = len(FREEDOM.spec.contact_links)
    pose = HandPose(FREEDOM.clamp(torch.zeros(1, 7)), torch.eye(3)[None], torch.zeros(1, 3))
    frames = FREEDOM.link_transforms(pose.joints, pose.object_from_palm)
    normal = torch.tensor([[0.8, 0.0, 0.6], [1.0, 0.0, 0.05], [0.8, 0.0, 0.6], [0.8, 0.0, -0.6]])
    normal = torch.cat([normal, normal[1:2].expand(links - 4, -1)])[None]
    active = torch.ones(1, links)
    active[0, 2] = 0.0
    contacts = SimpleNamespace(normal=normal, sphere=torch.arange(links)[None])
    centers = FREEDOM.place(frames, FREEDOM.sphere_link, FREEDOM.sphere_center)
    view = SimpleNamespace(contacts=contacts, centers=centers)
    made = level_goal(FREEDOM, active)(pose, HandMotion(FREEDOM, pose, frames), view)
    assert made.values[0].tolist() == pytest.approx([(0.6 - LEVEL) / SCALE] + [0.0] * (links - 1), abs=1e-5)
    assert (made.rows[0, 1:] == 0).all()  # level, idle, and looking down
    assert made.rows[0, 0, -3:].tolist() == pytest.approx(
        [0.0, 0.0, 1 / (SCALE * ROUNDING)]
    )  # up is worse, down better
