"""Grasps tested on the true object: what holds, how deep the hand is, what it touches.

Index legend: K grasps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.contact_labels import ContactLabels
from maskdex_core.metrics.penetration import HandSolid, farthest_points
from maskdex_core.metrics.wrench_quality import q1, valid_q1
from maskdex_core.objects.object_model import ObjectModel
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.physics.hold_test import FC6, FC6_HARD, PAPER_LIKE, HoldProtocol, HoldResult, HoldTest
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

DENSE = 12_000  # surface points of which the measure's 4096 are chosen
PAPER_DEPTH = 5.0  # mm
ALL_PROTOCOLS = 4  # raw samples an object that take every protocol; they are draws like all others


@dataclass(frozen=True)
class GraspScores:
    """Measures of K grasps on one object, each (K,); `maskdex_core/metrics` has the definitions.

    Attributes:
        fc6: held in all directions. fc1: in at least one.
        pen_mm, pen_mesh_mm: depth in the convex parts, and in the mesh. self_mm: of the hand in itself.
        q1: wrench quality, 0 where the hand is 5 mm deep. contacts: links that touch.
        parts: part touched by each contact, grasp by grasp.
    """

    fc6: np.ndarray
    fc1: np.ndarray
    pen_mm: np.ndarray
    pen_mesh_mm: np.ndarray
    self_mm: np.ndarray
    q1: np.ndarray
    contacts: np.ndarray
    parts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RawScores:
    """Measures of K grasps that nothing has refined: fc6, fc1 and pen_mesh_mm (K,) as of `GraspScores`.

    Attributes:
        fc6_hard, paper_like: of the first `ALL_PROTOCOLS` of them.
    """

    fc6: np.ndarray
    fc1: np.ndarray
    pen_mesh_mm: np.ndarray
    fc6_hard: np.ndarray
    paper_like: np.ndarray


@dataclass(frozen=True)
class TopScores:
    """The one grasp that would be executed, by the whole protocols."""

    fc6: bool
    fc1: bool
    fc6_hard: bool
    paper_like: bool


class GraspTest:
    """Physics and geometry of one object, made once."""

    def __init__(self, hand: HandModel, target: TargetObject) -> None:
        self._hand, self._target = hand, target
        self._physics = {protocol: HoldTest(hand, target, protocol) for protocol in (FC6, FC6_HARD, PAPER_LIKE)}
        self._solid = HandSolid(hand)
        points, self._normals, _ = target.sample_surface(DENSE)
        chosen = farthest_points(points)
        self._points, self._normals = points[chosen], self._normals[chosen]
        self._felt = self._points
        if not isinstance(target, ObjectModel):  # what physics feels is not what is seen
            felt = ObjectModel(target.name, target.family, target.part_names, target.pieces).sample_surface(DENSE)[0]
            self._felt = felt[farthest_points(felt)]
        self._labels = ContactLabels(HandOnObject(hand, target.sdf, 0.0), target)

    def holds(self, grasps: GraspBatch, center: np.ndarray) -> np.ndarray:
        """Return FC6 (K,) bool by the quick test; poses are relative to `center` (3,) m of the object's frame."""
        return self._quick(grasps, center)[0]

    def raw(self, grasps: GraspBatch, center: np.ndarray) -> RawScores:
        """Return what is measured of unrefined grasps, of which a few take every protocol; `center` as in `holds`."""
        in_mesh = self._depth_in_mesh(_on_object(grasps, center))
        some = grasps.index(slice(0, ALL_PROTOCOLS))
        paper = self._quick(some, center, PAPER_LIKE)[1] & (in_mesh[:ALL_PROTOCOLS] < PAPER_DEPTH)
        return RawScores(*self._quick(grasps, center), in_mesh, self._quick(some, center, FC6_HARD)[0], paper)

    def scores(self, grasps: GraspBatch, center: np.ndarray) -> GraspScores:
        """Return all measures of grasps whose poses are relative to `center` (3,) m of the object's frame."""
        pose = _on_object(grasps, center)
        in_mesh = self._depth_in_mesh(pose)
        same = self._felt is self._points
        in_parts = in_mesh if same else 1e3 * self._solid.penetration(pose, self._felt).numpy()
        touched = self._labels(pose)
        quality = valid_q1(q1(self._hand, pose, self._points, self._normals), in_mesh)
        return GraspScores(
            *self._quick(grasps, center), in_parts, in_mesh, self._depth_in_itself(pose), quality,
            np.array([len(one.links) for one in touched]), tuple(one.parts for one in touched),
        )  # fmt: skip

    def top(self, grasps: GraspBatch, row: int, center: np.ndarray, depth_mm: float) -> TopScores:
        """Return what becomes of one grasp by FC6, FC6-hard and the paper-like test; `depth_mm` of the hand in it."""
        plain, hard, paper = (
            run_test(self._physics[protocol], grasps, row, center) for protocol in (FC6, FC6_HARD, PAPER_LIKE)
        )
        return TopScores(plain.fc6, plain.fc1, hard.fc6, paper.fc1 and depth_mm < PAPER_DEPTH)

    def _quick(
        self, grasps: GraspBatch, center: np.ndarray, protocol: HoldProtocol = FC6
    ) -> tuple[np.ndarray, np.ndarray]:
        return quick_tests(self._physics[protocol], grasps, center)

    def _depth_in_mesh(self, pose: HandPose) -> np.ndarray:
        return 1e3 * self._solid.penetration(pose, self._points).numpy()

    def _depth_in_itself(self, pose: HandPose) -> np.ndarray:
        return 1e3 * self._solid.self_penetration(pose.joints).numpy()


def _on_object(grasps: GraspBatch, center: np.ndarray) -> HandPose:
    """Return poses in the object's frame of grasps about `center`."""
    offset = torch.as_tensor(center, dtype=torch.float32)
    return HandPose(grasps.joints, grasps.palm_rotation, grasps.palm_translation + offset)


def quick_tests(physics: HoldTest, grasps: GraspBatch, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whether grasps about `center` (3,) m hold in all directions, and in at least one: (K,) bool each."""
    found = [run_test(physics, grasps, row, center, quick=True) for row in range(len(grasps))]
    return np.array([one.fc6 for one in found], bool), np.array([one.fc1 for one in found], bool)


def run_test(physics: HoldTest, grasps: GraspBatch, row: int, center: np.ndarray, quick: bool = False) -> HoldResult:
    """Run one grasp of a batch.

    Raises:
        ValueError: when the batch has no pre-grasp and squeeze.
    """
    if grasps.pregrasp is None or grasps.squeeze is None:
        raise ValueError("grasps have no pre-grasp and squeeze")
    return physics.run(
        grasps.palm_rotation[row].double().numpy(), grasps.palm_translation[row].double().numpy() + center,
        grasps.pregrasp[row].numpy(), grasps.joints[row].numpy(), grasps.squeeze[row].numpy(), quick,
    )  # fmt: skip
