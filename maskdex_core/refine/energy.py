"""What makes a hand configuration a grasp, as one differentiable energy.

Every hand is seen as spheres inside its collision shapes, the object as a signed distance field.
A contact link touches with the sphere nearest to the surface on its palmar side.

Index legend: B batch, S spheres, C contact links, P sphere pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.sdf import SdfGrid

GAP_TARGET = 0.0008  # m: contacts stop short of the surface, so that nothing penetrates
SELF_CLEARANCE = 0.001
CONTACT_SPHERES = 24  # of one link; a palm has more, but its middle is where it touches


@dataclass(frozen=True)
class EnergyWeights:
    """Weights of the terms; each term is of order 1 for an error a user would see."""

    gap: float = 1.0
    penetration: float = 1.0
    wrench: float = 2.0
    self_collision: float = 0.5
    table: float = 1.0
    prior: float = 0.05


@dataclass(frozen=True)
class Contacts:
    """The contact of each contact link, object frame.

    Attributes:
        gap: (B, C) m, from the link's skin to the surface.
        point: (B, C, 3) m on the object. normal: (B, C, 3) outward from the object.
    """

    gap: Tensor
    point: Tensor
    normal: Tensor


@dataclass(frozen=True)
class EnergyTerms:
    """Each term (B,), unweighted."""

    gap: Tensor
    penetration: Tensor
    wrench: Tensor
    self_collision: Tensor
    table: Tensor
    prior: Tensor

    def total(self, weights: EnergyWeights) -> Tensor:
        """Return the weighted sum (B,)."""
        terms = [getattr(weights, field.name) * getattr(self, field.name) for field in fields(self)]
        return torch.stack(terms).sum(0)


class ContactEnergy:
    """The energy of one hand on one object."""

    def __init__(self, hand: HandModel, sdf: SdfGrid, table_height: float | None = None) -> None:
        """Take a hand, the object's field, and the table's z in the object frame (m), if there is one."""
        self._hand, self._sdf, self._table = hand, sdf, table_height
        self.hand = hand
        self._link_spheres, self._link_mask = _spheres_by_link(hand)
        self._fingers, self._reach = _finger_reach(hand)

    def spheres(self, pose: HandPose) -> tuple[Tensor, Tensor]:
        """Return sphere centres (B, S, 3) m and palmar directions (B, S, 3), object frame."""
        hand = self._hand
        transforms = hand.link_transforms(pose.joints)
        centers = hand.place(transforms, hand.sphere_link, hand.sphere_center)
        turned = transforms[:, hand.sphere_link, :3, :3] @ hand.sphere_palmar[None, :, :, None]
        return pose.to_object(centers), turned.squeeze(-1) @ pose.rotation.transpose(1, 2)

    def contacts(self, pose: HandPose) -> Contacts:
        """Return the contact of each contact link."""
        centers, palmar = self.spheres(pose)
        distance, normal = self._sdf.query(centers)
        return self._contacts(centers, palmar, distance - self._hand.sphere_radius, normal)

    def __call__(self, pose: HandPose, start: HandPose, active: Tensor, force: Tensor) -> EnergyTerms:
        """Return the terms.

        Args:
            pose: configurations. start: where they came from (for the prior).
            active: (B, C) in 0..1, which contact links should touch.
            force: (B, C, 3) free force parameters: normal share (softmax) and two tangents.
        """
        hand = self._hand
        centers, palmar = self.spheres(pose)
        distance, normal = self._sdf.query(centers)
        skin = distance - hand.sphere_radius
        contacts = self._contacts(centers, palmar, skin, normal)
        error = (contacts.gap - GAP_TARGET) / 0.003
        gap = (F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none") * active).sum(-1)
        return EnergyTerms(
            gap=gap / active.sum(-1).clamp(min=1.0),
            penetration=((0.0005 - skin).clamp(min=0) / 0.001).square().sum(-1),
            wrench=_wrench_residual(contacts, active, force),
            self_collision=self._self_collision(centers),
            table=self._table_depth(centers),
            prior=_deviation(pose, start),
        )

    def crowding(self, pose: HandPose) -> Tensor:
        """Return the summed depth (B,) in m of all spheres in the object and the table."""
        centers, _ = self.spheres(pose)
        distance, _ = self._sdf.query(centers)
        depth = (self._hand.sphere_radius - distance).clamp(min=0).sum(-1)
        if self._table is not None:
            depth = depth + (self._hand.sphere_radius + self._table - centers[..., 2]).clamp(min=0).sum(-1)
        return depth

    def penetration(self, pose: HandPose) -> Tensor:
        """Return the deepest sphere penetration (B,) in m."""
        centers, _ = self.spheres(pose)
        distance, _ = self._sdf.query(centers)
        return (self._hand.sphere_radius - distance).clamp(min=0).amax(-1)

    def _contacts(self, centers: Tensor, palmar: Tensor, skin: Tensor, normal: Tensor) -> Contacts:
        # A contact on the back of a finger is none: its distance is lengthened.
        facing = -(normal * palmar).sum(-1)
        effective = skin + 0.02 * (0.2 - facing).clamp(min=0)
        by_link = effective[:, self._link_spheres].masked_fill(~self._link_mask, torch.inf)
        nearest = by_link.argmin(-1, keepdim=True)
        gap = by_link.gather(-1, nearest).squeeze(-1)
        sphere = self._link_spheres.expand(len(gap), -1, -1).gather(-1, nearest).squeeze(-1)
        index = sphere[..., None].expand(-1, -1, 3)
        chosen_normal = normal.gather(1, index)
        point = centers.gather(1, index) - chosen_normal * (
            self._hand.sphere_radius[sphere] + skin.gather(1, sphere)
        ).unsqueeze(-1)
        return Contacts(gap, point, chosen_normal)

    def _self_collision(self, centers: Tensor) -> Tensor:
        fingers = centers[:, self._fingers]
        squared = (fingers[:, :, None] - fingers[:, None]).square().sum(-1)  # (B, Q, Q)
        overlap = (self._reach - squared.clamp(min=1e-12).sqrt()).clamp(min=0)
        return (overlap / 0.002).square().sum((-1, -2)) / 2

    def _table_depth(self, centers: Tensor) -> Tensor:
        if self._table is None:
            return centers.new_zeros(len(centers))
        clearance = centers[..., 2] - self._hand.sphere_radius - self._table
        return ((0.002 - clearance).clamp(min=0) / 0.002).square().sum(-1).clamp(max=1e4)


def _wrench_residual(contacts: Contacts, active: Tensor, force: Tensor) -> Tensor:
    """Return ‖Σ wrench‖² of unit total normal force; torque is scaled by 5 cm."""
    friction = 0.2  # below the test's 0.6: a margin
    share = torch.softmax(force[..., 0] + (active + 1e-6).log(), -1)
    tangent = torch.tanh(force[..., 1:])
    helper = torch.where(contacts.normal[..., 2:].abs() < 0.9, _axis(contacts.normal, 2), _axis(contacts.normal, 0))
    first = F.normalize(torch.linalg.cross(contacts.normal, helper), dim=-1)
    second = torch.linalg.cross(contacts.normal, first)
    push = -contacts.normal + friction * (tangent[..., :1] * first + tangent[..., 1:] * second)
    forces = share[..., None] * push
    center = (active[..., None] * contacts.point).sum(1, keepdim=True) / active.sum(-1).clamp(min=1)[:, None, None]
    torque = torch.linalg.cross((contacts.point - center.detach()) / 0.05, forces)
    return forces.sum(1).square().sum(-1) + torque.sum(1).square().sum(-1)


def _axis(like: Tensor, index: int) -> Tensor:
    axis = torch.zeros_like(like)
    axis[..., index] = 1.0
    return axis


def _deviation(pose: HandPose, start: HandPose) -> Tensor:
    moved = (pose.translation - start.translation).square().sum(-1) / 0.01**2
    turned = (pose.rotation - start.rotation).square().sum((-1, -2)) / 0.1**2
    bent = (pose.joints - start.joints).square().sum(-1) / 0.2**2
    return (moved + turned + bent) / 10


def _spheres_by_link(hand: HandModel) -> tuple[Tensor, Tensor]:
    """Return sphere indices (C, W) of each contact link, its most palmar ones, and their mask."""
    height = (hand.sphere_center * hand.sphere_palmar).sum(-1) + hand.sphere_radius
    groups = []
    for link in hand.contact_link_index:
        own = torch.nonzero(hand.sphere_link == link).flatten()
        groups.append(own[height[own].argsort(descending=True)[:CONTACT_SPHERES]])
    size = max(len(group) for group in groups)
    index = torch.zeros(len(groups), size, dtype=torch.long)
    mask = torch.zeros(len(groups), size, dtype=torch.bool)
    for row, group in enumerate(groups):
        index[row, : len(group)], mask[row, : len(group)] = group, True
    return index, mask


def _finger_reach(hand: HandModel) -> tuple[Tensor, Tensor]:
    """Return the fingers' spheres (Q,) and the distance (Q, Q) m that each pair has to keep.

    Pairs of one finger, and pairs that overlap with the hand flat, keep none.
    """
    finger = torch.nonzero(hand.sphere_part > 0).flatten()
    flat = hand.clamp(torch.zeros(1, len(hand.joint_names)))
    centers = hand.place(hand.link_transforms(flat), hand.sphere_link, hand.sphere_center)[0, finger]
    touching = hand.sphere_radius[finger][:, None] + hand.sphere_radius[finger]
    apart = (centers[:, None] - centers).norm(dim=-1) > touching
    part = hand.sphere_part[finger]
    return finger, (touching + SELF_CLEARANCE) * (apart & (part[:, None] != part))
