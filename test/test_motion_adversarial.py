"""Thousands of plans made unsafe in two dozen ways: not one passes the verdict that an independent check refuses.

`python test/test_motion_adversarial.py 100000` is the long form.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field

import independent_safety
import numpy as np
from motion_scene import hand_limits, hand_spheres
from plan_mutations import KEYS, Case, good_cases, mutated

from maskdex_core.errors import RobotError
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.verdict import check_trajectory

SPHERES = hand_spheres()


@dataclass
class Tally:
    """What became of the plans; `escaped` are unsafe ones that passed."""

    judged: int = 0
    passed: int = 0
    refused: Counter = field(default_factory=Counter)
    escaped: list[str] = field(default_factory=list)
    asked: int = 0
    agreed_unsafe: int = 0

    def __str__(self) -> str:
        return (
            f"{self.judged} plans, {self.passed} passed, {len(self.escaped)} of them unsafe {self.escaped[:5]}; "
            f"of {self.asked} refused ones the independent check calls {self.agreed_unsafe} unsafe; "
            f"refused by {dict(self.refused.most_common())}"
        )


def judge(count: int, seed: int, pool: int, ask_every: int, progress: bool = False) -> Tally:
    """Mutate good plans `count` times; whatever passes is checked independently, of the rest one in `ask_every`."""
    arm, hand, cases, tally = Arm.load("xarm7"), hand_limits(), good_cases(pool, seed), Tally()
    rng = np.random.default_rng(seed)
    while tally.judged < count:
        tally.judged += 1
        try:
            case = mutated(cases[int(rng.integers(len(cases)))], cases, rng)
            verdict = check_trajectory(case.plan, arm, hand, case.start, case.world)
        except RobotError:
            tally.refused["no trajectory"] += 1
            continue
        if verdict.ok:
            tally.passed += 1
            wrong = _independent(case)
            tally.escaped += [wrong] if wrong else []
            continue
        tally.refused[verdict.reasons[0].split(":")[0]] += 1
        if tally.judged % ask_every == 0:
            tally.asked += 1
            tally.agreed_unsafe += bool(_independent(case))
        if progress and tally.judged % 1000 == 0:
            print(tally, flush=True)
    return tally


def _independent(case: Case) -> str:
    limits = hand_limits()
    start = dict(zip(case.start.arm_joint_names, case.start.arm_positions, strict=True))
    start |= dict(zip(case.start.hand_joint_names, case.start.hand_positions, strict=True))
    arm, hand = ((part.joint_names, *(getattr(part, key) for key in KEYS)) for part in (case.plan.arm, case.plan.hand))
    plain = independent_safety.Case(
        arm, hand, dict(case.plan.phases), start, case.world.object_points, case.world.obstacle_points,
        case.world.table_height or 0.0, (SPHERES.centers(np.zeros((1, 7)))[0], SPHERES.radii),
    )  # fmt: skip
    known = {key: getattr(limits, key) for key in ("names", "lower", "upper", "velocity", "acceleration", "jerk")}
    return independent_safety.unsafe(plain, known)


def test_no_unsafe_plan_passes() -> None:
    tally = judge(700, seed=1, pool=6, ask_every=25)
    assert tally.escaped == [], tally
    assert tally.passed > 20  # refusing everything is no verdict
    assert len(tally.refused) > 9  # and the mutations reach most rules
    assert tally.agreed_unsafe > 0.6 * tally.asked  # the other check is not blind


def test_good_plans_are_safe_by_the_independent_check() -> None:
    assert [wrong for case in good_cases(4, 2) if (wrong := _independent(case))] == []


if __name__ == "__main__":
    print(judge(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, pool=20, ask_every=500, progress=True))
