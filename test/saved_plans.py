"""A plan folder made without a planner: a ball on a table, a robot that goes there, three candidates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm

BALL = np.array([0.45, 0.05, 0.05])  # m, centre
RADIUS = 0.05  # m


def write_plan(folder: Path, status: str = "ok", **changes: Any) -> Path:
    """Write report.json and scene.npz; `changes` replace arrays of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    arm, hand = Arm.load("xarm7"), HandModel.load("freedom_v2")
    rng, home = np.random.default_rng(0), np.asarray(arm.home, np.float64)
    sphere = rng.normal(size=(800, 3))
    ball = BALL + RADIUS * sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    table = np.column_stack((rng.uniform(0.2, 0.7, 2000), rng.uniform(-0.3, 0.3, 2000), np.zeros(2000)))
    joints, there = np.zeros(len(hand.joint_names)), home + 0.2
    on_arm = arm.forward(there[None])[0] @ hand.flange_from_palm()
    beside = on_arm.copy()
    beside[:3, 3] += [0.0, 0.15, 0.05]
    arrays: dict[str, Any] = {
        "cloud": table.astype(np.float32), "object_points": ball.astype(np.float32), "table_height": np.float64(0.0),
        "palm_poses": np.stack([beside, on_arm, beside]), "joints": np.zeros((3, len(joints))),
        "approaches": np.tile([0.0, 0.0, -1.0], (3, 1)), "arm_start": home, "hand_start": joints, **changes,
    }  # fmt: skip
    np.savez_compressed(folder / "scene.npz", **arrays)
    times, way = np.linspace(0.1, 2.0, 20), np.linspace(0.0, 1.0, 21)[1:, None]
    trajectory = {
        "arm": {"times": times.tolist(), "positions": (home + 0.2 * way).tolist()},
        "hand": {"times": times.tolist(), "positions": (joints + 0.3 * way).tolist()},
        "phases": {"transit": [0.0, 1.0], "close": [1.0, 1.8]},
    }
    report = {
        "status": status, "reason": "" if status == "ok" else "nothing *safe*", "text": "hold the <ball>",
        "arm": "xarm7", "chosen": 1, "target_hand": {"name": "freedom_v2"},
        "candidates": [
            {"confidence": 0.2, "verdict": "rejected", "reason": "collision: hand and table are 2 mm apart"},
            {"confidence": 0.4, "verdict": status, "reason": {"ok": ""}.get(status, "grasp: too deep")},
            {"confidence": 0.1, "verdict": "untried", "reason": ""},
        ],
        "trajectory": trajectory if status == "ok" else None,
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return folder
