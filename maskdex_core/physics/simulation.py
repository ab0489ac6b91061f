"""A robot cell in simulation as a program drives it: clouds, joint positions, trajectories in, an outcome out.

Knows no middleware; the ROS node speaks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.errors import DatasetError, unknown_choice
from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.objects.meshes.annotated_mesh import DEFAULT_CUT, AnnotatedMesh
from maskdex_core.objects.meshes.decompose import cut_convex
from maskdex_core.objects.meshes.mesh_object import checked_mesh, read_mesh
from maskdex_core.objects.meshes.part_regions import Annotation
from maskdex_core.objects.procedural import FAMILIES, make_object
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.perception.cloud import Cloud
from maskdex_core.physics.film import Film
from maskdex_core.physics.lift_trial import CONTROL_STEP, HOLD, LiftResult, LiftWatch, controllers_at, follow
from maskdex_core.physics.scene_camera import SceneCamera
from maskdex_core.physics.table_world import TableWorld
from maskdex_core.physics.trajectory_controller import PointTrajectory
from maskdex_core.planning.robot import Robot

CAMERA_POSITION, CAMERA_TARGET = np.array([0.78, -0.42, 0.50]), np.array([0.45, 0.0, 0.03])  # m
PLACE, YAW = (0.45, 0.0), 0.6  # m and rad, of the object
MOVED = 0.003  # m or rad, beyond which a cloud is rendered again
ARM_STILL, HAND_MOVES = 1e-3, 0.02  # rad/s of a goal
CLOSING = 0.15  # s that the hand has to move over a still arm to count as closing: trajectories start a tick apart


@dataclass(frozen=True)
class CellConfig:
    """What stands in the cell.

    Attributes:
        object: a procedural family, `family_seed`, or the path of a mesh.
        hand: name of a shipped one, or path of its YAML. arm: name. seed: of the camera's noise.
    """

    object: str = "mug"
    hand: str = "freedom_v2"
    arm: str = "xarm7"
    seed: int = 0


class SimulatedCell:
    """Arm, hand, table, object, camera, and the two trajectory controllers.

    Attributes:
        arm, hand: the controllers, named as the topics are.
    """

    def __init__(self, config: CellConfig) -> None:
        """Build the world and let the object come to rest.

        Raises:
            MaskdexError: when object, hand or arm cannot be used.
        """
        arm, hand = Arm.load(config.arm), HandModel.load(config.hand)
        self.world = TableWorld(arm, hand, named_object(config.object))
        self.camera = SceneCamera.at(CAMERA_POSITION, CAMERA_TARGET)
        pose = np.eye(4)
        pose[:2, :2] = [[np.cos(YAW), -np.sin(YAW)], [np.sin(YAW), np.cos(YAW)]]
        pose[:2, 3] = PLACE
        self.world.reset(Robot(arm, hand).home(), pose)
        self.arm, self.hand = controllers_at(self.world)
        self.film = Film(self.world)
        self._watch = LiftWatch(self.world)
        self._rng = np.random.default_rng(config.seed)
        self._cloud: Cloud | None = None
        self._seen_at = np.zeros(0)
        self._given: set[str] = set()
        self._began = 0.0
        self._arm_moved, self._alone = False, 0.0

    def accept(self, part: str, trajectory: PointTrajectory) -> None:
        """Give the controller `arm` or `hand` a trajectory.

        Raises:
            TrajectoryRefused: when a joint_trajectory_controller would refuse it.
        """
        getattr(self, part).accept(trajectory, self.world.time)
        if not self._given:
            self.film, self._began = Film(self.world), self.world.time
        self._given.add(part)

    @property
    def moving(self) -> bool:
        """Whether a controller is under way."""
        return self.world.time < max(self.arm.end, self.hand.end)

    @property
    def done(self) -> bool:
        """Whether arm and hand ran a trajectory, and what they hold was watched for 2 s since."""
        return self._given == {"arm", "hand"} and self.world.time >= max(self.arm.end, self.hand.end) + HOLD

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(max(1, round(seconds / CONTROL_STEP))):
            if self.done:
                return
            follow(self.world, (self.arm, self.hand), self.world.time)
            self.world.advance(CONTROL_STEP)
            if self._given:
                self.film.watch(self.world)
                self._look()

    def _look(self) -> None:
        """Watch the object as the phase asks: a controller is told no phases, so they are read off the goals."""
        arm, hand = (np.abs(part.sample(self.world.time)[1]).max() for part in (self.arm, self.hand))
        self._arm_moved |= arm > ARM_STILL
        if self._alone < CLOSING:
            alone = self._arm_moved and arm < ARM_STILL and hand > HAND_MOVES
            self._alone = self._alone + CONTROL_STEP if alone else 0.0
        if not self.moving:
            self._watch.holding(self.world)
        elif self._alone < CLOSING:
            self._watch.before_closing(self.world)
        else:
            self._watch.moving(self.world)

    def cloud(self) -> Cloud:
        """Return what the camera sees; rendered again only when something moved."""
        state = np.concatenate([self.world.positions, self.world.object_pose[:3].ravel()])
        if self._cloud is None or np.abs(state - self._seen_at).max() > MOVED:
            self._cloud, self._seen_at = self.camera.cloud(self.world, self._rng), state
        return self._cloud

    def result(self) -> LiftResult:
        """Return what became of the object."""
        return self._watch.result()

    def report(self) -> dict[str, Any]:
        """Return the result as plain JSON values; lengths in m, angles in degrees."""
        result = self.result()
        return {
            "object": self.world.target.name,
            "outcome": result.outcome,
            "height": round(result.height, 4),
            "turn": round(float(np.rad2deg(result.turn)), 1),
            "seconds": round(self.world.time - self._began, 2),
        }


def named_object(name: str) -> TargetObject:
    """Return a procedural object (`mug`, or `mug_007` for another one) or the mesh of a file.

    Raises:
        DatasetError: when the name is neither. MeshError: when the mesh cannot be used.
    """
    if Path(name).suffix:
        mesh = checked_mesh(read_mesh(Path(name)), name)
        return AnnotatedMesh.build(
            Path(name).stem, Annotation(family="object", rest="body"), mesh, cut_convex(mesh, DEFAULT_CUT)
        )
    family, _, seed = name.rpartition("_") if name.rpartition("_")[2].isdigit() else (name, "", "0")
    if family not in FAMILIES:
        raise DatasetError(f"{unknown_choice('object', name, FAMILIES)}; or give the path of a mesh")
    return make_object(family, int(seed))
