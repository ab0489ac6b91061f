"""What a valid grasp is worth: depth in parts and mesh, clearance, Q1, posture, and where its contacts lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.contact_labels import CONTACT_REACH
from maskdex_core.metrics.penetration import OBJECT_POINTS, HandSolid, farthest_points
from maskdex_core.metrics.posture import natural_posture
from maskdex_core.metrics.wrench_quality import q1
from maskdex_core.objects.object_model import ObjectModel
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.synthesis.made_grasp import MadeGrasp

PALM_MIDDLE = (0.0, 0.0, 0.05)  # m, palm frame
DENSE = 12_000  # surface points of which the 4096 of a measure are chosen


@dataclass(frozen=True)
class GraspMeasures:
    """Measures of one grasp (definitions: `maskdex_core/metrics`).

    Attributes:
        pen_mm: the hand's depth in the convex parts. pen_mesh_mm: in the mesh.
        clearance_mm: of the pre-grasp's skin to the object.
        q1: wrench quality. posture: natural-posture score.
        contact_center: (3,) m, mean of the contact points. palm_center: (3,) m, middle of the palm.
    """

    pen_mm: float
    pen_mesh_mm: float
    clearance_mm: float
    q1: float
    posture: float
    contact_center: np.ndarray
    palm_center: np.ndarray


def measure(hand: HandModel, target: TargetObject, grasps: Sequence[MadeGrasp]) -> list[GraspMeasures]:
    """Return the measures of each grasp on one object."""
    if not grasps:
        return []
    scene, solid = HandOnObject(hand, target.sdf, 0.0), HandSolid(hand)
    pose, opened = _poses(grasps, "joints"), _poses(grasps, "pregrasp")
    points, normals, _ = target.sample_surface(DENSE)
    chosen = farthest_points(points, OBJECT_POINTS)
    in_mesh = solid.penetration(pose, points[chosen])
    in_parts = in_mesh
    if not isinstance(target, ObjectModel):  # what physics feels is not what is seen
        felt = ObjectModel(target.name, target.family, target.part_names, target.pieces).sample_surface(DENSE)[0]
        in_parts = solid.penetration(pose, felt[farthest_points(felt, OBJECT_POINTS)])
    with torch.no_grad():
        clearance = scene.clearance(opened)
        contacts = scene.contacts(pose)
    palm = pose.to_object(torch.tensor([[PALM_MIDDLE]]).expand(len(grasps), 1, 3))[:, 0].double().numpy()
    quality = q1(hand, pose, points[chosen], normals[chosen])
    natural = natural_posture(hand, pose.joints)
    touching = contacts.gap.numpy() < CONTACT_REACH
    return [
        GraspMeasures(
            float(in_parts[i]) * 1e3, float(in_mesh[i]) * 1e3, float(clearance[i]) * 1e3, float(quality[i]),
            float(natural[i]), contacts.point[i].numpy()[touching[i]].mean(0), palm[i],
        )
        for i in range(len(grasps))
    ]  # fmt: skip


def _poses(grasps: Sequence[MadeGrasp], joints: str) -> HandPose:
    def stacked(name: str) -> torch.Tensor:
        return torch.tensor(np.stack([getattr(grasp, name) for grasp in grasps]), dtype=torch.float32)

    return HandPose(stacked(joints), stacked("palm_rotation"), stacked("palm_translation"))
