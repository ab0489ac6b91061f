"""How a hand lies on an object: every hand as spheres, the object as a signed distance field.

A contact link touches with the sphere nearest to the surface on its palmar side.

Index legend: B batch, S spheres, C contact links, L links, Q finger spheres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.sdf import SdfGrid

BACK_OF_FINGER = 0.02  # m that a contact is lengthened by for each unit it faces away, beyond the hand's `facing`
CONTACT_SPHERES = 24  # of one link; a palm has more, but its middle is where it touches


@dataclass(frozen=True)
class Contacts:
    """The contact of each contact link, object frame.

    Attributes:
        gap: (B, C) m, from the link's skin to the surface.
        point: (B, C, 3) m on the object. normal: (B, C, 3) outward from the object.
        sphere: (B, C) index of the sphere that makes it.
    """

    gap: Tensor
    point: Tensor
    normal: Tensor
    sphere: Tensor


@dataclass(frozen=True)
class HandView:
    """The hand's spheres relative to the object, object frame.

    Attributes:
        links: (B, L, 4, 4) object_from_link. centers: (B, S, 3) m. skin: (B, S) m, distance of
            each sphere's skin to the surface. normal: (B, S, 3) of the object at the centres.
        contacts: of each contact link.
    """

    links: Tensor
    centers: Tensor
    skin: Tensor
    normal: Tensor
    contacts: Contacts


class HandOnObject:
    """One hand and one object, with the table it stands on."""

    def __init__(self, hand: HandModel, sdf: SdfGrid, table_height: float | None = None) -> None:
        """Take a hand, the object's field, and the table's z in the object frame (m), if there is one."""
        self.hand, self.sdf, self.table_height = hand, sdf, table_height
        self._made_of = sphere_map(hand)
        self._link_spheres, link_mask = spheres_by_link(hand)
        self._no_sphere = ~link_mask

    def look(self, pose: HandPose) -> HandView:
        """Return where the hand's spheres are."""
        links, centers, palmar = self._spheres(pose)
        distance, normal = self.sdf.query(centers)
        skin = distance - self.hand.sphere_radius
        return HandView(links, centers, skin, normal, self._contacts(centers, palmar, skin, normal))

    def centers(self, pose: HandPose) -> Tensor:
        """Return the centres (B, S, 3) m of the hand's spheres, object frame."""
        return self.place(pose)[1]

    def place(self, pose: HandPose) -> tuple[Tensor, Tensor]:
        """Return object_from_link (B, L, 4, 4) and the centres (B, S, 3) m of the hand's spheres, object frame."""
        return self._spheres(pose)[:2]

    def contacts(self, pose: HandPose) -> Contacts:
        """Return the contact of each contact link."""
        return self.look(pose).contacts

    def crowding(self, pose: HandPose) -> Tensor:
        """Return the summed depth (B,) in m of all spheres in the object and the table."""
        return self.crowding_at(self.centers(pose))

    def crowding_at(self, centers: Tensor) -> Tensor:
        """Return the same for spheres whose centres are at (B, S, 3) m, object frame."""
        depth = (self.hand.sphere_radius - self.sdf.distance(centers)).clamp(min=0).sum(-1)
        if self.table_height is not None:
            low = self.hand.sphere_radius + self.table_height - centers[..., 2]
            depth = depth + low.clamp(min=0).sum(-1)
        return depth

    def penetration(self, pose: HandPose) -> Tensor:
        """Return the deepest sphere penetration (B,) in m into the object."""
        return (-self.clearance(pose)).clamp(min=0)

    def table_depth(self, pose: HandPose) -> Tensor:
        """Return the deepest sphere (B,) in m below the table's top; 0 without a table."""
        if self.table_height is None:
            return torch.zeros(len(pose))
        low = self.hand.sphere_radius + self.table_height - self.centers(pose)[..., 2]
        return low.amax(-1).clamp(min=0)

    def clearance(self, pose: HandPose) -> Tensor:
        """Return the smallest distance (B,) in m between the hand's skin and the object, negative inside."""
        return (self.sdf.distance(self.centers(pose)) - self.hand.sphere_radius).amin(-1)

    def _spheres(self, pose: HandPose) -> tuple[Tensor, Tensor, Tensor]:
        """Return object_from_link (B, L, 4, 4), the spheres' centres (B, S, 3) m and palmar directions (B, S, 3)."""
        links = self.hand.link_transforms(pose.joints, pose.object_from_palm)
        flat = links[:, :, :3].transpose(1, 2).flatten(2)  # (B, 3, 4L)
        centers, palmar = (flat @ self._made_of).transpose(1, 2).chunk(2, 1)
        return links, centers, palmar

    def _contacts(self, centers: Tensor, palmar: Tensor, skin: Tensor, normal: Tensor) -> Contacts:
        facing = -(normal * palmar).sum(-1)
        # A contact on the back of a finger is none: its distance is lengthened.
        effective = skin + BACK_OF_FINGER * (self.hand.spec.facing - facing).clamp(min=0)
        by_link = effective[:, self._link_spheres].masked_fill(self._no_sphere, torch.inf)
        gap, nearest = by_link.min(-1, keepdim=True)
        sphere = self._link_spheres.expand(len(nearest), -1, -1).gather(-1, nearest).squeeze(-1)
        index = sphere[..., None].expand(-1, -1, 3)
        chosen = normal.gather(1, index)
        distance = self.hand.sphere_radius[sphere] + skin.gather(1, sphere)
        point = centers.gather(1, index) - chosen * distance[..., None]
        return Contacts(gap.squeeze(-1), point, chosen, sphere)


@lru_cache(maxsize=16)
def sphere_map(hand: HandModel) -> Tensor:
    """Return (4L, 2S): how the spheres' centres, then their palmar directions, follow from the links' (3, 4) poses.

    One product of matrices places all spheres of a batch, where one small product for each of them takes ten times
    as long.
    """
    count = len(hand.sphere_link)
    made_of = torch.zeros(len(hand.link_names), 4, 2 * count)
    rows = torch.arange(count)
    made_of[hand.sphere_link, :3, rows] = hand.sphere_center
    made_of[hand.sphere_link, 3, rows] = 1.0
    made_of[hand.sphere_link, :3, count + rows] = hand.sphere_palmar
    return made_of.flatten(0, 1)


@lru_cache(maxsize=16)
def spheres_by_link(hand: HandModel) -> tuple[Tensor, Tensor]:
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
