"""dex-retargeting's position optimiser on the same grasps, hands and fingertips, where that package is installed.

It gets the start that ours has (the hand's landmarks laid on the Shadow's) and its own default settings, without
its low-pass filter; three calls a grasp, one after another, as it has no batches.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from transforms3d.quaternions import mat2quat

from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.retargeting import BenchmarkGrasps, TipRow
from maskdex_core.retarget.landmarks import aligned, shared_fingers

CLOSING = 0.5
CALLS = 3
"""of its solver a grasp, each from where the last one ended: its regulariser holds the first near the start"""


def peer_is_here() -> bool:
    """Return whether dex-retargeting can be imported."""
    return importlib.util.find_spec("dex_retargeting") is not None


def peer_row(target: HandModel, grasps: BenchmarkGrasps) -> TipRow:
    """Measure its fingertip errors and times on all grasps."""
    shadow = HandModel.load("shadow")
    fingers = shared_fingers(shadow, target)
    goals = grasps.pose.to_object(shadow.tip_points(grasps.pose.joints))
    goals = goals[:, [shadow.finger_names.index(finger) for finger in fingers]].double().numpy()
    start = aligned(shadow, grasps.pose, target, fingers, CLOSING)
    solver, errors, spent = _solver(target, fingers), [], 0.0
    for row, goal in enumerate(goals):
        solver.reset()
        rotation = start.rotation[row].double().numpy()
        solver.warm_start(start.translation[row].double().numpy(), mat2quat(rotation))
        begun = time.process_time()
        for _ in range(CALLS):
            joints = solver.retarget(goal)
        spent += time.process_time() - begun
        errors.append(np.linalg.norm(_tips(solver, joints, fingers) - goal, axis=-1))
    return TipRow.of(target.name, "dex-retargeting", np.array(errors), 1e3 * spent / len(goals))


def _solver(target: HandModel, fingers: tuple[str, ...]) -> Any:
    from dex_retargeting.retargeting_config import RetargetingConfig  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hand.urdf"
        path.write_text(_with_tips(target, fingers))
        config = RetargetingConfig(
            type="position", urdf_path=str(path), target_link_names=[f"tip_of_{finger}" for finger in fingers],
            target_joint_names=list(target.joint_names),
            target_link_human_indices=np.arange(len(fingers)), add_dummy_free_joint=True, low_pass_alpha=1.0,
        )  # fmt: skip
        return config.build()


def _with_tips(target: HandModel, fingers: tuple[str, ...]) -> str:
    """Return the hand's URDF with a link at each fingertip, and couplings as mimic joints."""
    text = target.urdf.text
    for joint, coupling in target.spec.couplings.items():
        mimic = f'<mimic joint="{coupling["joint"]}" multiplier="{coupling["multiplier"]}" offset="0"/>'
        at = text.index("</joint>", text.index(f'<joint name="{joint}"'))
        text = text[:at] + mimic + text[at:]
    added = ""
    for finger in fingers:
        tip, name = target.spec.tips[finger], f"tip_of_{finger}"
        origin = " ".join(str(value) for value in tip["xyz"])
        added += f'<link name="{name}"/><joint name="{name}" type="fixed"><parent link="{tip["link"]}"/>'
        added += f'<child link="{name}"/><origin xyz="{origin}" rpy="0 0 0"/></joint>'
    return text.replace("</robot>", added + "</robot>")


def _tips(solver: Any, joints: np.ndarray, fingers: tuple[str, ...]) -> np.ndarray:
    robot = solver.optimizer.robot
    robot.compute_forward_kinematics(joints)
    return np.array([robot.get_link_pose(robot.get_link_index(f"tip_of_{finger}"))[:3, 3] for finger in fingers])
