"""Batched inverse kinematics: damped least squares from many seeds, and along straight lines.

Index legend: B batch, J joints, N waypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskdex_core.errors import RobotError
from maskdex_core.motion.arm import Arm


@dataclass(frozen=True)
class IkSettings:
    """How inverse kinematics searches and what it accepts."""

    seeds: int = 48
    """start configurations: the reference, home, and random ones"""
    iterations: int = 30
    """steps from each seed"""
    enough: int = 16
    """seeds that have converged after which no more are waited for"""
    position_tolerance: float = 1e-3
    """m, greatest position error of an answer"""
    rotation_tolerance: float = np.radians(0.5)
    """rad, greatest rotation error of an answer"""
    converged: float = 1e-6
    """m and rad at which a seed stops, far below the tolerances so that lines stay smooth"""
    damping: float = 0.05
    """damping per unit of error; it fades out near the answer, where steps are then Newton's"""
    step: float = 0.5
    """rad, greatest change of a joint in one step"""
    margin: float = 5e-3
    """rad kept free at both ends of a joint's range, so that splines do not touch the limit"""
    singular: float = 0.02
    """least singular value of the tip's Jacobian (m and rad) that is kept: below it the joints race for a small way"""
    distinct: float = 0.15
    """rad, two answers closer than this in every joint are one"""
    jump: float = 0.25
    """rad, a greater change between neighbours on a line is a jump to another configuration"""


DEFAULT_IK = IkSettings()


def pose_error(pose: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the twist (B, 6) that leads from poses (B, 4, 4) to targets (B or 1, 4, 4): m, then rad."""
    turn = target[..., :3, :3] @ np.swapaxes(pose[..., :3, :3], -1, -2)
    cosine = np.clip((np.trace(turn, axis1=-2, axis2=-1) - 1.0) / 2.0, -1.0, 1.0)
    skew = np.stack(
        [
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ],
        axis=-1,
    )
    sine = np.linalg.norm(skew, axis=-1) / 2.0
    angle = np.arctan2(sine, cosine)
    # near a half turn the skew part vanishes and with it the direction; any seed elsewhere does better there
    rotation = skew / 2.0 * (angle / np.maximum(sine, 1e-12))[..., None]
    return np.concatenate([target[..., :3, 3] - pose[..., :3, 3], rotation], axis=-1)


def solve_all(
    arm: Arm,
    base_from_tip: np.ndarray,
    reference: np.ndarray,
    settings: IkSettings = DEFAULT_IK,
    seed: int = 0,
) -> np.ndarray:
    """Return the distinct configurations that reach one pose, nearest to the reference first.

    Args:
        base_from_tip: (4, 4) m.
        reference: (J,) rad; distance is the Euclidean norm of joint differences.
        seed: of the random start configurations; equal seeds give equal answers.

    Returns:
        (K, J) rad, K = 0 when no seed reached the pose within the tolerances, away from the joints' limits and
        from singularities.

    Raises:
        RobotError: when the pose or the reference is not finite or has the wrong shape.
    """
    target, reference = _checked(arm, base_from_tip, reference)
    lower, upper = _range(arm, settings)
    positions = _seeds(arm, reference, settings, seed)
    error = np.full((len(positions), 6), np.inf)
    active = np.arange(len(positions))
    for _ in range(settings.iterations):
        positions[active], error[active] = _step(arm, positions[active], target[None], lower, upper, settings)
        active = active[np.abs(error[active]).max(axis=1) > settings.converged]
        if len(positions) - len(active) >= settings.enough or len(active) == 0:
            break
    positions = positions[_within(arm, positions, target[None], settings)]
    for _ in range(3):  # those that were still on their way when enough had arrived
        positions, _error = _step(arm, positions, target[None], lower, upper, settings)
    positions = positions[_within(arm, positions, target[None], settings)]
    positions = _unwound(positions[_agile(arm, positions, settings)], reference, lower, upper)
    order = np.argsort(np.linalg.norm(positions - reference, axis=1), kind="stable")
    return _distinct(positions[order], settings.distinct)


def solve(
    arm: Arm,
    base_from_tip: np.ndarray,
    reference: np.ndarray,
    settings: IkSettings = DEFAULT_IK,
    seed: int = 0,
) -> np.ndarray | None:
    """Return the configuration (J,) rad nearest to the reference that reaches a pose, or None.

    Args and Raises: as `solve_all`.
    """
    answers = solve_all(arm, base_from_tip, reference, settings, seed)
    return answers[0] if len(answers) else None


def solve_along(
    arm: Arm,
    starts: np.ndarray,
    base_from_tip: np.ndarray,
    settings: IkSettings = DEFAULT_IK,
) -> tuple[np.ndarray, np.ndarray]:
    """Follow a line of poses from several configurations at once, each waypoint starting from the one before.

    Args:
        starts: (B, J) rad, configurations at the first pose.
        base_from_tip: (N, 4, 4) m for all, or (B, N, 4, 4) a line for each; near enough to each other that a few
            steps suffice.

    Returns:
        waypoints (B, N, J) rad and whether each line was followed within the tolerances, inside the joint
        limits, away from singularities and without a jump (B,).
    """
    lower, upper = _range(arm, settings)
    starts = np.atleast_2d(np.asarray(starts, dtype=np.float64))
    lines = np.asarray(base_from_tip, dtype=np.float64)
    lines = np.broadcast_to(lines, (len(starts), *lines.shape[-3:]))  # (B, N, 4, 4)
    waypoints = np.empty((len(starts), lines.shape[1], starts.shape[1]))
    ok = np.ones(len(starts), dtype=bool)
    current = starts.copy()
    for index in range(lines.shape[1]):
        target, before = lines[:, index], current
        for _ in range(8):
            current, error = _step(arm, current, target, lower, upper, settings)
            # Newton's next error is about the square of this one
            if np.abs(error[ok]).max(initial=0.0) < np.sqrt(settings.converged) * 1e-1:
                break
        ok &= _within(arm, current, target, settings)
        ok &= np.abs(current - before).max(axis=1) < settings.jump
        waypoints[:, index] = current
    agile = _agile(arm, waypoints.reshape(-1, waypoints.shape[2]), settings).reshape(ok.size, -1)
    return waypoints, ok & agile.all(axis=1)


def straight_line(start: np.ndarray, end: np.ndarray, spacing: float = 0.01, least: int = 8) -> np.ndarray:
    """Return poses (N, 4, 4) from start to end: position on a line, rotation about one fixed axis.

    Args:
        start, end: (4, 4) m.
        spacing: m between waypoints, at most; a turn counts 0.1 m a rad. least: N at least.
    """
    twist = pose_error(start[None], end[None])[0]
    angle = float(np.linalg.norm(twist[3:]))
    count = max(least, int(np.ceil((np.linalg.norm(twist[:3]) + 0.1 * angle) / spacing)) + 1)
    share = np.linspace(0.0, 1.0, count)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, 3] = start[:3, 3] + share[:, None] * twist[:3]
    x, y, z = twist[3:] / max(angle, 1e-12)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turned = share[:, None, None] * angle
    turn = np.eye(3) + np.sin(turned) * cross + (1.0 - np.cos(turned)) * (cross @ cross)
    poses[:, :3, :3] = turn @ start[:3, :3]
    return poses


def _checked(arm: Arm, base_from_tip: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    target = np.asarray(base_from_tip, dtype=np.float64)
    if target.shape != (4, 4) or not np.isfinite(target).all():
        raise RobotError(f"inverse kinematics: pose of shape {target.shape}; expected (4, 4) finite numbers")
    reference = np.asarray(reference, dtype=np.float64)
    if reference.shape != (len(arm.joint_names),) or not np.isfinite(reference).all():
        raise RobotError(
            f"inverse kinematics: reference of shape {reference.shape}; "
            f"expected ({len(arm.joint_names)},) finite numbers"
        )
    return target, reference


def _range(arm: Arm, settings: IkSettings) -> tuple[np.ndarray, np.ndarray]:
    return arm.limits.lower + settings.margin, arm.limits.upper - settings.margin


def _seeds(arm: Arm, reference: np.ndarray, settings: IkSettings, seed: int) -> np.ndarray:
    lower, upper = _range(arm, settings)
    rng = np.random.default_rng(seed)
    # random seeds within half a turn of home: a full turn of a continuous joint adds nothing
    low, high = np.maximum(lower, arm.home - np.pi), np.minimum(upper, arm.home + np.pi)
    wide = rng.uniform(low, high, (settings.seeds, len(low)))
    near = reference + rng.normal(0.0, 0.4, (settings.seeds, len(low)))
    seeds = np.where((np.arange(settings.seeds) % 2 == 0)[:, None], wide, near)
    seeds[0] = reference
    seeds[1 % settings.seeds] = arm.home
    return np.clip(seeds, lower, upper)


def _step(
    arm: Arm,
    positions: np.ndarray,
    target: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    settings: IkSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions after one damped step and the twist error (B, 6) before it."""
    tip, jacobian = arm.tip_and_jacobian(positions)  # (B, 4, 4), (B, 6, J)
    error = pose_error(tip, target)
    damping = settings.damping * np.square(error).sum(axis=1) + 1e-10
    normal = jacobian @ jacobian.transpose(0, 2, 1) + damping[:, None, None] * np.eye(6)
    change = (jacobian.transpose(0, 2, 1) @ np.linalg.solve(normal, error[..., None]))[..., 0]
    change *= np.minimum(1.0, settings.step / np.maximum(np.abs(change).max(axis=1), 1e-12))[:, None]
    return np.clip(positions + change, lower, upper), error


def _within(arm: Arm, positions: np.ndarray, target: np.ndarray, settings: IkSettings) -> np.ndarray:
    error = pose_error(arm.forward(positions), target)
    near = np.linalg.norm(error[:, :3], axis=1) <= settings.position_tolerance
    return near & (np.linalg.norm(error[:, 3:], axis=1) <= settings.rotation_tolerance)


def _agile(arm: Arm, positions: np.ndarray, settings: IkSettings) -> np.ndarray:
    """Return (B,) bool: which of positions (B, J) are far enough from a singularity."""
    if len(positions) == 0:
        return np.zeros(0, dtype=bool)
    _, jacobian = arm.tip_and_jacobian(positions)
    return np.linalg.svd(jacobian, compute_uv=False)[:, -1] >= settings.singular


def _unwound(positions: np.ndarray, reference: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Move joints by full turns towards the reference wherever their range allows it."""
    turns = np.round((reference - positions) / (2.0 * np.pi)) * 2.0 * np.pi
    moved = positions + turns
    return np.where((moved >= lower) & (moved <= upper), moved, positions)


def _distinct(positions: np.ndarray, gap: float) -> np.ndarray:
    kept: list[np.ndarray] = []
    for candidate in positions:
        if all(np.abs(candidate - other).max() > gap for other in kept):
            kept.append(candidate)
    return np.array(kept).reshape(-1, positions.shape[1])
