"""The real node around a planner without a model: what it says and publishes is known beforehand.

Run as `python test/fake_planner_node.py --ros-args …`. A text holding the word `slow` takes 2 s and can be
cancelled, `reject` finds nothing safe, `crash` raises an error nobody foresaw, `unsafe` makes a trajectory
that still moves at its end.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.errors import CloudError, MaskdexError, PlanCancelled
from maskdex_core.motion.types import JointTrajectory, RobotState, RobotTrajectory, Verdict

ARM = tuple(f"joint{number}" for number in range(1, 8))
HAND = ("finger1", "finger2")


@dataclass(frozen=True)
class FakeCandidate:
    palm_pose: np.ndarray
    confidence: float
    verdict: str
    reason: str


@dataclass(frozen=True)
class FakeScene:
    extrinsics_assumed: bool


@dataclass(frozen=True)
class FakePlan:
    status: str
    reason: str
    text: str
    start: RobotState
    parts: tuple[str, ...] = ()
    trajectory: RobotTrajectory | None = None
    object_points: np.ndarray = field(default_factory=lambda: np.full((5, 3), 0.25))
    target_hand_points: dict[str, Any] = field(default_factory=lambda: {"tip": [0.1, 0.2, 0.3]})

    scene: FakeScene | None = None
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def candidates(self) -> list[FakeCandidate]:
        return [
            FakeCandidate(np.eye(4), 0.9, "ok", ""),
            FakeCandidate(np.eye(4), 0.4, "rejected", "palm below the table"),
        ]

    def report(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "reason": self.reason,
            "text": self.text,
            "resampled": list(self.parts),
            **self.asked,
        }

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(self.report()), encoding="utf-8")


class FakePlanner:
    arm_joint_names = ARM
    hand_joint_names = HAND
    base_frame = "link_base"

    def __init__(self, parameters: Any) -> None:
        if parameters.hand == "leep":
            raise MaskdexError("hand 'leep' is unknown; known: freedom_v2")

    def warm_up(self) -> None:
        """Load what the real planner has loaded by then, so that no request has to."""
        importlib.import_module("maskdex_core.text.encoder")

    def plan(
        self, cloud: Any, text: str, state: Any, seed: Any, should_cancel: Any, on_stage: Any,
        speed_scale: float, object_near: Any,
    ) -> FakePlan:  # fmt: skip
        on_stage("segment")
        if len(cloud.points) < 200:
            raise CloudError(f"cloud has {len(cloud.points)} points on the object; at least 200 are needed")
        if "crash" in text:
            raise ZeroDivisionError("nobody foresaw this")
        end = time.monotonic() + (2.0 if "slow" in text else 0.0)
        while time.monotonic() < end:
            if should_cancel():
                raise PlanCancelled("the plan was cancelled")
            time.sleep(0.01)
        start = state or RobotState(ARM, np.zeros(len(ARM)), HAND, np.zeros(len(HAND)))
        if "reject" in text:
            return FakePlan("rejected", "16 of 16 candidates out of reach", text, start)
        trajectory = _trajectory(start, "unsafe" in text)
        asked = {"speed_scale": speed_scale, "object_near": None if object_near is None else list(object_near)}
        scene = FakeScene(cloud.base_from_camera is None)
        reason = "1 of 2 candidates is safe"
        return FakePlan("ok", reason, text, start, trajectory=trajectory, scene=scene, asked=asked)

    def resample(self, plan: FakePlan, parts: Any, text: Any, state: Any, **_: Any) -> FakePlan:
        return replace(plan, text=text or plan.text, parts=tuple(parts))

    def verdict(self, plan: FakePlan, state: Any) -> Verdict:
        blocked = "blocked" in plan.text
        return Verdict(not blocked, ("table: the arm would touch it",) if blocked else ())


def _trajectory(state: Any, moving_at_end: bool) -> RobotTrajectory:
    def part(names: tuple[str, ...], start: Any) -> JointTrajectory:
        ramp = np.linspace(0.0, 0.1, 6)[1:, None] + np.asarray(start, dtype=np.float64)[None]
        velocity = np.full_like(ramp, 0.02)
        velocity[-1] = 0.02 if moving_at_end else 0.0
        return JointTrajectory(names, np.linspace(0.0, 1.0, 6)[1:], ramp, velocity, np.zeros_like(ramp))

    return RobotTrajectory(part(ARM, state.arm_positions), part(HAND, state.hand_positions))


if __name__ == "__main__":
    from maskdex_ros.grasp_node import main

    sys.exit(main(planner_factory=FakePlanner))
