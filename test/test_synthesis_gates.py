"""What is kept from physics, gate by gate, and which contacts count as touching what is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.metrics.contact_labels import ContactLabels
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.synthesis.gates import Gates

HAND = HandModel.load("shadow")
CAN = held_grasps()["can"]


@pytest.fixture(scope="module")
def scene() -> HandOnObject:
    return HandOnObject(HAND, CAN.target.sdf, 0.0)


@pytest.fixture(scope="module")
def gates(scene: HandOnObject) -> Gates:
    return Gates(scene, CAN.target)


def _shifted(z: float = 0.0, toward_object: float = 0.0) -> HandPose:
    pose = CAN.pose
    inward = -pose.rotation[0, :, 1] * toward_object  # the palm faces −y
    return HandPose(pose.joints, pose.rotation, pose.translation + inward + torch.tensor([0.0, 0.0, z]))


def test_a_stored_grasp_passes(gates: Gates) -> None:
    assert gates.closed_fits(CAN.pose).all() and gates.natural(CAN.pose).all() and gates.solid(CAN.pose).all()


def test_a_hand_in_the_object_or_in_the_table_does_not(gates: Gates) -> None:
    assert not gates.closed_fits(_shifted(toward_object=0.03)).any()
    assert not gates.solid(_shifted(toward_object=0.03)).any()
    assert not gates.closed_fits(_shifted(z=-0.3)).any()


def test_a_pre_grasp_that_touches_does_not(gates: Gates) -> None:
    opened = HAND.clamp(torch.zeros(1, len(HAND.joint_names)))
    far = _shifted(z=0.4)
    assert gates.opens(far, opened).all()
    assert not gates.opens(_shifted(toward_object=0.05), CAN.pose.joints).any()


def test_a_finger_bent_back_does_not(gates: Gates) -> None:
    joints = CAN.pose.joints.clone()
    joints[:, HAND.joint_names.index("FFJ3")] = float(HAND.lower[HAND.joint_names.index("FFJ3")])
    assert not gates.natural(replace(CAN.pose, joints=joints)).any()


def test_contacts_name_the_parts_they_lie_on(scene: HandOnObject) -> None:
    (touched,) = ContactLabels(scene, CAN.target)(CAN.pose)
    assert touched.real and len(touched.links) == len(touched.parts) >= 2
    assert set(touched.parts) == set(CAN.contact_parts)


class _Shrunk:
    """What is seen of an object whose physics is larger: a surface a centimetre further in."""

    part_names = CAN.target.part_names

    def sample_surface(self, count: int, seed: int = 0):
        points, normals, parts = CAN.target.sample_surface(count, seed)
        return points - 0.01 * normals, normals, parts


def test_contacts_on_filled_in_geometry_are_not_real(scene: HandOnObject) -> None:
    (touched,) = ContactLabels(scene, _Shrunk())(CAN.pose)
    assert not touched.real
