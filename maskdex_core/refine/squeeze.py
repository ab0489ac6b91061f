"""From contacts to motor targets: the squeeze that holds, and the pre-grasp that does not touch.

Index legend: B batch, C contact links, J driven joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from maskdex_core.hands.jacobian import point_jacobian
from maskdex_core.refine.contacts import Contacts, HandOnObject
from maskdex_core.refine.pose import HandPose

CONE_EDGES = 8
TORQUE_SCALE = 0.05  # m: the lever that makes torque comparable with force


@dataclass(frozen=True)
class SqueezeConfig:
    """Forces of the squeeze.

    Attributes:
        total_force: sum of the normal forces, N (20 N held best in measurements).
        friction: sliding friction assumed (the test's is 0.6).
        stiffness: joint stiffness kp, N·m/rad.
        reach: m; contacts farther than this carry no force.
        least_lever: m/rad that a link's contact must move along its normal when its joints bend, to carry force.
            One that hardly moves is stiff: a surface 2 mm farther away than thought takes all of its force. The
            palm carries what others press against it.
        opening: m; how far the pre-grasp backs off along each contact's normal.
    """

    total_force: float = 20.0
    friction: float = 0.5
    stiffness: float = 5.0
    reach: float = 0.004
    least_lever: float = 0.0
    opening: float = 0.008


@dataclass(frozen=True)
class Closing:
    """How grasps close.

    Attributes:
        pregrasp, squeeze: (B, J) rad, joint targets.
        residual: (B,) wrench left over, share of the total force.
        forces: (B, C, 3) N, on the object at each contact, object frame.
    """

    pregrasp: Tensor
    squeeze: Tensor
    residual: Tensor
    forces: Tensor

    def rows(self, keep: Tensor) -> Closing:
        """Return the closings at some indices."""
        return Closing(self.pregrasp[keep], self.squeeze[keep], self.residual[keep], self.forces[keep])


def solve_closing(scene: HandOnObject, pose: HandPose, config: SqueezeConfig | None = None) -> Closing:
    """Solve the pre-grasp and the squeeze of grasps.

    The squeeze is Δq = Jᵀ f / kp with contact forces f from a small non-negative least squares
    inside linearised friction cones: the wrench vanishes while the normal forces sum to the total.
    """
    config = config or SqueezeConfig()
    hand = scene.hand
    with torch.no_grad():
        contacts = scene.contacts(pose)
        local_point = (contacts.point - pose.translation[:, None]) @ pose.rotation
        jacobian = point_jacobian(hand, pose.joints, hand.contact_link_index, local_point)  # (B, C, 3, J)
        turn = pose.rotation
        advance = torch.einsum("bcx,bcxj->bcj", contacts.normal @ turn, jacobian)  # (B, C, J), along the normals
        pressing = (advance.norm(dim=-1) >= config.least_lever) | (hand.link_part[hand.contact_link_index] == 0)
        forces, residual = _balanced_forces(contacts, pressing & (contacts.gap < config.reach), config)
        palm_forces = forces @ turn  # palm frame: Rᵀ f
        delta = torch.einsum("bcx,bcxj->bj", palm_forces, jacobian) / config.stiffness
        pregrasp = _back_off(contacts, advance, pose.joints, config)
        # A squeeze is a motor target, not a posture: it may lie beyond the joint's limit.
        return Closing(hand.clamp(pregrasp), pose.joints + delta, residual, forces)


def flex_closing(scene: HandOnObject, pose: HandPose, offset: float) -> Tensor:
    """Return a squeeze (B, J) that bends every touching finger by `offset` rad toward the object."""
    hand = scene.hand
    with torch.no_grad():
        contacts = scene.contacts(pose)
        local_point = (contacts.point - pose.translation[:, None]) @ pose.rotation
        jacobian = point_jacobian(hand, pose.joints, hand.contact_link_index, local_point)
        touching = (contacts.gap < 0.004).float()
        inward = torch.einsum("bcx,bcxj->bj", -(contacts.normal @ pose.rotation) * touching[..., None], jacobian)
        return pose.joints + offset * torch.sign(inward) * (inward.abs() > 0.005)


def _balanced_forces(contacts: Contacts, carrying: Tensor, config: SqueezeConfig) -> tuple[Tensor, Tensor]:
    """Return forces (B, C, 3) N at the contacts `carrying` (B, C), and the wrench (B,) that they leave over."""
    points, normals = (t.double().numpy() for t in (contacts.point, contacts.normal))
    forces = np.zeros(points.shape)
    residual = np.ones(len(points))
    for b in range(len(points)):
        touching = np.flatnonzero(carrying[b].numpy())
        if len(touching) >= 2:
            forces[b, touching], residual[b] = _balance_one(points[b, touching], normals[b, touching], config)
    return torch.from_numpy(forces).float(), torch.from_numpy(residual).float()


def _balance_one(points: np.ndarray, normals: np.ndarray, config: SqueezeConfig) -> tuple[np.ndarray, float]:
    edges = _cone_edges(normals, config.friction)  # (C, E, 3), unit normal component
    arm = (points - points.mean(0)) / TORQUE_SCALE
    flat = edges.reshape(-1, 3)
    wrench = np.concatenate([flat, np.cross(np.repeat(arm, CONE_EDGES, 0), flat)], 1).T  # (6, C·E)
    # A little regularisation spreads the force over all contacts that can carry it.
    system = np.concatenate([wrench, np.full((1, flat.shape[0]), 1.0), 0.05 * np.eye(flat.shape[0])])
    target = np.zeros(len(system))
    target[6] = 1.0
    share, _ = nnls(system, target)
    total = share.sum()
    if total < 1e-6:
        return np.zeros_like(points), 1.0
    share /= total
    forces = (share.reshape(len(points), CONE_EDGES, 1) * edges).sum(1) * config.total_force
    return forces, float(np.linalg.norm(wrench @ share))


def _cone_edges(normals: np.ndarray, friction: float) -> np.ndarray:
    helper = np.where(np.abs(normals[:, 2:]) < 0.9, [[0.0, 0, 1]], [[1.0, 0, 0]])
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    second = np.cross(normals, first)
    angle = np.linspace(0, 2 * np.pi, CONE_EDGES, endpoint=False)[None, :, None]
    tangent = np.cos(angle) * first[:, None] + np.sin(angle) * second[:, None]
    return -normals[:, None] + friction * tangent


def _back_off(contacts: Contacts, advance: Tensor, joints: Tensor, config: SqueezeConfig) -> Tensor:
    """Return q − Jᵀ(JJᵀ+λ)⁻¹c along the contact normals: every finger opens away from the object.

    Args:
        advance: (B, C, J) m/rad, the contact points' motion along their normals.
    """
    near = (contacts.gap < 2 * config.opening).float()
    rows = advance * near[..., None]
    wanted = (config.opening - contacts.gap).clamp(min=0) * near
    gram = rows @ rows.transpose(1, 2) + 1e-4 * torch.eye(rows.shape[1])
    return joints + torch.einsum("bcj,bc->bj", rows, torch.linalg.solve(gram, wanted))
