"""Arm and hand as one robot: limits, spheres, and motion targets of a grasp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import KDTree

from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import CollisionModel, Posed, World
from maskdex_core.motion.contact_rules import DEFAULT_SAFETY
from maskdex_core.motion.hand import hand_limits, hand_spheres
from maskdex_core.motion.state import ordered_state
from maskdex_core.motion.types import MotionTargets, RobotState
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.clusters import cell_means, voxel_groups
from maskdex_core.perception.segment import Scene
from maskdex_core.planning.bones import hand_bones
from maskdex_core.planning.near_robot import SELF_MARGIN, NearRobot
from maskdex_core.planning.plan import Candidate

OBSTACLE_HEIGHT = 0.02  # m above the table's plane, below which points are the table
OBSTACLE_RANGE = 1.2  # m from the base, beyond which the arm does not get
FLYING_PIXELS = 0.025  # m round the object, where a depth camera invents points
ROBOT_MARGIN = 0.04  # m round the robot, within which points are the robot
SELF_VOXEL = 0.01  # m, of the thinned cloud in which the robot is looked for
WIDEST = 0.1  # m that no shape of the robot sticks out of its capsules' axes and its spheres' centres


@dataclass(frozen=True)
class RobotNames:
    """What the robot is called in its URDF and SRDF, and how the hand sits.

    Attributes:
        base_frame, tip_frame: first and last link of the arm. arm_group: its planning group.
        hand_links: all links of the hand. tip_from_palm: (4, 4) m.
    """

    base_frame: str
    tip_frame: str
    arm_group: str
    hand_links: tuple[str, ...]
    tip_from_palm: np.ndarray


class Robot:
    """An arm with a hand on its flange."""

    def __init__(self, arm: Arm, hand: HandModel) -> None:
        self.arm, self.hand = arm, hand
        self.hand_limits, self._spheres = hand_limits(hand), hand_spheres(hand)
        self._flange_from_palm = hand.flange_from_palm()

    def names(self) -> RobotNames:
        """Return what arm and hand are called."""
        arm = self.arm.config
        links = tuple(self.hand.link_names)
        return RobotNames(arm.base_frame, arm.tip_frame, arm.group, links, self._flange_from_palm)

    def home(self) -> RobotState:
        """Return the arm's home pose with the hand open."""
        opened = np.clip(np.zeros(len(self.hand.joint_names)), self.hand_limits.lower, self.hand_limits.upper)
        return RobotState(self.arm.joint_names, self.arm.home, self.hand.joint_names, opened)

    def world(self, scene: Scene, start: RobotState) -> World:
        """Return what the robot must not hit: the object, the table, and whatever else was seen.

        Points near the table's plane, flying pixels round the object, and the robot itself where it
        stands at `start` are no obstacles.
        """
        target = np.asarray(scene.object_points, np.float64)
        others = np.asarray(scene.scene_points, np.float64)
        heights = others @ scene.table_plane[:3] + scene.table_plane[3]
        others = others[(heights > OBSTACLE_HEIGHT) & (np.linalg.norm(others[:, :2], axis=1) < OBSTACLE_RANGE)]
        others = others[KDTree(target).query(others, distance_upper_bound=FLYING_PIXELS)[0] >= FLYING_PIXELS]
        world = World(target, scene.table_height, self._spheres)
        if len(others) == 0:
            return world
        model, posed = self._standing(start)
        return replace(world, obstacle_points=others[~model.covers(posed, others, ROBOT_MARGIN)])

    def seen_near(self, cloud: Cloud, state: RobotState) -> NearRobot:
        """Return which points of a cloud lie so near the robot that they pass for the robot; none without a pose."""
        pose = cloud.base_from_camera
        if pose is None:
            return NearRobot.nothing()
        model, posed = self._standing(state)
        shapes = np.concatenate([posed.start[0], posed.end[0], posed.spheres[0]])
        points = cloud.points @ pose[:3, :3].T.astype(np.float32) + pose[:3, 3].astype(np.float32)
        near = (points > shapes.min(axis=0) - WIDEST) & (points < shapes.max(axis=0) + WIDEST)
        rows = np.flatnonzero(near.all(axis=1))
        if len(rows) == 0:
            return NearRobot.nothing()
        _, voxel = voxel_groups(points[rows], SELF_VOXEL)
        middles = cell_means(points[rows], voxel, np.bincount(voxel))
        distance, part = (of_voxel[voxel] for of_voxel in model.nearest(posed, middles))
        kept = distance < SELF_MARGIN
        return NearRobot(rows[kept], points[rows[kept]], distance[kept], part[kept])

    def _standing(self, state: RobotState) -> tuple[CollisionModel, Posed]:
        model = CollisionModel(self.arm, World(hand=self._spheres))
        arm, hand = ordered_state(state, self.arm, self.hand_limits, DEFAULT_SAFETY.start_tolerance)
        return model, model.pose(arm[None], hand[None])

    def targets(
        self, base_from_palm: np.ndarray, approach: np.ndarray, stand_off: float, lift: float,
        pregrasp: np.ndarray, grasp: np.ndarray, squeeze: np.ndarray,
    ) -> MotionTargets:  # fmt: skip
        """Return flange poses and hand joints of one grasp.

        Args:
            base_from_palm: (4, 4). approach: (3,) unit direction toward the grasp, base frame.
            stand_off, lift: m. pregrasp, grasp, squeeze: (J,) rad.
        """
        grasp_pose = base_from_palm @ np.linalg.inv(self._flange_from_palm)
        approach_pose, lift_pose = grasp_pose.copy(), grasp_pose.copy()
        approach_pose[:3, 3] -= stand_off * approach
        lift_pose[2, 3] += lift
        lower, upper = self.hand_limits.lower, self.hand_limits.upper
        clipped = [np.clip(joints, lower, upper) for joints in (pregrasp, grasp, squeeze)]
        return MotionTargets(approach_pose, grasp_pose, lift_pose, *clipped)

    def arm_points(self, positions: np.ndarray) -> np.ndarray:
        """Return the origins (L, 3) m of the arm's links at joint positions (7,), base frame."""
        return self.arm.link_transforms(positions[None])[0, :, :3, 3]

    def hand_triangles(self, joints: np.ndarray, base_from_palm: np.ndarray) -> np.ndarray:
        """Return the surfaces of the hand's shapes (F, 3, 3) m in base; for pictures."""
        with torch.no_grad():
            poses = self.hand.link_transforms(torch.as_tensor(joints, dtype=torch.float32)[None])[0].double().numpy()
        placed = [
            shape.triangles() @ (base_from_palm @ poses[link])[:3, :3].T + (base_from_palm @ poses[link])[:3, 3]
            for link, shape in self.hand.shapes()
        ]
        return np.concatenate(placed)

    def hand_bones(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """Return the hand as lines (C, S, 2, 3) m in base for every candidate; for pictures."""
        poses = np.stack([candidate.palm_pose for candidate in candidates])
        return hand_bones(self.hand, np.stack([candidate.joints for candidate in candidates]), poses)

    def hand_points(self, joints: np.ndarray, base_from_palm: np.ndarray) -> np.ndarray:
        """Return the hand's skin (2000, 3) m in base."""
        with torch.no_grad():
            local = self.hand.surface_points(torch.as_tensor(joints, dtype=torch.float32)[None])[0].double().numpy()
        return local @ base_from_palm[:3, :3].T + base_from_palm[:3, 3]
