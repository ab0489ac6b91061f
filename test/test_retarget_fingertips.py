"""Pose retargeting: fingertip errors of every hand on the fixed grasps, and the bounds that hold meanwhile."""

import pytest
import torch

from maskdex_core.hands import HandModel, known_hands
from maskdex_core.metrics.dex_retargeting_peer import peer_is_here, peer_row
from maskdex_core.metrics.retargeting import BenchmarkGrasps, benchmark_grasps, fingertip_row, hold_row, table
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.rows import rotation_exp
from maskdex_core.retarget import match_fingertips
from maskdex_core.retarget.fingertips import MatchConfig, palm_bound
from maskdex_core.retarget.landmarks import aligned, knuckles, played_by, rigid_fit, shared_fingers

torch.set_num_threads(1)
SHADOW = HandModel.load("shadow")
GRASPS = benchmark_grasps()
TARGETS = tuple(name for name in known_hands() if name != "shadow")
# Mean and 95th percentile of the fingertip error, mm.
TARGET_MM = {
    "ability": (5, 12), "allegro": (0.5, 2), "freedom_v1": (6, 15), "freedom_v2": (6, 15), "leap": (0.5, 2),
    "shadow_coupled": (0.1, 0.5),
}  # fmt: skip


def test_the_fixed_grasps_are_many_and_diverse():
    assert len(GRASPS.pose) == 100 and len(set(zip(GRASPS.families, GRASPS.seeds, strict=True))) == 100
    assert len(set(GRASPS.families)) == 20 and len(set(GRASPS.grasp_types)) == 5
    assert ((GRASPS.pose.joints >= SHADOW.lower - 1e-3) & (GRASPS.pose.joints <= SHADOW.upper + 1e-3)).all()


@pytest.mark.parametrize("name", TARGETS)
def test_fingertips_come_as_near_as_promised(name):
    row = fingertip_row(HandModel.load(name), GRASPS)
    mean, p95 = TARGET_MM[name]
    assert row.mean_mm <= mean and row.p95_mm <= p95, row
    assert row.grasps == 100 and row.ms < 10, row  # processor time, with room for a busy machine


@pytest.mark.parametrize("name", ["allegro", "freedom_v2", "shadow_coupled"])
def test_the_error_is_the_error_and_limits_hold(name):
    hand = HandModel.load(name)
    made = match_fingertips(SHADOW, GRASPS.pose, hand)
    tips = made.pose.to_object(hand.tip_points(made.pose.joints))
    goals = GRASPS.pose.to_object(SHADOW.tip_points(GRASPS.pose.joints))
    rows = [SHADOW.finger_names.index(finger) for finger in hand.finger_names]
    assert made.fingers == hand.finger_names
    assert ((tips - goals[:, rows]).norm(dim=-1) - made.error).abs().max() < 1e-6
    assert ((made.pose.joints >= hand.lower) & (made.pose.joints <= hand.upper)).all()
    determinant = torch.linalg.det(made.pose.rotation)
    assert (determinant - 1).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["ability", "leap"])
def test_the_palm_stays_near_where_the_landmarks_lie_best(name):
    hand, config = HandModel.load(name), MatchConfig()
    made = match_fingertips(SHADOW, GRASPS.pose, hand)
    middle, least, turned = knuckles(hand), [], []
    for closing in config.closings:
        start = aligned(SHADOW, GRASPS.pose, hand, made.fingers, closing)
        moved = (made.pose.rotation - start.rotation) @ middle + made.pose.translation - start.translation
        relative = made.pose.rotation @ start.rotation.transpose(1, 2)
        cosine = (relative.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2
        least.append(moved.norm(dim=-1) / config.palm_shift)
        turned.append(cosine.clamp(-1, 1).arccos() / config.palm_turn)
    assert torch.maximum(torch.stack(least), torch.stack(turned)).amin(0).max() < 1.01


def test_a_bound_moves_only_what_left_it():
    start = GRASPS.pose[:3]
    bound = palm_bound(SHADOW, start, 0.05, 1.0)
    near = HandPose(start.joints, rotation_exp(torch.full((3, 3), 0.3)) @ start.rotation, start.translation)
    within = bound(near)
    assert torch.equal(within.rotation, near.rotation) and (within.translation - near.translation).norm() < 1e-6
    turned = HandPose(start.joints, rotation_exp(torch.tensor([[2.0, 0, 0]] * 3)) @ start.rotation, start.translation)
    expected = rotation_exp(torch.tensor([[1.0, 0, 0]] * 3)) @ start.rotation
    assert (bound(turned).rotation - expected).abs().max() < 1e-4
    far = HandPose(start.joints, start.rotation, start.translation + torch.tensor([0.0, 0.3, 0.0]))
    assert (bound(far).translation - start.translation - torch.tensor([0.0, 0.05, 0.0])).abs().max() < 1e-6


def test_rigid_fit_finds_the_motion():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 6, 3, generator=generator)
    rotation, shift = rotation_exp(torch.randn(4, 3, generator=generator)), torch.randn(4, 3, generator=generator)
    found, moved = rigid_fit(points, points @ rotation.transpose(1, 2) + shift[:, None])
    assert (found - rotation).abs().max() < 1e-5 and (moved - shift).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["allegro", "leap"])
def test_the_ring_finger_stands_in_for_the_little_one(name):
    hand = HandModel.load(name)
    fingers = shared_fingers(SHADOW, hand)
    assert fingers == ("thumb", "index", "middle", "ring")
    touch = torch.tensor([[1, 1, 0, 0, 1], [1, 1, 0, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    assert played_by(SHADOW, hand, fingers, touch).tolist() == [[0, 1, 2, 4], [0, 1, 2, 3], [0, 1, 2, 3]]


def test_what_a_hand_holds_is_counted():
    pytest.importorskip("mujoco")
    row = hold_row(HandModel.load("freedom_v2"), GRASPS, 1)
    assert row.grasps == row.objects == 1 and 0 <= row.fc6 <= 1 and row.contact_mm < 20
    text = table([fingertip_row(HandModel.load("freedom_v2"), _first(GRASPS, 4))], [row])
    assert "freedom_v2" in text and "FC6" in text and len(text.splitlines()) == 4


def test_beside_dex_retargeting():
    if not peer_is_here():
        pytest.skip("dex-retargeting is not installed")
    few = _first(GRASPS, 10)
    theirs, ours = (measure(HandModel.load("allegro"), few) for measure in (peer_row, fingertip_row))
    assert ours.mean_mm < theirs.mean_mm < 15


def _first(grasps, count):
    return BenchmarkGrasps(
        grasps.pose[:count], grasps.families[:count], grasps.seeds[:count], grasps.grasp_types[:count]
    )
