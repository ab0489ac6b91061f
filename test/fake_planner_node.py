"""The real node around a planner without a model: what it says and publishes is known beforehand.

Run as `python test/fake_planner_node.py --ros-args …`. A text holding the word `slow` takes 2 s and can be
cancelled, `hold refine` waits in that stage to be cancelled, `reject` finds nothing safe, `crash` raises an
error nobody foresaw, `long` makes a trajectory of 20 s, `unsafe` makes a trajectory that still moves at its end.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from maskdex_core.errors import CloudError, MaskdexError, PlanCancelled
from maskdex_core.motion.stop import stop_trajectory
from maskdex_core.motion.types import PHASES, JointLimits, JointTrajectory, RobotState, RobotTrajectory, Verdict

STAGES = ("text", "segment", "complete", "sample", "refine", "retarget", "motion")
ARM = tuple(f"joint{number}" for number in range(1, 8))
HAND = ("finger1", "finger2")


@dataclass(frozen=True)
class FakeCandidate:
    palm_pose: np.ndarray
    confidence: float
    verdict: str
    reason: str
    approach: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, -1.0]))
    pregrasp: np.ndarray = field(default_factory=lambda: np.zeros(len(HAND)))
    joints: np.ndarray = field(default_factory=lambda: np.full(len(HAND), 0.5))
    squeeze: np.ndarray = field(default_factory=lambda: np.full(len(HAND), 0.6))


@dataclass(frozen=True)
class FakeScene:
    extrinsics_assumed: bool
    table_height: float = 0.0


@dataclass(frozen=True)
class FakePlan:
    status: str
    reason: str
    text: str
    start: RobotState
    parts: tuple[str, ...] = ()
    trajectory: RobotTrajectory | None = None
    object_points: np.ndarray = field(
        default_factory=lambda: np.vstack([np.eye(3), np.zeros(3), np.ones(3)]) * 0.1 + 0.2
    )
    touch: np.ndarray | None = field(default_factory=lambda: np.linspace(0.0, 1.0, 5))
    target_hand_triangles: np.ndarray = field(default_factory=lambda: np.eye(3)[None])
    candidate_bones: np.ndarray = field(default_factory=lambda: np.ones((2, 3, 2, 3)))
    arm_points: np.ndarray | None = None
    chosen: int = 0
    hand_joint_names: tuple[str, ...] = HAND

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
    robot_names = SimpleNamespace(
        base_frame="link_base", tip_frame="link_eef", arm_group="xarm7", hand_links=("palm",), tip_from_palm=np.eye(4)
    )
    config = SimpleNamespace(approach=0.08, lift=0.12)

    def __init__(self, parameters: Any) -> None:
        if parameters.hand == "leep":
            raise MaskdexError("hand 'leep' is unknown; known: freedom_v2")

    def warm_up(self) -> None:
        """Load what the real planner has loaded by then, so that no request has to."""
        for name in ("maskdex_core.text.encoder", "maskdex_core.perception.pointcloud2", "scipy.spatial.transform"):
            importlib.import_module(name)

    def plan(
        self, cloud: Any, text: str, state: Any, seed: Any, should_cancel: Any, on_stage: Any,
        speed_scale: float, object_near: Any,
    ) -> FakePlan:  # fmt: skip
        for stage in STAGES:
            on_stage(stage)
            _work(10.0 if f"hold {stage}" in text else 0.0, should_cancel)
        if len(cloud.points) < 200:
            raise CloudError(f"cloud has {len(cloud.points)} points on the object; at least 200 are needed")
        if "crash" in text:
            raise ZeroDivisionError("nobody foresaw this")
        _work(2.0 if "slow" in text else 0.0, should_cancel)
        start = state or RobotState(ARM, np.zeros(len(ARM)), HAND, np.zeros(len(HAND)))
        if "reject" in text:
            return FakePlan("rejected", "16 of 16 candidates out of reach", text, start)
        trajectory = _trajectory(start, "unsafe" in text, 20.0 if "long" in text else 1.0)
        seed = int(np.random.default_rng().integers(1 << 31)) if seed is None else seed
        drawn = zlib.crc32(np.ascontiguousarray(cloud.points).tobytes() + str(seed).encode())
        asked = {
            "drawn": drawn,
            "seed": seed,
            "candidates": [],
            "camera_height": None if cloud.base_from_camera is None else float(cloud.base_from_camera[2, 3]),
            "speed_scale": speed_scale,
            "object_near": None if object_near is None else list(object_near),
        }
        scene = FakeScene(cloud.base_from_camera is None)
        reason = "1 of 2 candidates is safe"
        return FakePlan("ok", reason, text, start, trajectory=trajectory, scene=scene, asked=asked)

    def resample(self, plan: FakePlan, parts: Any, text: Any, state: Any, **_: Any) -> FakePlan:
        return replace(plan, text=text or plan.text, parts=tuple(parts))

    def brake(self, trajectory: RobotTrajectory, at: float) -> RobotTrajectory:
        return stop_trajectory(trajectory, at, _limits(ARM), _limits(HAND))

    def verdict(self, plan: FakePlan, state: Any) -> Verdict:
        blocked = "blocked" in plan.text
        return Verdict(not blocked, ("table: the arm would touch it",) if blocked else ())


def _limits(names: tuple[str, ...]) -> JointLimits:
    wide = np.full(len(names), 10.0)
    return JointLimits(names, -wide, wide, wide, 10.0 * wide, 100.0 * wide)


def _work(seconds: float, should_cancel: Any) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if should_cancel():
            raise PlanCancelled("the plan was cancelled")
        time.sleep(0.01)


def _trajectory(state: Any, moving_at_end: bool, duration: float = 1.0) -> RobotTrajectory:
    count = round(5 * duration)

    def part(names: tuple[str, ...], start: Any) -> JointTrajectory:
        ramp = np.linspace(0.0, 0.1, count + 1)[1:, None] + np.asarray(start, dtype=np.float64)[None]
        velocity = np.full_like(ramp, 0.02 / duration)
        velocity[-1] = 0.02 if moving_at_end else 0.0
        return JointTrajectory(names, np.linspace(0.0, duration, count + 1)[1:], ramp, velocity, np.zeros_like(ramp))

    ends = (0.2, 0.4, 0.6, 1.0)
    spans = zip(PHASES, (0.0, *ends), ends, strict=False)
    phases = {name: (begin * duration, end * duration) for name, begin, end in spans}
    return RobotTrajectory(part(ARM, state.arm_positions), part(HAND, state.hand_positions), phases)


if __name__ == "__main__":
    from maskdex_ros.grasp_node import main

    sys.exit(main(planner_factory=FakePlanner))
