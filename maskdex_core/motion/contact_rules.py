"""Which contacts a motion may have, by phase, and the sentence for each that it may not have.

Index legend: T configurations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskdex_core.motion.collision import Clearance, CollisionModel, Posed
from maskdex_core.motion.types import APPROACH, CLOSE, LIFT, TRANSIT


@dataclass(frozen=True)
class SafetySettings:
    """Tolerances of the safety verdict."""

    start_tolerance: float = 0.01
    """rad, greatest distance of the first point from the robot's state"""
    self_clearance: float = 0.005
    """m between parts of arm and hand"""
    arm_table_clearance: float = 0.01
    """m between arm and table"""
    hand_table_clearance: float = 0.0
    """m between hand and table; fingers pass close to it under low objects"""
    arm_object_clearance: float = 0.01
    """m between arm and object, in all phases; in the lift the object moves with the hand"""
    obstacle_clearance: float = 0.01
    """m between the robot and everything else that was seen, in all phases"""
    hand_object_transit: float = 0.01
    """m between hand and object in transit"""
    hand_object_approach: float = 0.0
    """m between hand and object in the approach before its last `contact_distance`"""
    contact_distance: float = 0.01
    """m of way at the end of the approach in which the hand may touch the object"""
    collision_step: float = 0.01
    """m that no point of the robot exceeds between two configurations that are checked"""
    consistency_jerk: float = 200.0
    """rad/s^3; positions, velocities and accelerations may differ by what this jerk does between points"""


DEFAULT_SAFETY = SafetySettings()


def collision_reasons(
    model: CollisionModel,
    arm_positions: np.ndarray,
    hand_positions: np.ndarray,
    phases: np.ndarray,
    settings: SafetySettings = DEFAULT_SAFETY,
    times: np.ndarray | None = None,
) -> list[str]:
    """Return one sentence for each kind of contact that breaks its clearance, at its worst moment.

    Args:
        arm_positions: (T, 7) rad.
        hand_positions: (T, J) rad.
        phases: (T,) phase name of each configuration.
        times: (T,) s, named in the sentences when given.
    """
    posed = model.pose(arm_positions, hand_positions)
    everywhere = np.ones(len(phases), dtype=bool)
    lifting = phases == LIFT
    early = (phases == APPROACH) & ~_last_of_approach(posed, phases, settings.contact_distance)
    found = [
        ("self collision", model.arm_self(posed), settings.self_clearance, everywhere),
        ("self collision", model.hand_arm(posed), settings.self_clearance, everywhere),
        ("table collision", model.arm_table(posed), settings.arm_table_clearance, everywhere),
        ("table collision", model.hand_table(posed), settings.hand_table_clearance, everywhere),
    ]
    target, obstacles = model.world.target, model.world.obstacles
    if len(obstacles.points):
        for clearance in (model.arm_points(posed, obstacles), model.hand_points(posed, obstacles)):
            found.append(("obstacle collision", clearance, settings.obstacle_clearance, everywhere))
    if len(target.points):
        found.append(("object collision", model.arm_points(posed, target), settings.arm_object_clearance, ~lifting))
        by_hand = model.hand_points(posed, target)
        found.append(("object collision", by_hand, settings.hand_object_transit, phases == TRANSIT))
        found.append(("object collision", by_hand, settings.hand_object_approach, early))
    if len(target.points) and lifting.any():
        taken = posed.base_from_tip[np.flatnonzero(lifting)[0]]
        carried = model.arm_points(posed, target, base_from_tip_taken=taken)
        found.append(("object collision", carried, settings.arm_object_clearance, lifting))
    sentences = [_sentence(*rule, phases, times) for rule in found if rule[-1].any()]
    return [sentence for sentence in sentences if sentence]


def workspace_reasons(tip_positions: np.ndarray, workspace: np.ndarray, frame: str, times: np.ndarray) -> list[str]:
    """Return a sentence when tip positions (T, 3) m leave the box workspace (2, 3) m."""
    outside = np.maximum(workspace[0] - tip_positions, tip_positions - workspace[1])
    worst, axis = np.unravel_index(int(np.argmax(outside)), outside.shape)
    if outside[worst, axis] <= 1e-9:
        return []
    low, high = workspace[:, axis]
    return [
        f"workspace: {frame} is at {'xyz'[axis]} = {tip_positions[worst, axis]:.3f} m "
        f"at {times[worst]:.2f} s, outside [{low:g}, {high:g}]"
    ]


def phase_of(times: np.ndarray, phases: dict[str, tuple[float, float]]) -> np.ndarray:
    """Return the phase's name at each time (T,); an instant between two belongs to the first of them."""
    names = np.full(len(times), TRANSIT, dtype=object)
    for name in (LIFT, CLOSE, APPROACH, TRANSIT):
        if name in phases:
            begin, end = phases[name]
            names[(times >= begin - 1e-9) & (times <= end + 1e-9)] = name
    return names


def _last_of_approach(posed: Posed, phases: np.ndarray, distance: float) -> np.ndarray:
    """Return (T,) whether the tip is within `distance` m of where the approach ends."""
    approaching = np.flatnonzero(phases == APPROACH)
    if len(approaching) == 0:
        return np.zeros(len(phases), dtype=bool)
    tip = posed.base_from_tip[:, :3, 3]
    return np.linalg.norm(tip - tip[approaching[-1]], axis=1) <= distance + 1e-9


def _sentence(
    kind: str,
    clearance: Clearance,
    needed: float,
    where: np.ndarray,
    phases: np.ndarray,
    times: np.ndarray | None,
) -> str:
    distance, pair, index = clearance.worst(where)
    if distance >= needed:
        return ""
    when = "" if times is None else f" at {times[index]:.2f} s"
    return (
        f"{kind}: {pair} are {1e3 * distance:.1f} mm apart{when} in {phases[index]}; "
        f"at least {1e3 * needed:g} mm needed"
    )
