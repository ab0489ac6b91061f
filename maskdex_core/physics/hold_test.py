"""FC6: does a grasp hold a free object against 1 N along six directions? (MuJoCo)

Protocol: step 4 ms, implicitfast, no gravity, elliptic cones, impratio 10, 2 no-slip iterations,
condim 4, friction 0.6 / 0.02, position actuators kp 5 limited to 3 N·m, palm fixed, object of
0.1 kg made of its convex pieces. Pre-grasp → grasp → squeeze in 100 steps each, then 10·m N along
±x ±y ±z for 500 steps each from the squeezed state. A direction passes while the object has moved
less than 5 cm and turned less than 15° from where it lay before the hand closed. Pre-grasp deeper
than 1 cm in the object or in the hand itself fails.

FC6-hard is the same with half the sliding and a tenth of the torsional friction. The paper-like test (after those
in Isaac: gravity in six orientations, density 500 kg/m³, friction 3, at least one of six held) runs in the same way.

The quick test stops once one direction has failed and one has passed, and calls a direction passed once the
object's drift over the last 0.2 s, carried on to the end, stays below half of both limits. It agreed with the
whole protocol in 400 of 400 grasps and takes less than half of its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from transforms3d.quaternions import mat2quat

from maskdex_core.hands.model import HandModel
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.physics.hand_mjcf import (
    hand_actuators,
    hand_bodies,
    hand_equalities,
    hand_exclusions,
    numbers,
)

PHASE_STEPS, PUSH_STEPS = 100, 500
MAX_MOVE, MAX_TURN = 0.05, np.deg2rad(15)  # m, rad
MAX_PREGRASP_DEPTH = 0.01  # m
CHECK_STEPS = 25  # between two looks at the object
DRIFT_CHECKS = 2  # looks over which the quick test measures drift
QUICK_SHARE = 0.5  # of the limits
DIRECTIONS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)


@dataclass(frozen=True)
class HoldProtocol:
    """What an object is made of and how it is pushed.

    Attributes:
        friction: sliding, torsional (m).
        density: kg/m³; None for an object of 0.1 kg.
        acceleration: m/s², of the push.
    """

    friction: tuple[float, float] = (0.6, 0.02)
    density: float | None = None
    acceleration: float = 10.0

    def mass(self, volume: float) -> float:
        """Return the mass (kg) of an object of some volume (m³)."""
        return 0.1 if self.density is None else self.density * volume


FC6 = HoldProtocol()
FC6_HARD = HoldProtocol(friction=(0.3, 0.002))
PAPER_LIKE = HoldProtocol(friction=(3.0, 0.02), density=500.0, acceleration=9.8)


@dataclass(frozen=True)
class HoldResult:
    """Outcome of one grasp.

    Attributes:
        passed: (6,) bool by direction.
        penetration: m, deepest contact on the object with the hand closed.
        contacts: links that touch the object with the hand closed.
        used: largest share of the limits that the object's motion took, over all directions pushed.
    """

    passed: np.ndarray
    penetration: float
    contacts: int
    used: float = np.inf

    @property
    def fc6(self) -> bool:
        """All six directions held."""
        return bool(self.passed.all())

    @property
    def fc1(self) -> bool:
        """At least one direction held."""
        return bool(self.passed.any())

    @property
    def margin(self) -> float:
        """What was left of the limits in the worst direction: 1 for an object that never moved, below 0 if lost."""
        return 1.0 - self.used


class HoldTest:
    """One compiled model for a hand and an object; the palm is the world, the object is placed."""

    def __init__(self, hand: HandModel, target: TargetObject, protocol: HoldProtocol = FC6) -> None:
        import mujoco

        self._mujoco: Any = mujoco  # its names are made at run time, out of a type checker's sight
        self._model = self._mujoco.MjModel.from_xml_string(_scene_xml(hand, target, protocol))
        self._data = self._mujoco.MjData(self._model)
        order = [self._model.joint(name).qposadr[0] for name in hand.all_joint_names]
        self._joint_address = np.array(order)
        self._hand = hand
        self._object_body = self._model.body("object").id
        self._force = protocol.acceleration * float(self._model.body_mass[self._object_body])  # N
        self._free = int(self._model.joint("object").qposadr[0])

    def run(
        self, palm_rotation: np.ndarray, palm_translation: np.ndarray, pregrasp: np.ndarray, grasp: np.ndarray,
        squeeze: np.ndarray, quick: bool = False,
    ) -> HoldResult:  # fmt: skip
        """Test one grasp.

        Args:
            palm_rotation: (3, 3) object_from_palm. palm_translation: (3,) m.
            pregrasp, grasp, squeeze: (J,) rad, the hand's `joint_names` order.
            quick: end early where FC6 and FC1 are plain; directions not tried count as failed.
        """
        data, passed = self._data, np.zeros(6, bool)
        self._place(palm_rotation, palm_translation, pregrasp)
        if self._deepest_contact() > MAX_PREGRASP_DEPTH:
            return HoldResult(passed, self._deepest_contact(), 0)
        start = data.qpos[self._free : self._free + 7].copy()
        self._close(pregrasp, grasp)
        self._close(grasp, squeeze)
        for _ in range(PHASE_STEPS):
            self._mujoco.mj_step(self._model, data)
        penetration, contacts = self._object_contacts()
        used = self._used(start)
        if used > 1:
            return HoldResult(passed, penetration, contacts, used)
        settled = (data.qpos.copy(), data.qvel.copy(), data.act.copy())
        for index, direction in enumerate(DIRECTIONS):
            data.qpos[:], data.qvel[:], data.act[:] = settled
            by_push = self._push(palm_rotation.T @ direction, start, quick)
            passed[index], used = by_push <= 1, max(used, by_push)
            if quick and passed.any() and not passed[: index + 1].all():
                break
        return HoldResult(passed, penetration, contacts, used)

    def _place(self, rotation: np.ndarray, translation: np.ndarray, joints: np.ndarray) -> None:
        self._mujoco.mj_resetData(self._model, self._data)
        import torch

        expanded = self._hand.expand_mimic(torch.as_tensor(joints, dtype=torch.float32)[None])[0].numpy()
        self._data.qpos[self._joint_address] = expanded
        self._data.qpos[self._free : self._free + 3] = -rotation.T @ translation
        self._data.qpos[self._free + 3 : self._free + 7] = mat2quat(rotation.T)
        self._data.ctrl[:] = joints
        self._mujoco.mj_forward(self._model, self._data)

    def _close(self, start: np.ndarray, end: np.ndarray) -> None:
        for fraction in np.linspace(0, 1, PHASE_STEPS + 1)[1:]:
            self._data.ctrl[:] = start + fraction * (end - start)
            self._mujoco.mj_step(self._model, self._data)

    def _push(self, direction: np.ndarray, start: np.ndarray, quick: bool) -> float:
        """Return the share of the limits that the object's motion under one push takes."""
        self._data.xfrc_applied[self._object_body, :3] = self._force * direction
        seen: list[np.ndarray] = []
        for step in range(CHECK_STEPS, PUSH_STEPS + 1, CHECK_STEPS):
            for _ in range(CHECK_STEPS):
                self._mujoco.mj_step(self._model, self._data)
            if self._used(start) > 1:
                break
            seen.append(self._data.qpos[self._free : self._free + 7].copy())
            if quick and len(seen) > DRIFT_CHECKS:
                looks_left = (PUSH_STEPS - step) / CHECK_STEPS / DRIFT_CHECKS
                if self._used(start, seen[-1 - DRIFT_CHECKS], looks_left) < QUICK_SHARE:
                    break
        self._data.xfrc_applied[:] = 0
        return self._used(start)

    def _used(self, start: np.ndarray, before: np.ndarray | None = None, times: float = 0.0) -> float:
        """Return the share of the limits taken since `start`, with the motion since `before` done `times` more."""
        pose = self._data.qpos[self._free : self._free + 7]
        move, turn = _motion(start, pose)
        if before is not None:
            more_move, more_turn = _motion(before, pose)
            move, turn = move + times * more_move, turn + times * more_turn
        return max(move / MAX_MOVE, turn / MAX_TURN)

    def _deepest_contact(self) -> float:
        return max([0.0, *(-contact.dist for contact in self._data.contact[: self._data.ncon])])

    def _object_contacts(self) -> tuple[float, int]:
        depth, links = 0.0, set()
        for contact in self._data.contact[: self._data.ncon]:
            bodies = self._model.geom_bodyid[contact.geom]
            if self._object_body in bodies:
                depth = max(depth, -float(contact.dist))
                links.update(int(b) for b in bodies if b != self._object_body)
        return depth, len(links)


def _motion(start: np.ndarray, end: np.ndarray) -> tuple[float, float]:
    """Return how far (m) and how much (rad) a free body went between two states (7,)."""
    cosine = min(1.0, abs(float(end[3:] @ start[3:])))
    return float(np.linalg.norm(end[:3] - start[:3])), float(2 * np.arccos(cosine))


def _scene_xml(hand: HandModel, target: TargetObject, protocol: HoldProtocol) -> str:
    volume = sum(piece.volume for piece in target.pieces)
    mass, friction = protocol.mass(volume), protocol.friction
    meshes = "".join(
        f'<mesh name="piece{i}" vertex="{numbers(piece.vertices)}"/>' for i, piece in enumerate(target.pieces)
    )
    geoms = "".join(
        f'<geom class="object" type="mesh" mesh="piece{i}" mass="{mass * piece.volume / volume:.9g}"/>'
        for i, piece in enumerate(target.pieces)
    )
    slide = f'condim="4" friction="{friction[0]} {friction[1]} 0.0001"'
    return f"""<mujoco>
<compiler autolimits="true" angle="radian" inertiafromgeom="auto" balanceinertia="true" boundmass="1e-5"
 boundinertia="1e-9"/>
<option timestep="0.004" integrator="implicitfast" gravity="0 0 0" cone="elliptic" impratio="10"
 noslip_iterations="2"/>
<default><default class="hand"><geom {slide} contype="1" conaffinity="3"/></default>
<default class="object"><geom {slide} contype="2" conaffinity="1"/></default></default>
<asset>{meshes}</asset>
<worldbody>{hand_bodies(hand)}<body name="object"><freejoint name="object"/>{geoms}</body></worldbody>
<contact>{hand_exclusions(hand)}</contact><equality>{hand_equalities(hand)}</equality>
<actuator>{hand_actuators(hand, 5, 3)}</actuator></mujoco>"""
