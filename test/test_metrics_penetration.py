"""Depth of an object in the hand's shapes, and of the hand in itself."""

import math

import numpy as np
import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.metrics.penetration import HandSolid, farthest_points
from maskdex_core.primitives import Primitive
from maskdex_core.refine.pose import HandPose

torch.set_num_threads(1)
HAND = HandModel.load("shadow")
SOLID = HandSolid(HAND)


def _pose(joints: torch.Tensor) -> HandPose:
    return HandPose(joints, torch.eye(3).expand(len(joints), 3, 3), torch.zeros(len(joints), 3))


def _random_poses(count: int) -> HandPose:
    generator = torch.Generator().manual_seed(3)
    share = torch.rand(count, 22, generator=generator)
    rotation, _ = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator))
    rotation[:, :, 0] *= torch.linalg.det(rotation)[:, None]
    shift = 0.3 * torch.randn(count, 3, generator=generator)
    return HandPose(HAND.lower + share * (HAND.upper - HAND.lower), rotation, shift)


def _brute_depth(joints: torch.Tensor, in_palm: np.ndarray, links: tuple[str, ...] | None = None) -> float:
    transforms = HAND.link_transforms(joints[None])[0].double().numpy()
    depths = [
        -shape.signed_distance((in_palm - transforms[link, :3, 3]) @ transforms[link, :3, :3])
        for link, shape in HAND.shapes()
        if links is None or HAND.link_names[link] in links
    ]
    return max(0.0, float(np.max(depths)))


def _in_palm(link: str, shape: Primitive, point: tuple[float, float, float]) -> np.ndarray:
    """Return a point in a shape's frame in the flat hand's palm frame."""
    transform = HAND.link_transforms(torch.zeros(1, 22))[0, HAND.link_index(link)].double().numpy()
    return (transform @ shape.link_from_shape @ [*point, 1.0])[:3]


@pytest.mark.parametrize(
    ("link", "kind", "point", "depth"),
    [
        ("rh_ffmiddle", "capsule", lambda r, half: (r - 0.003, 0.0, 0.0), 0.003),
        ("rh_ffdistal", "capsule", lambda r, half: (0.0, 0.0, half + r - 0.002), 0.002),
        ("rh_thbase", "sphere", lambda r: (0.0, 0.003 - r, 0.0), 0.003),
        ("rh_lfmetacarpal", "box", lambda x, y, z: (x - 0.002, 0.003 - y, 0.0), 0.002),
        ("rh_mfknuckle", "cylinder", lambda r, half: (0.0, 0.001 - r, 0.0), 0.001),
        ("rh_mfknuckle", "cylinder", lambda r, half: (0.0, 0.0, half - 0.0015), 0.0015),
    ],
)
def test_a_point_in_one_shape_has_its_depth(link, kind, point, depth):
    shape = next(shape for shape in HAND.urdf.links[link].shapes if shape.kind == kind)
    placed = _in_palm(link, shape, point(*shape.size))
    found = float(SOLID.penetration(_pose(torch.zeros(1, 22)), placed[None]))
    neighbours = _brute_depth(torch.zeros(22), placed[None], tuple(set(HAND.link_names) - {link}))
    assert found == pytest.approx(max(depth, neighbours), abs=1e-6)
    assert neighbours < depth or kind == "cylinder"  # only knuckles lie in what is next to them


def test_penetration_is_that_of_brute_force_for_any_pose_and_batch():
    pose = _random_poses(10)  # more than are computed at once
    cloud = np.random.default_rng(0).uniform(-0.12, 0.2, size=(3000, 3))
    for some in (pose, pose[8:]):
        depth = SOLID.penetration(some, cloud)
        in_palm = ((torch.tensor(cloud).float() - some.translation[:, None]) @ some.rotation).double().numpy()
        brute = [_brute_depth(joints, points) for joints, points in zip(some.joints, in_palm, strict=True)]
        assert depth.tolist() == pytest.approx(brute, abs=2e-6)
    assert max(brute) > 0.003


def test_the_depth_is_the_push_of_a_plate_against_the_longest_finger():
    shape = HAND.urdf.links["rh_mfdistal"].shapes[0]
    radius, half = shape.size
    tip = _in_palm("rh_mfdistal", shape, (0.0, 0.0, half + radius))
    plate = np.stack(np.meshgrid(*[np.linspace(-0.03, 0.03, 61)] * 2, [0.0]), -1).reshape(-1, 3) + tip
    for push in (-0.02, 0.0005, 0.002):
        pushed = plate - np.array([0.0, 0.0, push])
        depth = float(SOLID.penetration(_pose(torch.zeros(1, 22)), pushed))
        assert depth == pytest.approx(max(push, 0.0), abs=1e-6)


def test_held_grasps_are_shallow_and_no_grasps_give_none():
    for family in ("can", "mug"):
        grasp = held_grasps()[family]
        points = grasp.target.sample_surface(3000)[0]
        assert float(SOLID.penetration(grasp.pose, points)) < 0.003
    assert SOLID.penetration(grasp.pose[:0], points).shape == (0,)


def test_a_flat_and_a_relaxed_hand_do_not_touch_themselves():
    relaxed = torch.zeros(1, 22)
    for name in HAND.joint_names:
        if name[2:] in ("J3", "J2", "J1") and not name.startswith("TH"):
            relaxed[0, HAND.joint_names.index(name)] = 0.6
    relaxed[0, HAND.joint_names.index("THJ4")] = 0.9
    assert SOLID.self_penetration(torch.cat([torch.zeros(1, 22), relaxed])).tolist() == [0.0, 0.0]


def test_pressed_fingers_overlap_by_what_brute_force_finds():
    joints = torch.zeros(1, 22)
    joints[0, HAND.joint_names.index("FFJ4")] = math.radians(20)
    joints[0, HAND.joint_names.index("MFJ4")] = math.radians(-10)
    depth = float(SOLID.self_penetration(joints))
    skin = HAND.surface_points(joints)[0].double().numpy()
    index, middle = ((HAND.surface_part == HAND.part_names.index(f)).numpy() for f in ("index", "middle"))
    outer = tuple(f"rh_{f}{s}" for f in ("ff", "mf") for s in ("proximal", "middle", "distal"))
    brute = max(_brute_depth(joints[0], skin[index], outer[3:]), _brute_depth(joints[0], skin[middle], outer[:3]))
    assert depth == pytest.approx(brute, abs=2e-6) and depth > 0.003


def test_a_thumb_folded_across_reaches_into_the_palm_and_an_opposed_one_does_not():
    joints = torch.zeros(2, 22)
    for name, folded, opposed in (("THJ5", 60, 0), ("THJ4", 30, 70), ("THJ2", 40, 40), ("THJ1", 60, 60)):
        joints[:, HAND.joint_names.index(name)] = torch.tensor([folded, opposed]).deg2rad()
    folded, opposed = SOLID.self_penetration(joints).tolist()
    assert folded > 0.003 and opposed == 0.0


def test_farthest_points_of_a_line_halve_it():
    line = np.stack([np.linspace(0, 1, 9), np.zeros(9), np.zeros(9)], -1)
    assert farthest_points(line, 3).tolist() == [0, 8, 4]
    assert set(farthest_points(line, 5).tolist()) == {0, 2, 4, 6, 8}
    assert sorted(farthest_points(line, 50).tolist()) == list(range(9))
