"""Which contacts a motion may have, by phase, and the sentence for each that it may not have.

Index legend: T configurations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    contact_depth: float = 0.004
    """m that the hand may be inside the object's points there; more would push the object away"""
    finger_depth: float = 0.003
    """m that fingers may be commanded into each other on the way: pads give way, knuckles do not"""
    squeeze_depth: float = 0.02
    """m of the same while the hand holds: what is between them, thin as a rim, stops them first"""
    taken_within: float = 0.01
    """m between hand and object when the lift begins: what is farther away was not taken, and will be hit"""
    carried_drop: float = 0.002
    """m that the carried object may come below where it stood, or into the table, and nearer to others"""
    collision_step: float = 0.01
    """m that no point of the robot exceeds between two configurations that are checked"""
    longest_step: float = 0.05
    """s between points, so that what the controller does between them is known in detail"""
    most_points: int = 20_000
    """points that are judged in one piece, so that the verdict's memory is bounded"""
    consistency_jerk: float = 200.0
    """rad/s^3; positions, velocities and accelerations may differ by what this jerk does between points"""


DEFAULT_SAFETY = SafetySettings()


@dataclass(frozen=True)
class _Rule:
    """A clearance, what it needs ((T,) or one number, m), and where (T,) bool it speaks.

    `rows` are the configurations that the clearance is of, when not of all.
    """

    kind: str
    clearance: Clearance
    needed: np.ndarray | float
    where: np.ndarray
    rows: np.ndarray | None = None


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
    rules = [*_arm_rules(model, posed, phases, settings), *_hand_rules(model, posed, hand_positions, phases, settings)]
    return _sentences(rules, phases, times)


def are_free(
    model: CollisionModel,
    arm_positions: np.ndarray,
    hand_positions: np.ndarray,
    phases: np.ndarray,
    settings: SafetySettings = DEFAULT_SAFETY,
) -> np.ndarray:
    """Return (T,) bool: which configurations keep every clearance; arguments as of `collision_reasons`."""
    posed = model.pose(arm_positions, hand_positions)
    free = np.ones(len(phases), dtype=bool)
    for rule in _arm_rules(model, posed, phases, settings):
        free &= ~rule.where | (rule.clearance.distance >= rule.needed)
    for rule in _hand_rules(model, posed, hand_positions, phases, settings):
        rows = slice(None) if rule.rows is None else rule.rows
        free[rows] &= ~rule.where | (rule.clearance.distance >= rule.needed)
    return free


def hand_reasons(
    model: CollisionModel,
    base_from_tip: np.ndarray,
    hand_positions: np.ndarray,
    phases: np.ndarray,
    settings: SafetySettings = DEFAULT_SAFETY,
) -> list[str]:
    """Return what speaks against tip poses (T, 4, 4) m however the arm takes them; else as `collision_reasons`."""
    posed = model.pose_hand(base_from_tip, hand_positions)
    return _sentences(_hand_rules(model, posed, hand_positions, phases, settings), phases, None)


def _arm_rules(model: CollisionModel, posed: Posed, phases: np.ndarray, settings: SafetySettings) -> Iterator[_Rule]:
    everywhere, lifting = np.ones(len(phases), dtype=bool), phases == LIFT
    yield _Rule("self collision", model.arm_self(posed), settings.self_clearance, everywhere)
    yield _Rule("self collision", model.hand_arm(posed), settings.self_clearance, everywhere)
    yield _Rule("table collision", model.arm_table(posed), settings.arm_table_clearance, everywhere)
    target, obstacles = model.world.target, model.world.obstacles
    if len(obstacles.points):
        near = model.arm_points(posed, obstacles)
        yield _Rule("obstacle collision", near, settings.obstacle_clearance, everywhere)
    if len(target.points):
        near = model.arm_points(posed, target)
        yield _Rule("object collision", near, settings.arm_object_clearance, ~lifting)
    if len(target.points) and lifting.any():
        taken = posed.base_from_tip[np.flatnonzero(lifting)[0]]
        carried = model.arm_points(posed, target, base_from_tip_taken=taken)
        yield _Rule("object collision", carried, settings.arm_object_clearance, lifting)


def _hand_rules(
    model: CollisionModel, posed: Posed, hand_positions: np.ndarray, phases: np.ndarray, settings: SafetySettings
) -> Iterator[_Rule]:
    everywhere = np.ones(len(phases), dtype=bool)
    allowed = np.where(np.isin(phases, (CLOSE, LIFT)), settings.squeeze_depth, settings.finger_depth)
    yield _Rule("finger collision", model.fingers(hand_positions), -allowed, everywhere)
    yield _Rule("table collision", model.hand_table(posed), settings.hand_table_clearance, everywhere)
    target, obstacles = model.world.target, model.world.obstacles
    if len(obstacles.points):
        near = model.hand_points(posed, obstacles)
        yield _Rule("obstacle collision", near, settings.obstacle_clearance, everywhere)
    if len(target.points) == 0:
        return
    last = _last_of_approach(posed, phases, settings.contact_distance)
    needed = np.where(phases == TRANSIT, settings.hand_object_transit, settings.hand_object_approach)
    needed = np.where(last, -settings.contact_depth, needed)
    near = model.hand_points(posed, target)
    yield _Rule("object collision", near, needed, np.isin(phases, (TRANSIT, APPROACH)))
    if (phases == LIFT).any():
        yield from _carried_rules(model, posed, phases, settings)


def _carried_rules(
    model: CollisionModel, posed: Posed, phases: np.ndarray, settings: SafetySettings
) -> Iterator[_Rule]:
    """The object moves with the hand from the lift's first configuration on.

    It stood on the table and perhaps near other things: it must not come nearer to them than it stood.
    """
    rows = np.flatnonzero(phases == LIFT)
    tips, points = posed.base_from_tip[rows], model.world.target.thinned
    moved = tips @ np.linalg.inv(tips[0])  # (R, 4, 4) now from then
    carried = points @ moved[:, :3, :3].transpose(0, 2, 1) + moved[:, None, :3, 3]
    everywhere = np.ones(len(rows), dtype=bool)
    over = model.carried_table(carried)
    yield _Rule("carried collision", over, min(0.0, over.distance[0]) - settings.carried_drop, everywhere, rows)
    if len(model.world.obstacles.points):
        near = model.carried_obstacles(carried)
        stood = near.distance[0] - settings.carried_drop
        yield _Rule("carried collision", near, min(settings.obstacle_clearance, stood), everywhere, rows)


def taken_reasons(
    model: CollisionModel, posed: Posed, phases: np.ndarray, settings: SafetySettings = DEFAULT_SAFETY
) -> list[str]:
    """Return a sentence when a lift (T,) is announced of an object that the hand does not hold."""
    lifting = np.flatnonzero(phases == LIFT)
    if len(lifting) == 0 or len(model.world.target.points) == 0 or posed.spheres.shape[1] == 0:
        return []
    gap = model.hand_points(posed, model.world.target).distance[lifting[0]]
    if gap <= settings.taken_within:
        return []
    return [
        f"phases: the lift begins with the hand {1e3 * gap:.0f} mm or more from the object; "
        f"at most {1e3 * settings.taken_within:g} mm"
    ]


def workspace_reasons(
    tip_positions: np.ndarray, workspace: np.ndarray, frame: str, times: np.ndarray | None = None
) -> list[str]:
    """Return a sentence when tip positions (T, 3) m leave the box workspace (2, 3) m."""
    outside = np.maximum(workspace[0] - tip_positions, tip_positions - workspace[1])
    worst, axis = np.unravel_index(int(np.argmax(outside)), outside.shape)
    if outside[worst, axis] <= 1e-9:
        return []
    low, high = workspace[:, axis]
    when = "" if times is None else f" at {times[worst]:.2f} s"
    return [
        f"workspace: {frame} is at {'xyz'[axis]} = {tip_positions[worst, axis]:.3f} m{when}, "
        f"outside [{low:g}, {high:g}]"
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


def _sentences(rules: Iterable[_Rule], phases: np.ndarray, times: np.ndarray | None) -> list[str]:
    found = (_sentence(rule, phases, times) for rule in rules if rule.where.any())
    return [sentence for sentence in found if sentence]


def _sentence(rule: _Rule, phases: np.ndarray, times: np.ndarray | None) -> str:
    needed = np.broadcast_to(rule.needed, rule.where.shape)
    lacking = np.where(rule.where, needed - rule.clearance.distance, -np.inf)
    index = int(np.argmax(lacking))
    if lacking[index] <= 0.0:
        return ""
    pair, distance = rule.clearance.labels[int(rule.clearance.pair[index])], rule.clearance.distance[index]
    row = index if rule.rows is None else int(rule.rows[index])
    when = "" if times is None else f" at {times[row]:.2f} s"
    return (
        f"{rule.kind}: {pair} are {1e3 * distance:.1f} mm apart{when} in {phases[row]}; "
        f"at least {1e3 * needed[index]:g} mm needed"
    )
