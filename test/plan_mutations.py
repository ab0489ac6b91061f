"""Good plans, and what can go wrong with them: each mutation is one way to be unsafe, most of them barely."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from motion_scene import HAND_NAMES, hand_limits, home_state, top_down, world

from maskdex_core.errors import PlanRejected
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import World
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.types import JointTrajectory, RobotState, RobotTrajectory

Rng = np.random.Generator
KEYS = ("times", "positions", "velocities", "accelerations")


@dataclass(frozen=True)
class Case:
    """A plan, where the robot stands, and the world, to be judged together."""

    plan: RobotTrajectory
    start: RobotState
    world: World


def good_cases(count: int, seed: int) -> list[Case]:
    """Return plans that passed the verdict: random places, yaws, heights, speeds, half of them with obstacles."""
    rng, arm, found = np.random.default_rng(seed), Arm.load("xarm7"), []
    while len(found) < count:
        centre = np.array([rng.uniform(0.3, 0.6), rng.uniform(-0.35, 0.35)])
        scene = world(centre)
        if rng.random() < 0.5:
            beside = rng.uniform([0.2, -0.5, 0.0], [0.7, 0.5, 0.3], (4, 1, 3)) + rng.uniform(-0.02, 0.02, (4, 40, 3))
            scene = dataclasses.replace(scene, obstacle_points=beside.reshape(-1, 3))
        targets = top_down(centre, rng.uniform(-np.pi, np.pi), rng.uniform(0.0698, 0.072))
        speed = float(rng.choice([0.1, 0.3, 0.6, 1.0]))
        try:
            plan = plan_motion(arm, hand_limits(), home_state(arm), targets, scene, speed)
        except PlanRejected:
            continue
        found.append(Case(plan, home_state(arm), scene))
    return found


def mutated(case: Case, others: list[Case], rng: Rng) -> Case:
    """Return a case with one to three mutations; those that make no trajectory at all raise RobotError."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        change = _MUTATIONS[int(rng.integers(len(_MUTATIONS)))]
        case = change(case, others, rng)
    return case


# ------------------------------------------------------------------ helpers
def _parts(case: Case) -> tuple[JointTrajectory, JointTrajectory]:
    return case.plan.arm, case.plan.hand


def _with(case: Case, arm: JointTrajectory, hand: JointTrajectory, phases: dict | None = None) -> Case:
    phases = dict(case.plan.phases) if phases is None else phases
    return dataclasses.replace(case, plan=RobotTrajectory(arm, hand, phases))


def _one(case: Case, rng: Rng, change) -> Case:
    """Change arrays of one of the two controllers; `change` gets a dict of writable copies."""
    parts = list(_parts(case))
    which = int(rng.integers(2))
    arrays = {key: np.array(getattr(parts[which], key)) for key in KEYS}
    change(arrays)
    parts[which] = JointTrajectory(parts[which].joint_names, *(arrays[key] for key in KEYS))
    return _with(case, *parts)


def _rows(case: Case, rows, offset: float = 0.0, phases: dict | None = None) -> Case:
    parts = (JointTrajectory(m.joint_names, m.times[rows] - offset, m.positions[rows], m.velocities[rows],
                             m.accelerations[rows]) for m in _parts(case))  # fmt: skip
    return _with(case, *parts, phases)


def _joint(case: Case, rng: Rng) -> int:
    return int(rng.integers(len(case.plan.arm.joint_names)))


def _size(rng: Rng, low: float, high: float) -> float:
    """Small and large alike: log-uniform, either sign."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))) * rng.choice([-1.0, 1.0]))


def _length(last: float) -> float:
    """Return a time that can be drawn from (s), also of a plan whose clock an earlier change has broken."""
    return float(np.clip(np.nan_to_num(last), 1e-3, 1e4))


# ------------------------------------------------------------------ mutations
def _faster(case: Case, others: list[Case], rng: Rng) -> Case:
    k = float(np.exp(rng.uniform(np.log(0.25), np.log(1.2))))
    parts = (JointTrajectory(m.joint_names, m.times * k, m.positions, m.velocities / k, m.accelerations / k**2)
             for m in _parts(case))  # fmt: skip
    return _with(case, *parts, {name: (a * k, b * k) for name, (a, b) in case.plan.phases.items()})


def _bump(case: Case, others: list[Case], rng: Rng) -> Case:
    """A smooth excursion of one joint, its derivatives true: only limits and collisions can find it."""
    joint, size, times = _joint(case, rng), _size(rng, 0.003, 0.6), case.plan.arm.times
    end = _length(times[-1])
    begin, span = rng.uniform(0.0, 0.8 * end), rng.uniform(0.1, 0.5) * end
    u = np.clip((times - begin) / span, 0.0, 1.0)
    shape = np.poly1d([64.0 * c for c in (-1, 3, -3, 1, 0, 0, 0)])  # 64 u^3 (1 - u)^3

    def change(arrays: dict) -> None:
        for order, key in enumerate(KEYS[1:]):
            inside = (u > 0.0) & (u < 1.0)
            arrays[key][:, joint] += inside * size * (shape.deriv(order)(u) if order else shape(u)) / span**order

    return _one(case, rng, change)


def _offset(case: Case, others: list[Case], rng: Rng) -> Case:
    joint, size = _joint(case, rng), _size(rng, 0.002, 3.0)

    def change(arrays: dict) -> None:
        arrays["positions"][:, joint] += size

    return _one(case, rng, change)


def _scaled(case: Case, others: list[Case], rng: Rng) -> Case:
    """The same motion, larger or smaller, from the same start."""
    k = rng.uniform(0.5, 1.8)

    def change(arrays: dict) -> None:
        arrays["positions"][:] = arrays["positions"][0] + k * (arrays["positions"] - arrays["positions"][0])
        arrays["velocities"] *= k
        arrays["accelerations"] *= k

    return _one(case, rng, change)


def _noise(case: Case, others: list[Case], rng: Rng) -> Case:
    key, size = str(rng.choice(KEYS[1:])), abs(_size(rng, 1e-4, 1.0))
    share = rng.choice([0.02, 1.0])

    def change(arrays: dict) -> None:
        hit = rng.random(arrays[key].shape) < share
        arrays[key] += hit * rng.normal(0.0, size, arrays[key].shape)

    return _one(case, rng, change)


def _not_a_number(case: Case, others: list[Case], rng: Rng) -> Case:
    key, value = str(rng.choice(KEYS)), float(rng.choice([np.nan, np.inf, -np.inf]))

    def change(arrays: dict) -> None:
        arrays[key][rng.integers(len(arrays[key]))] = value

    return _one(case, rng, change)


def _times(case: Case, others: list[Case], rng: Rng) -> Case:
    row, kind = int(rng.integers(len(case.plan.arm.times))), int(rng.integers(5))
    motions = []
    for m in _parts(case):
        times = np.array(m.times)
        if kind == 0:
            times[row] = times[row - 1]
        elif kind == 1:
            times -= times[0] * rng.choice([1.0, 2.0])
        elif kind == 2:
            times[row:] += abs(_size(np.random.default_rng(row), 0.005, 2.0))
        elif kind == 3:
            times = times[::-1].copy()
        else:
            times[row] += _size(np.random.default_rng(row), 1e-4, 0.02)
        motions.append(dataclasses.replace(m, times=times))
    return _with(case, *motions)


def _names(case: Case, others: list[Case], rng: Rng) -> Case:
    arm, hand = _parts(case)
    order = rng.permutation(len(arm.joint_names))
    if rng.random() < 0.5:
        return _with(case, dataclasses.replace(arm, joint_names=tuple(arm.joint_names[i] for i in order)), hand)
    # the values in another order under the right names: joints by position
    arrays = [getattr(arm, key)[:, order] for key in KEYS[1:]]
    return _with(case, JointTrajectory(arm.joint_names, arm.times, *arrays), hand)


def _thinned(case: Case, others: list[Case], rng: Rng) -> Case:
    keep = rng.random(len(case.plan.arm.times)) > rng.choice([0.01, 0.2, 0.6])
    keep[-1] = True
    return _rows(case, keep)


def _cut(case: Case, others: list[Case], rng: Rng) -> Case:
    """Ends early, as a whole: the last phase ends with it."""
    row = int(rng.integers(1, len(case.plan.arm.times)))
    end = float(case.plan.arm.times[row - 1])
    spans = {name: (a, min(b, end)) for name, (a, b) in case.plan.phases.items() if a < end}
    return _rows(case, slice(0, row), 0.0, spans)


def _late(case: Case, others: list[Case], rng: Rng) -> Case:
    row = int(rng.integers(1, max(2, len(case.plan.arm.times) // 3)))
    offset = float(case.plan.arm.times[row - 1]) if rng.random() < 0.5 else 0.0
    spans = {name: (max(a - offset, 0.0), b - offset) for name, (a, b) in case.plan.phases.items() if b > offset}
    return _rows(case, slice(row, None), offset, spans)


def _phases(case: Case, others: list[Case], rng: Rng) -> Case:
    spans, kind = dict(case.plan.phases), int(rng.integers(5))
    duration = _length(case.plan.duration)
    if kind == 0:
        edges = [0.0, *np.sort(rng.uniform(0.0, duration, 3)), duration]
        spans = {name: (edges[i], edges[i + 1]) for i, name in enumerate(("transit", "approach", "close", "lift"))}
    elif kind == 1:
        spans = {str(rng.choice(["lift", "close", "approach", "transit"])): (0.0, duration)}
    elif kind == 2:
        cut = float(rng.uniform(0.0, duration))
        spans = {"close": (0.0, cut), "lift": (cut, duration)}
    elif kind == 3:
        values = list(spans.values())
        spans = dict(zip(rng.permutation(list(spans)), values, strict=True))
    else:
        cuts = [0.0, 0.02, 0.04, duration]
        spans = {name: (cuts[i], cuts[i + 1]) for i, name in enumerate(("approach", "close", "lift"))}
    return dataclasses.replace(case, plan=RobotTrajectory(*_parts(case), spans))


def _reversed(case: Case, others: list[Case], rng: Rng) -> Case:
    parts = (JointTrajectory(m.joint_names, m.times, m.positions[::-1], -m.velocities[::-1], m.accelerations[::-1])
             for m in _parts(case))  # fmt: skip
    return _with(case, *parts)


def _spliced(case: Case, others: list[Case], rng: Rng) -> Case:
    """The beginning of one plan and the end of another."""
    other = others[int(rng.integers(len(others)))]
    row = int(rng.integers(1, min(len(case.plan.arm.times), len(other.plan.arm.times))))
    parts = []
    for a, b in zip(_parts(case), _parts(other), strict=True):
        tail = b.times[row:] - b.times[row - 1] + a.times[row - 1]
        arrays = [np.concatenate([getattr(a, key)[:row], getattr(b, key)[row:]]) for key in KEYS[1:]]
        parts.append(JointTrajectory(a.joint_names, np.concatenate([a.times[:row], tail]), *arrays))
    return _with(case, *parts)


def _foreign(case: Case, others: list[Case], rng: Rng) -> Case:
    """Another scene's plan in this scene's world."""
    return dataclasses.replace(case, plan=others[int(rng.integers(len(others)))].plan)


def _moving_end(case: Case, others: list[Case], rng: Rng) -> Case:
    key, size = str(rng.choice(["velocities", "accelerations"])), _size(rng, 1e-4, 1.0)

    def change(arrays: dict) -> None:
        arrays[key][-1, rng.integers(arrays[key].shape[1])] = size

    return _one(case, rng, change)


def _stands_elsewhere(case: Case, others: list[Case], rng: Rng) -> Case:
    arm, hand = np.array(case.start.arm_positions), np.array(case.start.hand_positions)
    (arm if rng.random() < 0.5 else hand)[rng.integers(7)] += _size(rng, 0.002, 1.0)
    return dataclasses.replace(case, start=RobotState(case.start.arm_joint_names, arm, HAND_NAMES, hand))


def _moved_world(case: Case, others: list[Case], rng: Rng) -> Case:
    kind, scene = int(rng.integers(4)), case.world
    if kind == 0:
        scene = dataclasses.replace(scene, table_height=float(abs(_size(rng, 0.002, 0.2))))
    elif kind == 1:
        shift = rng.normal(0.0, 0.05, 3) * [1.0, 1.0, 0.5]
        scene = dataclasses.replace(scene, object_points=scene.object_points + shift)
    else:
        row = int(rng.integers(len(case.plan.arm.times)))
        links = Arm.load("xarm7").link_transforms(case.plan.arm.positions[row][None])[0, :, :3, 3]
        near = links[int(rng.integers(len(links)))] + rng.normal(0.0, 0.08, 3)
        cluster = near + rng.uniform(-0.01, 0.01, (20, 3))
        key = "obstacle_points" if kind == 2 else "object_points"
        scene = dataclasses.replace(scene, **{key: np.concatenate([getattr(scene, key), cluster])})
    return dataclasses.replace(case, world=scene)


_MUTATIONS = (
    _faster, _bump, _bump, _bump, _offset, _scaled, _noise, _not_a_number, _times, _names, _thinned, _cut, _late,
    _phases, _phases, _reversed, _spliced, _foreign, _moving_end, _stands_elsewhere, _moved_world, _moved_world,
)  # fmt: skip
