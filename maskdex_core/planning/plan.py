"""`Plan`: the answer to a cloud and a sentence, and the files it leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.grasp.types import GraspBatch
from maskdex_core.motion.types import RobotState, RobotTrajectory
from maskdex_core.perception.segment import Scene
from maskdex_core.planning.geometry import ObjectGeometry


@dataclass(frozen=True)
class Candidate:
    """One proposal on the target hand and what became of it.

    Attributes:
        palm_pose: (4, 4) base_from_palm of the target hand.
        joints, pregrasp, squeeze: (J,) rad of the target hand.
        approach: (3,) unit direction toward the grasp, base frame.
        confidence: chance that the grasp holds, 0..1, as the judge says that learned on the Shadow hand.
        cost: of the ranking, lower is better; the order also counts agreement with the text.
        agreement: chance that the target hand touches where the text wants it, 0..1; 1 where the model cannot tell.
        verdict: "ok", "rejected" or "untried". reason: why it was rejected.
        contact_error: finger of the target hand → m between where it touches and where the Shadow grasp did, for
            fingers that both hands have and that touch.
    """

    palm_pose: np.ndarray
    joints: np.ndarray
    pregrasp: np.ndarray
    squeeze: np.ndarray
    approach: np.ndarray
    confidence: float
    cost: float
    agreement: float
    verdict: str = "untried"
    reason: str = ""
    contact_error: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A planned grasp and motion, or the reasons why there is none; base frame unless said.

    Attributes:
        status: "ok" or "rejected". reason: empty when ok.
        text: the task text. seed: what repeats this plan.
        scene: what perception found. geometry: the object as the grasp stages saw it.
        grasps: refined Shadow grasps of the candidates, object frame, same order.
        candidates: best first. chosen: index of the one described below.
        start: where the robot stood. trajectory: checked motion, or None.
        arm_name: the arm. hand_name, hand_joint_names: the target hand.
        target_hand_points: part of the hand → (P, 3) m skin points at the grasp.
        target_hand_triangles: (F, 3, 3) m, surfaces of the hand's shapes at the grasp.
        arm_points: (L, 3) m link origins at the grasp, or None.
        candidate_bones: (C, S, 2, 3) m, the target hand as lines for every candidate.
        timings_ms: stage → ms. model: {name, data, commit}.
        touch: (M,) chance of each of `object_points` to lie on a part that the text wants touched; None when the
            model cannot tell.
    """

    status: str
    reason: str
    text: str
    seed: int
    scene: Scene
    geometry: ObjectGeometry
    grasps: GraspBatch
    candidates: tuple[Candidate, ...]
    chosen: int
    start: RobotState
    trajectory: RobotTrajectory | None
    arm_name: str
    hand_name: str
    hand_joint_names: tuple[str, ...]
    target_hand_points: Mapping[str, np.ndarray]
    target_hand_triangles: np.ndarray
    arm_points: np.ndarray | None
    candidate_bones: np.ndarray
    timings_ms: Mapping[str, float]
    model: Mapping[str, Any] = field(default_factory=dict)
    touch: np.ndarray | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a trajectory to execute."""
        return self.trajectory is not None

    @property
    def object_points(self) -> np.ndarray:
        """(M, 3) m, the segmented object in base."""
        return np.asarray(self.scene.object_points)

    def report(self) -> dict[str, Any]:
        """Return the report as plain JSON values; lengths in m in `link_base`, angles in rad."""
        chosen = self.candidates[self.chosen]
        return {
            "status": self.status,
            "reason": self.reason,
            "text": self.text,
            "seed": self.seed,
            "frame": "link_base",
            "arm": self.arm_name,
            "extrinsics": "assumed from the table" if self.scene.extrinsics_assumed else "given",
            "object": {
                "points": len(self.object_points),
                "centroid": _floats(self.scene.object_centroid),
                "extent": _floats(self.scene.object_extent),
            },
            "grasp": self._grasp_report(),
            "chosen": self.chosen,
            "candidates": [
                {"confidence": round(c.confidence, 5), "verdict": c.verdict, "reason": c.reason,
                 "cost": round(c.cost, 4), "agreement": round(c.agreement, 5),
                 "palm_position": _floats(c.palm_pose[:3, 3]),
                 "contact_error": {finger: round(error, 5) for finger, error in c.contact_error.items()}}
                for c in self.candidates
            ],
            "target_hand": {
                "name": self.hand_name,
                "joint_names": list(self.hand_joint_names),
                "pregrasp": _floats(chosen.pregrasp),
                "grasp": _floats(chosen.joints),
                "squeeze": _floats(chosen.squeeze),
                "palm_position": _floats(chosen.palm_pose[:3, 3]),
                "palm_rotation": _floats(chosen.palm_pose[:3, :3]),
            },
            "trajectory": self.trajectory.to_dict() if self.trajectory else None,
            "timings_ms": {stage: round(ms, 2) for stage, ms in self.timings_ms.items()},
            "model": dict(self.model),
        }  # fmt: skip

    def save(self, folder: str | Path) -> None:
        """Write trajectory.json, object.ply, scene.npz, plan.png and last report.json: where it is, all are."""
        from maskdex_core.perception.ply import write_ply
        from maskdex_core.planning.picture import draw_plan
        from maskdex_core.planning.saved import save_scene

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").unlink(missing_ok=True)
        report = self.report()
        _write_json(folder / "trajectory.json", report["trajectory"])
        camera_from_base = np.linalg.inv(self.scene.base_from_camera)
        in_camera = self.object_points @ camera_from_base[:3, :3].T + camera_from_base[:3, 3]
        write_ply(folder / "object.ply", in_camera)
        save_scene(self, folder)
        draw_plan(self, folder / "plan.png")
        _write_json(folder / "report.json", report)

    def _grasp_report(self) -> dict[str, Any]:
        grasps, row = self.grasps, self.chosen
        position = grasps.palm_translation[row].double().numpy() + self.geometry.center
        optional = {
            name: getattr(grasps, name)[row].tolist()
            for name in ("tokens", "token_confidence")
            if getattr(grasps, name) is not None
        }
        return {
            "joint_names": list(grasps.joint_names),
            "joints": _floats(grasps.joints[row]),
            "palm_position": _floats(position),
            "palm_rotation": _floats(grasps.palm_rotation[row]),
            "confidence": self.candidates[row].confidence,
            **optional,
        }


def _floats(values: Any) -> list:
    return np.round(np.asarray(values, np.float64), 6).tolist()


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    temporary.replace(path)
