"""Arm and hand as triangles by link, and where the links are for a robot state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.resources import resource_path
from maskdex_core.urdf import read_urdf

Mesh = tuple[NDArray[np.float32], NDArray[np.int64]]  # vertices (V, 3) m in the link's frame, faces (F, 3)


def mesh_of(triangles: NDArray[np.floating]) -> Mesh:
    """Return vertices and faces of triangles (F, 3, 3)."""
    vertices = np.asarray(triangles, np.float32).reshape(-1, 3)
    return vertices, np.arange(len(vertices)).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class RobotMeshes:
    """The shapes of an arm with a hand on its flange.

    Attributes:
        arm_meshes: link of the arm → its surface. hand_meshes: link of the hand → its surface.
    """

    arm: Arm
    hand: HandModel
    arm_meshes: dict[str, Mesh]
    hand_meshes: dict[str, Mesh]

    @staticmethod
    def load(arm: str, hand: str) -> RobotMeshes:
        """Read the descriptions of both.

        Raises:
            RobotError, HandError: when one of them is unknown.
        """
        arm_model, hand_model = Arm.load(arm), HandModel.load(hand)
        config = arm_model.config
        urdf = read_urdf(resource_path(config.urdf), (config.base_frame, config.tip_frame))
        arm_meshes = {
            name: mesh_of(np.concatenate([shape.triangles() for shape in link.shapes]))
            for name, link in urdf.links.items()
            if link.shapes
        }
        by_link: dict[str, list[NDArray[np.floating]]] = {}
        for index, shape in hand_model.shapes():
            by_link.setdefault(hand_model.link_names[index], []).append(shape.triangles())
        hand_meshes = {name: mesh_of(np.concatenate(parts)) for name, parts in by_link.items()}
        return RobotMeshes(arm_model, hand_model, arm_meshes, hand_meshes)

    def arm_poses(self, positions: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Return base_from_link (4, 4) of the arm's links at joint positions (7,) rad."""
        poses = self.arm.link_transforms(np.asarray(positions)[None])[0]
        return dict(zip(self.arm.link_names, poses, strict=True))

    def hand_poses(
        self, joints: NDArray[np.floating], base_from_palm: NDArray[np.floating]
    ) -> dict[str, NDArray[np.float64]]:
        """Return base_from_link (4, 4) of the hand's links at driven joints (J,) rad and a palm pose (4, 4)."""
        with torch.no_grad():
            local = self.hand.link_transforms(torch.as_tensor(np.asarray(joints), dtype=torch.float32)[None])[0]
        return dict(zip(self.hand.link_names, base_from_palm @ local.double().numpy(), strict=True))

    def palm_on_flange(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return base_from_palm (4, 4) of the hand on the arm at joint positions (7,) rad."""
        return self.arm.forward(np.asarray(positions)[None])[0] @ self.hand.flange_from_palm()

    def posed_hand(self, joints: NDArray[np.floating], base_from_palm: NDArray[np.floating]) -> Mesh:
        """Return the whole hand as one surface in base."""
        poses = self.hand_poses(joints, base_from_palm)
        placed = [
            vertices[faces] @ poses[name][:3, :3].T + poses[name][:3, 3]
            for name, (vertices, faces) in self.hand_meshes.items()
        ]
        return mesh_of(np.concatenate(placed))
