"""A hand of boxes above a table: not only its inner spheres, its corners too."""

from __future__ import annotations

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.rows import HandMotion, apply_step, rotation_exp
from maskdex_core.refine.table_guard import CLEARANCE, SCALE, TableGuard
from maskdex_core.retarget import retarget
from maskdex_core.retarget.retarget import touching_fingers

SHADOW, LEAP = HandModel.load("shadow"), HandModel.load("leap")


def _lowest_skin(pose: HandPose) -> torch.Tensor:
    """Return the z (B,) m of the lowest point of the hand's skin."""
    return pose.to_object(LEAP.surface_points(pose.joints))[..., 2].amin(1)


def _poses(count: int) -> HandPose:
    generator = torch.Generator().manual_seed(3)
    joints = LEAP.lower + (0.2 + 0.6 * torch.rand(count, len(LEAP.joint_names), generator=generator)) * (
        LEAP.upper - LEAP.lower
    )
    return HandPose(joints, rotation_exp(2 * torch.randn(count, 3, generator=generator)), torch.zeros(count, 3))


def test_depth_is_that_of_the_skin_not_of_the_inner_spheres() -> None:
    pose = _poses(40)
    for row in range(40):
        one = pose[[row]]
        table = float(_lowest_skin(one)) + 0.006  # the skin is 6 mm deep
        depth = float(TableGuard(LEAP, table).depth(one))
        assert 0.0025 < depth < 0.011  # covering spheres leave 3 mm bare, and stick out as little
        assert float(TableGuard(LEAP, table - 0.011).depth(one)) == 0.0


def _at(pose: HandPose, guard: TableGuard):
    links = LEAP.link_transforms(pose.joints, pose.object_from_palm)
    return guard.residuals(pose, HandMotion(LEAP, pose, links), _View(links))


class _View:
    """All of a `HandView` that the guard reads."""

    def __init__(self, links: torch.Tensor) -> None:
        self.links = links


def test_rows_equal_finite_differences() -> None:
    pose = _poses(1)
    guard = TableGuard(LEAP, float(_lowest_skin(pose)) + 0.004)
    now = _at(pose, guard)
    assert now.values.shape[1] > 0 and float(now.values.max()) > CLEARANCE / SCALE
    step = 2e-4
    for column in range(now.rows.shape[2]):
        change = torch.zeros(1, now.rows.shape[2])
        change[:, column] = step
        ahead, behind = (_at(apply_step(LEAP, pose, sign * change), guard).values for sign in (1, -1))
        energy = (ahead.square().sum() - behind.square().sum()) / (2 * step)
        expected = 2 * (now.rows[..., column] * now.values).sum()
        assert float((energy - expected).abs()) < 0.05 * float(now.rows.abs().max()) * float(now.values.sum()) + 1.0


def test_what_stands_free_has_no_residual() -> None:
    pose = _poses(5)
    guard = TableGuard(LEAP, float(_lowest_skin(pose).min()) - 0.02)
    assert _at(pose, guard).values.numel() == 0
    assert torch.equal(guard.raised(pose, pose.joints), pose.joints)


def test_raised_fingers_leave_the_table_and_the_others_stay() -> None:
    pose = HandPose(
        LEAP.clamp(torch.full((1, 16), 0.3)), rotation_exp(torch.tensor([[0.0, 1.2, 0.0]])), torch.zeros(1, 3)
    )
    fingertip = pose.to_object(LEAP.tip_points(pose.joints))[0, :, 2].argsort()
    guard = TableGuard(LEAP, float(_lowest_skin(pose)) + 0.003)
    before = float(guard.depth(pose))
    raised = guard.raised(pose, pose.joints)
    after = float(guard.depth(HandPose(raised, pose.rotation, pose.translation)))
    assert before > 0.002 and after < 0.0002
    highest = LEAP.finger_names[int(fingertip[-1])]
    still = [i for i, part in enumerate(LEAP.joint_part.tolist()) if LEAP.part_names[part] == highest]
    assert float((raised - pose.joints).abs()[0, still].max()) < 0.01
    assert ((raised >= LEAP.lower) & (raised <= LEAP.upper)).all()


@pytest.mark.parametrize("family", ["knife", "bowl", "screwdriver"])
def test_a_retargeted_grasp_keeps_its_corners_above_the_table(family: str) -> None:
    grasp = held_grasps()[family]
    touch = touching_fingers(HandOnObject(SHADOW, grasp.target.sdf, 0.0), grasp.pose)
    made = retarget(SHADOW, grasp.pose, HandOnObject(LEAP, grasp.target.sdf, 0.0), touch)
    guard = TableGuard(LEAP, 0.0)
    for joints in (made.pose.joints, made.pregrasp, made.squeeze):
        assert float(guard.depth(HandPose(joints, made.pose.rotation, made.pose.translation))) < 0.0005
