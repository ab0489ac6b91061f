"""The simulated world: things rest, the arm follows, a good grasp lifts, an open hand does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from held_grasps import HeldGrasp, held_grasps

from maskdex_core.errors import CloudError, PlanRejected
from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import World
from maskdex_core.motion.hand import hand_spheres
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.time_scaling import time_point_to_point
from maskdex_core.motion.types import JointTrajectory, RobotTrajectory
from maskdex_core.objects.object_model import ObjectModel
from maskdex_core.objects.procedural import make_object
from maskdex_core.perception.segment import segment
from maskdex_core.physics.lift_trial import (
    CONTROL_STEP,
    HEIGHT,
    LIFTED,
    controllers_at,
    follow,
    point_trajectory,
    run_lift,
)
from maskdex_core.physics.object_mass import HEAVIEST, LIGHTEST, typical_mass
from maskdex_core.physics.robot_mjcf import robot_actuators
from maskdex_core.physics.scene_camera import SceneCamera
from maskdex_core.physics.simulation import CAMERA_POSITION, CAMERA_TARGET
from maskdex_core.physics.table_world import TableWorld
from maskdex_core.planning.near_robot import segment_beside
from maskdex_core.planning.robot import Robot
from maskdex_core.refine.approach import approach_direction
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")

PLACE = np.array([0.45, 0.05, 0.0])


@pytest.fixture(scope="module")
def robot() -> Robot:
    return Robot(Arm.load("xarm7"), HandModel.load("freedom_v2"))


def world_with(robot: Robot, target: ObjectModel, mass: float = 0.1) -> TableWorld:
    world = TableWorld(robot.arm, robot.hand, target, mass)
    pose = np.eye(4)
    pose[:3, 3] = PLACE
    world.reset(robot.home(), pose)
    return world


@pytest.mark.parametrize("family", ["can", "mug", "hammer"])
def test_an_object_rests_on_the_table_and_the_robot_keeps_its_place(robot: Robot, family: str) -> None:
    world = world_with(robot, make_object(family, 3))
    before = world.object_pose
    world.advance(0.5)
    assert np.abs(world.object_pose - before).max() < 2e-4
    assert world.touches_object() == (False, True)
    home = robot.home()
    wanted = np.concatenate([home.arm_positions, home.hand_positions])
    assert np.abs(world.positions - wanted).max() < 2e-3
    assert world.joint_names == (*robot.arm.joint_names, *robot.hand.joint_names)


def test_the_hands_servos_are_as_stiff_as_its_yaml_says() -> None:
    hand = HandModel.load("leap")
    hand.spec = dataclasses.replace(hand.spec, stiffness=2.5)
    assert robot_actuators(Arm.load("xarm7"), hand).count('kp="2.5"') == len(hand.joint_names)


def test_links_are_where_the_arms_own_kinematics_put_them(robot: Robot) -> None:
    world = world_with(robot, make_object("can", 3))
    arm = world.positions[: len(robot.arm.joint_names)]
    assert world.link_pose("link_eef") == pytest.approx(robot.arm.forward(arm[None])[0], abs=1e-6)


def stored_lift(robot: Robot, grasp: HeldGrasp, opened: bool) -> tuple[TableWorld, RobotTrajectory]:
    """Return a world and a lift by a stored grasp, at the first yaw of the object that the arm reaches.

    Args:
        opened: the hand stays at its pre-grasp.
    """
    scene = HandOnObject(robot.hand, grasp.target.sdf, 0.0)
    opening = HandPose(
        torch.tensor(grasp.pregrasp, dtype=torch.float32)[None], grasp.pose.rotation, grasp.pose.translation
    )
    approach = approach_direction(scene, opening, 0.06)[0][0].double().numpy()
    object_from_palm = np.eye(4)
    object_from_palm[:3, :3], object_from_palm[:3, 3] = grasp.rotation, grasp.translation
    surface = grasp.target.sample_surface(400)[0]
    joints = (grasp.pregrasp,) * 3 if opened else (grasp.pregrasp, grasp.joints, grasp.squeeze)
    for yaw in np.linspace(-np.pi, np.pi, 12, endpoint=False):
        pose = np.eye(4)
        pose[:2, :2], pose[:3, 3] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]], PLACE
        targets = robot.targets(pose @ object_from_palm, pose[:3, :3] @ approach, 0.06, 0.13, *joints)
        seen = World(surface @ pose[:3, :3].T + PLACE, 0.0, hand_spheres(robot.hand))
        try:
            trajectory = plan_motion(robot.arm, robot.hand_limits, robot.home(), targets, seen, 0.4)
        except PlanRejected:
            continue
        world = TableWorld(robot.arm, robot.hand, grasp.target)
        world.reset(robot.home(), pose)
        return world, trajectory
    raise AssertionError("the arm reaches the grasp at no yaw")


@pytest.mark.parametrize(("opened", "lifted"), [(False, True), (True, False)])
def test_a_stored_grasp_lifts_its_object_and_an_open_hand_does_not(opened: bool, lifted: bool) -> None:
    robot = Robot(Arm.load("xarm7"), HandModel.load("shadow"))
    world, trajectory = stored_lift(robot, held_grasps()["can"], opened)
    result = run_lift(world, trajectory)
    assert (result.outcome == LIFTED) is lifted
    assert (result.height > HEIGHT) is lifted
    assert world.touches_object()[1] is not lifted


def test_the_arm_follows_a_trajectory_within_a_few_milliradians(robot: Robot) -> None:
    world = world_with(robot, make_object("can", 3))
    limits = robot.arm.limits.joined(robot.hand_limits)
    start = world.positions
    goal = start.copy()
    goal[:7] += [0.5, -0.2, 0.3, 0.2, -0.4, 0.2, 0.6]
    path = time_point_to_point(start, goal, limits, 0.5, 0.02)
    arm, hand = controllers_at(world)
    split = len(robot.arm.joint_names)
    arrays = (path.positions[1:, :split], path.velocities[1:, :split], path.accelerations[1:, :split])
    arm.accept(point_trajectory(JointTrajectory(robot.arm.joint_names, path.times[1:], *arrays)), world.time)
    worst = 0.0
    while world.time < path.times[-1] + 0.5:
        follow(world, (arm, hand), world.time)
        world.advance(CONTROL_STEP)
        worst = max(worst, float(np.abs(world.positions[:split] - arm.sample(world.time)[0]).max()))
    assert worst < 0.02
    assert np.abs(world.positions[:split] - goal[:split]).max() < 1e-3


def test_the_camera_sees_the_object_where_it_stands_once_the_robot_is_left_out(robot: Robot) -> None:
    world = world_with(robot, make_object("mug", 3))
    camera = SceneCamera.at(np.array([0.78, -0.42, 0.50]), np.array([0.45, 0.0, 0.03]))
    cloud = camera.cloud(world, np.random.default_rng(0))
    assert cloud.points.shape == (480 * 640, 3)
    assert 0.02 < np.isnan(cloud.points[:, 0]).mean() < 0.6  # holes, and the empty room
    scene = segment(robot.seen_near(cloud, world.robot_state).left_out_of(cloud))
    assert np.abs(scene.object_centroid[:2] - PLACE[:2]).max() < 0.03
    assert scene.table_height == pytest.approx(0.0, abs=0.002)
    extent = np.ptp(world.target.bounds, axis=0)
    assert scene.object_extent[2] == pytest.approx(extent[2], abs=0.015)


def test_a_jug_that_the_hand_touches_is_refused_with_the_hand_named() -> None:
    """The fingers of the LEAP hand at home hang to the jug's rim, between its body and its handle."""
    robot = Robot(Arm.load("xarm7"), HandModel.load("leap"))
    world = TableWorld(robot.arm, robot.hand, make_object("jug", 3))
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(3), -np.sin(3)], [np.sin(3), np.cos(3)]]
    pose[:2, 3] = 0.349, 0.029
    world.reset(robot.home(), pose)
    cloud = SceneCamera.at(CAMERA_POSITION, CAMERA_TARGET).cloud(world, np.random.default_rng(0))
    assert (
        len(segment(robot.seen_near(cloud, world.robot_state).left_out_of(cloud)).object_points) > 1000
    )  # what is left of it
    with pytest.raises(CloudError, match="the object stands within 3 cm of the hand"):
        segment_beside(robot.seen_near(cloud, world.robot_state), cloud, None)


def test_typical_masses_are_those_of_things_on_a_table() -> None:
    assert 0.2 < typical_mass(make_object("mug", 3)) < 0.6
    for family in ("knife", "spoon", "hammer", "jug"):
        assert LIGHTEST <= typical_mass(make_object(family, 3)) <= HEAVIEST
