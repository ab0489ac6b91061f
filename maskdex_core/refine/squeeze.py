"""From contacts to motor targets: the squeeze that holds, and the pre-grasp that does not touch.

Index legend: B batch, C contact links, J driven joints, E edges of a friction cone.
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
SPREAD = 0.05  # of the shares of the force: how much their size counts beside the wrench left over
DUAL_STEPS = 30


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
    touching = carrying.numpy()
    forces, residual = np.zeros(points.shape), np.ones(len(points))
    rows = np.flatnonzero(touching.sum(1) >= 2)
    if len(rows):
        # What touches comes first, and no more places are kept than the grasp with most contacts needs.
        order = np.argsort(~touching[rows], axis=1, kind="stable")[:, : touching[rows].sum(1).max()]
        at = (rows[:, None], order)
        forces[at], residual[rows] = _balance(points[at], normals[at], touching[at], config)
    return torch.from_numpy(forces).float(), torch.from_numpy(residual).float()


def _balance(
    points: np.ndarray, normals: np.ndarray, touching: np.ndarray, config: SqueezeConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Balance grasps of contacts (B, C, 3), of which those `touching` (B, C) carry."""
    edges = _cone_edges(normals, config.friction)  # (B, C, E, 3), unit normal component
    middle = (points * touching[..., None]).sum(1, keepdims=True) / touching.sum(1)[:, None, None]
    arm = np.broadcast_to(((points - middle) / TORQUE_SCALE)[:, :, None], edges.shape)
    wrench = np.concatenate([edges, np.cross(arm, edges)], -1)
    wrench = (wrench * touching[..., None, None]).reshape(len(points), -1, 6)  # (B, C·E, 6)
    carrying = np.repeat(touching, CONE_EDGES, axis=1)[..., None].astype(float)
    # A little regularisation spreads the force over all contacts that can carry it.
    share = spread(np.concatenate([wrench, carrying], -1), np.eye(7)[6], SPREAD)
    total = share.sum(1, keepdims=True)
    nothing = total[:, 0] < 1e-6
    share = np.where(nothing[:, None], 0.0, share / np.maximum(total, 1e-6))
    forces = (share.reshape(*points.shape[:2], CONE_EDGES, 1) * edges).sum(2) * config.total_force
    left = np.linalg.norm((share[:, None] @ wrench)[:, 0], axis=-1)
    return forces, np.where(nothing, 1.0, left)


def spread(columns: np.ndarray, target: np.ndarray, weight: float) -> np.ndarray:
    """Return x ≥ 0 (B, N) that minimises |Σ xₙ·columnₙ − target|² + weight²·|x|², for columns (B, N, M), target (M,).

    Its dual has M unknowns λ, what is left of the target, and x = max(0, columns·λ) / weight². Newton's method on
    it solves a system of M equations for the columns that carry; it is over once these stay the same.
    """
    shares = np.empty(columns.shape[:2])
    going, carries = np.arange(len(columns)), np.ones(columns.shape[:2], dtype=bool)
    for _ in range(DUAL_STEPS):
        used = columns[going] * carries[..., None]
        system = np.eye(len(target)) + used.transpose(0, 2, 1) @ used / weight**2
        left = np.linalg.solve(system, np.broadcast_to(target, (len(going), len(target)))[..., None])
        pressed = (columns[going] @ left)[..., 0]
        shares[going] = pressed.clip(min=0.0) / weight**2
        changed = ((pressed > 0) != carries).any(1)
        going, carries = going[changed], (pressed > 0)[changed]
        if len(going) == 0:
            break
    for row in going:  # Newton's method may go round in circles; the slow one does not
        system = np.concatenate([columns[row].T, weight * np.eye(columns.shape[1])])
        shares[row] = nnls(system, np.concatenate([target, np.zeros(columns.shape[1])]))[0]
    return shares


def _cone_edges(normals: np.ndarray, friction: float) -> np.ndarray:
    helper = np.where(np.abs(normals[..., 2:]) < 0.9, [0.0, 0, 1], [1.0, 0, 0])
    first = np.cross(normals, helper)
    first /= np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), 1e-9)
    second = np.cross(normals, first)
    angle = np.linspace(0, 2 * np.pi, CONE_EDGES, endpoint=False)[:, None]
    tangent = np.cos(angle) * first[..., None, :] + np.sin(angle) * second[..., None, :]
    return -normals[..., None, :] + friction * tangent


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
