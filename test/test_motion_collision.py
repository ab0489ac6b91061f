"""Distances of the collision model against brute force and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from motion_scene import hand_spheres

from maskdex_core.errors import RobotError
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import FAR, CollisionModel, HandSpheres, World, segment_distance
from maskdex_core.motion.contact_rules import are_free, collision_reasons, hand_reasons

NO_HAND = np.zeros((1, 0))


@pytest.fixture(scope="module")
def arm() -> Arm:
    return Arm.load("xarm7")


def test_segment_distance_is_the_least_over_a_fine_grid() -> None:
    ends = np.random.default_rng(0).normal(size=(500, 4, 3))
    found = segment_distance(*ends.transpose(1, 0, 2))
    share = np.linspace(0.0, 1.0, 80)[:, None]
    first = ends[:, None, 0] + share * (ends[:, 1] - ends[:, 0])[:, None]
    second = ends[:, None, 2] + share * (ends[:, 3] - ends[:, 2])[:, None]
    grid = np.linalg.norm(first[:, :, None] - second[:, None], axis=-1).min(axis=(1, 2))
    assert (found <= grid + 1e-12).all()
    assert (grid - found).max() < 0.02


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ([[0, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 1, 0]], 1.0),  # parallel
        ([[0, 0, 0], [1, 0, 0]], [[2, 0, 0], [3, 0, 0]], 1.0),  # on one line
        ([[0, 0, 0], [1, 0, 0]], [[0.5, -1, 0], [0.5, 1, 0]], 0.0),  # crossing
        ([[0, 0, 0], [0, 0, 0]], [[0, 0, 2], [0, 0, 5]], 2.0),  # a point
    ],
)
def test_segment_distance_of_special_cases(a: list, b: list, distance: float) -> None:
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    assert segment_distance(a[0], a[1], b[0], b[1]) == pytest.approx(distance, abs=1e-9)


def test_home_and_zero_pose_are_free_of_self_collision(arm: Arm) -> None:
    model = CollisionModel(arm, World(hand=hand_spheres()))
    posed = model.pose(np.stack([arm.home, np.zeros(7)]), np.zeros((2, 7)))
    assert model.arm_self(posed).distance.min() > 0.01
    assert model.hand_arm(posed).distance.min() > 0.01


def test_an_arm_folded_on_itself_collides(arm: Arm) -> None:
    folded = np.array([[0.0, 2.0, np.pi, -0.19, 0.0, -1.6, 0.0]])
    model = CollisionModel(arm, World(table_height=None))
    clearance = model.arm_self(model.pose(folded, NO_HAND))
    distance, pair = clearance.distance[0], clearance.labels[clearance.pair[0]]
    assert distance < 0.0 and "link" in pair
    # the same by brute force over points on the two capsules' axes
    first, second = pair.split(" and ")
    frames = dict(zip(arm.link_names, arm.link_transforms(folded)[0], strict=True))
    axes = []
    for name in (first, second):
        lines = []
        for capsule in (c for c in arm.capsules if c.link == name):
            share = np.linspace(0.0, 1.0, 200)[:, None]
            local = capsule.start + share * (capsule.end - capsule.start)
            lines.append((local @ frames[name][:3, :3].T + frames[name][:3, 3], capsule.radius))
        axes.append(lines)
    gaps = [np.linalg.norm(a[:, None] - b[None], axis=-1).min() - ra - rb for a, ra in axes[0] for b, rb in axes[1]]
    assert min(gaps) == pytest.approx(distance, abs=1e-3)


def test_table_distance_is_height_above_the_table(arm: Arm) -> None:
    hand = HandSpheres.rigid(np.array([[0.0, 0.0, 0.2]]), np.array([0.02]))
    height = float(arm.forward(arm.home[None])[0, 2, 3])
    for table in (0.0, 0.1, -0.3):
        model = CollisionModel(arm, World(table_height=table, hand=hand))
        posed = model.pose(arm.home[None], np.zeros((1, 7)))
        assert model.hand_table(posed).distance[0] == pytest.approx(height - 0.22 - table, abs=1e-4)
    free = CollisionModel(arm, World(table_height=None, hand=hand))
    assert free.hand_table(free.pose(arm.home[None], np.zeros((1, 7)))).distance[0] == np.inf


def test_object_distance_of_a_link_is_a_tight_lower_bound(arm: Arm) -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform([0.2, -0.2, 0.2], [0.4, 0.2, 0.6], (60, 3))
    model = CollisionModel(arm, World(points))
    positions = arm.home + rng.uniform(-0.6, 0.6, (40, 7))
    posed = model.pose(positions, np.zeros((40, 0)))
    found = model.arm_points(posed, model.world.target).distance
    share = np.linspace(0.0, 1.0, 400)[:, None]
    radius = np.array([capsule.radius for capsule in arm.capsules])
    for row in range(40):
        axis = posed.start[row][:, None] + share * (posed.end[row] - posed.start[row])[:, None]
        gap = np.linalg.norm(axis[:, :, None] - points, axis=-1).min(axis=(1, 2)) - radius
        exact = gap.min()
        if exact < FAR - radius.max() - 0.01:
            assert found[row] <= exact + 1e-9
            assert exact - found[row] < 2e-3


def test_a_held_object_moves_with_the_tip(arm: Arm) -> None:
    tip = arm.forward(arm.home[None])[0]
    wrist = arm.link_transforms(arm.home[None])[0, arm.link_names.index("link5")]
    points = (wrist @ [0.07, 0.0, -0.07, 1.0])[None, :3]  # 2 cm beside the forearm when the hand takes it
    model = CollisionModel(arm, World(points))
    turned = arm.home.copy()
    turned[0] += 1.0  # the whole robot and its load turn: nothing changes between them
    posed = model.pose(np.stack([arm.home, turned]), np.zeros((2, 0)))
    held = model.arm_points(posed, model.world.target, base_from_tip_taken=tip)
    assert held.distance[0] == pytest.approx(0.02, abs=2e-3)
    assert held.distance[0] == pytest.approx(held.distance[1], abs=1e-6)
    left = model.arm_points(posed, model.world.target)
    assert left.distance[1] > left.distance[0] + 0.02


def test_hand_spheres_follow_the_hands_joints(arm: Arm) -> None:
    def one_finger(q: np.ndarray) -> np.ndarray:
        return np.stack([np.zeros(len(q)), q[:, 0], np.full(len(q), 0.1)], axis=1)[:, None]

    model = CollisionModel(arm, World(hand=HandSpheres(np.array([0.01]), one_finger)))
    posed = model.pose(np.stack([arm.home] * 2), np.array([[0.0], [0.05]]))
    assert np.linalg.norm(posed.spheres[1] - posed.spheres[0]) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("phase", "gap", "refused"),
    [
        ("transit", 0.005, True),
        ("transit", 0.02, False),
        ("approach", -0.003, False),  # one configuration: the approach's own end
        ("close", -0.01, False),
        ("lift", -0.01, False),
    ],
)
def test_the_hand_may_touch_the_object_only_when_grasping(arm: Arm, phase: str, gap: float, refused: bool) -> None:
    hand = HandSpheres.rigid(np.array([[0.0, 0.0, 0.2]]), np.array([0.02]))
    tip = arm.forward(arm.home[None])[0]
    below = (tip @ [0.0, 0.0, 0.2 + 0.02 + gap, 1.0])[:3]
    model = CollisionModel(arm, World(below[None], hand=hand))
    reasons = collision_reasons(model, arm.home[None], np.zeros((1, 7)), np.array([phase], dtype=object))
    assert bool(reasons) is refused
    if refused:
        assert reasons[0].startswith("object collision: hand and object are 5.0 mm apart in transit")


def test_the_hand_does_not_ram_the_object_at_the_end_of_the_approach(arm: Arm) -> None:
    hand = HandSpheres.rigid(np.array([[0.0, 0.0, 0.2]]), np.array([0.02]))
    inside = (arm.forward(arm.home[None])[0] @ [0.0, 0.0, 0.2 + 0.02 - 0.006, 1.0])[:3]
    model = CollisionModel(arm, World(inside[None], hand=hand))
    reasons = collision_reasons(model, arm.home[None], np.zeros((1, 7)), np.array(["approach"], dtype=object))
    assert reasons == ["object collision: hand and object are -6.0 mm apart in approach; at least -4 mm needed"]


def test_the_hand_alone_is_judged_as_on_the_arm(arm: Arm) -> None:
    """What the hand hits is the same whether the arm is posed with it or not."""
    model = CollisionModel(arm, World(np.array([[0.32, 0.0, 0.27]]), 0.2, hand_spheres(), np.array([[0.35, 0.1, 0.3]])))
    rng = np.random.default_rng(3)
    seen = set()
    for arm_positions in arm.home + rng.normal(0.0, 0.2, (30, 1, 7)):
        for phase in ("transit", "approach", "lift"):
            phases, hand = np.array([phase], dtype=object), np.zeros((1, 7))
            alone = hand_reasons(model, arm.forward(arm_positions), hand, phases)
            whole = collision_reasons(model, arm_positions, hand, phases)
            assert set(alone) <= set(whole)
            assert not [reason for reason in set(whole) - set(alone) if "hand and" in reason and "link" not in reason]
            assert are_free(model, arm_positions, hand, phases)[0] == (not whole)
            seen.update(reason.split(":")[0] for reason in alone)
    assert {"table collision", "object collision"} <= seen


def test_object_points_that_are_not_finite_are_refused() -> None:
    with pytest.raises(RobotError, match="object points of shape"):
        World(np.array([[0.0, np.nan, 0.0]]))
