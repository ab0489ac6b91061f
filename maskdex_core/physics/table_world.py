"""A robot at a table with one object on it, in MuJoCo: the world in which whole motions are tried.

Gravity 9.81 m/s², step 2 ms, implicitfast, elliptic cones, impratio 10, 2 no-slip iterations. Friction 0.6
sliding and 0.02 torsional everywhere; on the table also 0.5 mm of rolling, without which a marker never stops.
The table's top is z = 0 of the arm's base frame, which is the world's.

Index legend: J driven joints, arm first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from transforms3d.quaternions import mat2quat, quat2mat

from maskdex_core.errors import MaskdexError
from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.types import RobotState
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.physics.hand_mjcf import numbers
from maskdex_core.physics.object_mass import TEST_MASS
from maskdex_core.physics.robot_mjcf import (
    ARM_CONTACTS,
    HAND_CONTACTS,
    OBJECT_CONTACTS,
    TABLE_CONTACTS,
    VELOCITY_GAIN,
    arm_urdf,
    robot_actuators,
    robot_bodies,
    robot_equalities,
    robot_exclusions,
)

STEP = 0.002  # s
FRICTION = 'friction="0.6 0.02 0.0001"'
TABLE_FRICTION = 'friction="0.6 0.02 0.0005"'
TABLE_CENTER, TABLE_HALF = (0.40, 0.0, -0.02), (0.6, 0.75, 0.02)  # m
DROP = 0.001  # m above the table at which the object is put down
SETTLING = 0.6  # s that it gets to come to rest


class SimulationError(MaskdexError):
    """The simulated world cannot be built, or its numbers ran away."""


class TableWorld:
    """One arm with a hand, one table, one object.

    Attributes:
        joint_names: (J,) driven joints, the arm's and then the hand's.
    """

    def __init__(self, arm: Arm, hand: HandModel, target: TargetObject, mass: float = TEST_MASS) -> None:
        """Build the world; `mass` in kg is the object's.

        Raises:
            SimulationError: when MuJoCo is missing or refuses the object.
        """
        try:
            import mujoco
        except ImportError as error:
            raise SimulationError("MuJoCo is not installed: `pip install 'maskdex_ros[sim]'`") from error
        self.mujoco: Any = mujoco  # its names are made at run time, out of a type checker's sight
        self.arm, self.hand, self.target = arm, hand, target
        try:
            self.model = self.mujoco.MjModel.from_xml_string(_world_xml(arm, hand, target, mass))
        except ValueError as error:
            raise SimulationError(f"object {target.name!r} cannot be simulated ({error})") from error
        self.data = self.mujoco.MjData(self.model)
        self.joint_names = (*arm.joint_names, *hand.joint_names)
        self._qpos, self._qvel = self._addresses(self.joint_names)
        self._free = int(self.model.joint("object").qposadr[0])
        self._object = int(self.model.body("object").id)
        self._arms = len(arm.joint_names)

    # ------------------------------------------------------------------ state
    def reset(self, state: RobotState, base_from_object: np.ndarray) -> None:
        """Put the robot at a state and the object (4, 4) just above the table, and let it come to rest.

        Raises:
            SimulationError: when it does not.
        """
        self.mujoco.mj_resetData(self.model, self.data)
        named = {
            **dict(zip(state.arm_joint_names, state.arm_positions, strict=True)),
            **dict(zip(state.hand_joint_names, state.hand_positions, strict=True)),
        }
        positions = np.array([named[name] for name in self.joint_names])
        self._set_joints(positions)
        self.data.qpos[self._free : self._free + 3] = base_from_object[:3, 3] + [0, 0, DROP]
        self.data.qpos[self._free + 3 : self._free + 7] = mat2quat(base_from_object[:3, :3])
        self.command(positions, np.zeros_like(positions))
        self.mujoco.mj_forward(self.model, self.data)
        self.advance(SETTLING)
        self.data.time = 0.0

    def command(self, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Set the servos' goals (J,) rad and rad/s, in the order of `joint_names`."""
        control = np.array(positions, float)
        control[: self._arms] += VELOCITY_GAIN * np.asarray(velocities, float)[: self._arms]
        self.data.ctrl[:] = control

    def advance(self, seconds: float) -> None:
        """Run the physics with the present goals.

        Raises:
            SimulationError: when numbers ran away.
        """
        for _ in range(max(1, round(seconds / STEP))):
            self.mujoco.mj_step(self.model, self.data)
        if not np.isfinite(self.data.qpos).all() or np.abs(self.data.qvel).max() > 1e3:
            raise SimulationError("the simulation became unstable")

    @property
    def time(self) -> float:
        """Seconds since the reset."""
        return float(self.data.time)

    @property
    def positions(self) -> np.ndarray:
        """(J,) rad, in the order of `joint_names`."""
        return self.data.qpos[self._qpos].copy()

    @property
    def velocities(self) -> np.ndarray:
        """(J,) rad/s."""
        return self.data.qvel[self._qvel].copy()

    @property
    def robot_state(self) -> RobotState:
        """Where the robot stands."""
        arm, hand = np.split(self.positions, [self._arms])
        return RobotState(self.arm.joint_names, arm, self.hand.joint_names, hand)

    @property
    def object_pose(self) -> np.ndarray:
        """base_from_object (4, 4) m."""
        pose = np.eye(4)
        pose[:3, 3] = self.data.qpos[self._free : self._free + 3]
        pose[:3, :3] = quat2mat(self.data.qpos[self._free + 3 : self._free + 7])
        return pose

    def link_pose(self, link: str) -> np.ndarray:
        """Return base_from_link (4, 4) m."""
        body = self.data.body(link)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = body.xmat.reshape(3, 3), body.xpos
        return pose

    @cached_property
    def skins(self) -> tuple[tuple[tuple[str, np.ndarray], ...], ...]:
        """Surfaces of arm and of hand: link and triangles (F, 3, 3) m in its frame, shape by shape."""
        arm = [(link.name, shape) for link in arm_urdf(self.arm).links.values() for shape in link.shapes]
        hand = [(self.hand.link_names[index], shape) for index, shape in self.hand.shapes()]
        return tuple(tuple((link, shape.triangles()) for link, shape in shapes) for shapes in (arm, hand))

    # ------------------------------------------------------------------ touch
    def touches_object(self) -> tuple[bool, bool]:
        """Return whether the robot touches the object, and whether the table does."""
        contact = self.data.contact
        bodies = self.model.geom_bodyid[contact.geom[np.asarray(contact.dist) <= 0]].reshape(-1, 2)  # (contacts, 2)
        others = bodies[:, ::-1][bodies == self._object]
        return bool((others > 0).any()), bool((others == 0).any())

    # ------------------------------------------------------------------ inside
    def _addresses(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        joints = [self.model.joint(name) for name in names]
        return np.array([j.qposadr[0] for j in joints]), np.array([j.dofadr[0] for j in joints])

    def _set_joints(self, positions: np.ndarray) -> None:
        import torch

        self.data.qpos[self._qpos] = positions
        driven = torch.as_tensor(positions[self._arms :], dtype=torch.float32)[None]
        everything = self.hand.expand_mimic(driven)[0].double().numpy()
        self.data.qpos[self._addresses(self.hand.all_joint_names)[0]] = everything


def _world_xml(arm: Arm, hand: HandModel, target: TargetObject, mass: float) -> str:
    volume = sum(piece.volume for piece in target.pieces)
    meshes = "".join(
        f'<mesh name="piece{i}" vertex="{numbers(piece.vertices)}"/>' for i, piece in enumerate(target.pieces)
    )
    geoms = "".join(
        f'<geom class="object" type="mesh" mesh="piece{i}" mass="{mass * piece.volume / volume:.9g}"/>'
        for i, piece in enumerate(target.pieces)
    )
    return f"""<mujoco>
<compiler autolimits="true" angle="radian" inertiafromgeom="auto" balanceinertia="true" boundmass="1e-5"
 boundinertia="1e-9"/>
<option timestep="{STEP}" integrator="implicitfast" gravity="0 0 -9.81" cone="elliptic" impratio="10"
 noslip_iterations="2"/>
<default><geom condim="4" {FRICTION}/>
<default class="arm"><geom {ARM_CONTACTS}/></default><default class="hand"><geom {HAND_CONTACTS}/></default>
<default class="object"><geom {OBJECT_CONTACTS}/></default></default>
<asset>{meshes}</asset>
<worldbody><geom name="table" type="box" pos="{numbers(TABLE_CENTER)}" size="{numbers(TABLE_HALF)}" condim="6"
 {TABLE_FRICTION} {TABLE_CONTACTS}/>{robot_bodies(arm, hand)}
<body name="object"><freejoint name="object"/>{geoms}</body></worldbody>
<contact>{robot_exclusions(hand)}</contact><equality>{robot_equalities(hand)}</equality>
<actuator>{robot_actuators(arm, hand)}</actuator></mujoco>"""
