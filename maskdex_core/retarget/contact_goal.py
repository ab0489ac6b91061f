"""What a grasp is to its object, for another hand to repeat: contact points, and where idle fingers are.

Index legend: B grasps, F fingers both hands have, C contact links of the target.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject, HandView
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.residuals import GAP_TARGET, Goal, Residuals
from maskdex_core.refine.rows import HandMotion
from maskdex_core.retarget.landmarks import played_by

REACH = 0.004
"""m; a link nearer than this to the surface touches"""


@dataclass(frozen=True)
class ContactGoal:
    """What each finger of the target should do, object frame.

    Attributes:
        fingers: the F names. touch: (B, F) bool, which of them should touch.
        tips: (B, F, 3) m, fingertips of the source. points: (B, F, 3) m on the object and normals: (B, F, 3)
            outward, where those that touch should do so. link: (B, F) with which of the target's contact links.
        palm: (B,) bool, whether the source's palm touches.
    """

    fingers: tuple[str, ...]
    touch: Tensor
    tips: Tensor
    points: Tensor
    normals: Tensor
    link: Tensor
    palm: Tensor

    def repeated(self, times: int) -> ContactGoal:
        """Return the goals of the batch `times` over."""
        parts = (self.touch, self.tips, self.points, self.normals, self.link, self.palm)
        return ContactGoal(self.fingers, *(part.repeat(times, *[1] * (part.dim() - 1)) for part in parts))

    def active(self, hand: HandModel) -> Tensor:
        """Return (B, C) float: the links that should touch."""
        wanted = torch.zeros(len(self.touch), len(hand.spec.contact_links))
        wanted.scatter_(1, self.link, self.touch.float())
        on_palm = hand.link_part[hand.contact_link_index] == 0
        return torch.maximum(wanted, (self.palm[:, None] & on_palm).float())

    def residuals(self, hand: HandModel, contact_scale: float, idle_scale: float) -> Goal:
        """Return the residuals: a contact `contact_scale` m off costs 1, so does an idle tip `idle_scale` m off."""
        columns = [hand.finger_names.index(finger) for finger in self.fingers]
        tip_link, tip_point = (tensor[columns] for tensor in hand.tips)
        busy, idle = self.touch.float() / contact_scale, (~self.touch).float() / idle_scale

        def residuals(pose: HandPose, motion: HandMotion, view: HandView) -> Residuals:
            sphere = view.contacts.sphere.gather(1, self.link)
            centers = view.centers.gather(1, sphere[..., None].expand(-1, -1, 3))
            away = hand.sphere_radius[sphere] + GAP_TARGET
            places = self.points + self.normals * away[..., None]
            tips = hand.place(view.links, tip_link, tip_point)
            contact = _pulled(motion, hand.sphere_link[sphere], centers, places, busy)
            return Residuals.joined([contact, _pulled(motion, tip_link.expand(len(tips), -1), tips, self.tips, idle)])

        return residuals

    def error(self, scene: HandOnObject, pose: HandPose) -> Tensor:
        """Return (B, F) m: how far contacts are from where the source touched; NaN for fingers that need not touch."""
        contacts = scene.contacts(pose)
        made = contacts.point.gather(1, self.link[..., None].expand(-1, -1, 3))
        gap = contacts.gap.gather(1, self.link).clamp(min=0)
        return ((made - self.points).norm(dim=-1) + gap).masked_fill(~self.touch, torch.nan)


def contact_goal(
    source: HandModel, grasp: HandPose, scene: HandOnObject, fingers: tuple[str, ...], touch: Tensor
) -> ContactGoal:
    """Return what grasps of the source ask of the hand of `scene` on the same object.

    The outermost link with which a finger touches is repeated by the link of the target that stands as far from
    its fingertip: distal by distal, middle by middle.

    Args:
        touch: (B, fingers of source) bool.
    """
    target = scene.hand
    contacts = HandOnObject(source, scene.sdf, scene.table_height).contacts(grasp)
    columns = played_by(source, target, fingers, touch)  # (B, F)
    theirs, ours = _outward(source, source.finger_names), _outward(target, fingers)
    from_tip = _first_touching(contacts.gap, theirs)  # (B, fingers of source)
    chosen = theirs[torch.arange(len(theirs)), from_tip].gather(1, columns)  # (B, F)
    depth = from_tip.gather(1, columns).clamp(max=ours.shape[1] - 1)
    rows = torch.arange(len(fingers)).expand_as(depth)
    at = chosen[..., None].expand(-1, -1, 3)
    tips = grasp.to_object(source.tip_points(grasp.joints)).gather(1, columns[..., None].expand(-1, -1, 3))
    on_palm = source.link_part[source.contact_link_index] == 0
    palm = (contacts.gap[:, on_palm] < REACH).any(-1)
    return ContactGoal(
        fingers, touch.gather(1, columns), tips, contacts.point.gather(1, at), contacts.normal.gather(1, at),
        ours[rows, depth], palm,
    )  # fmt: skip


def _outward(hand: HandModel, fingers: tuple[str, ...]) -> Tensor:
    """Return (F, W): each finger's positions among the contact links, the outermost first, padded with the last."""
    parts = [hand.part_names[int(part)] for part in hand.link_part[hand.contact_link_index]]
    rows = [[i for i, part in enumerate(parts) if part == finger] for finger in fingers]
    outward = [sorted(row, key=lambda i: int(hand.contact_link_index[i]), reverse=True) for row in rows]
    width = max(len(row) for row in outward)
    return torch.tensor([row + row[-1:] * (width - len(row)) for row in outward])


def _first_touching(gap: Tensor, links: Tensor) -> Tensor:
    """Return (B, F): which of a finger's links (F, W) touches first from its tip; the outermost when none does."""
    near = gap[:, links] < REACH  # (B, F, W)
    return near.float().argmax(-1)


def _pulled(motion: HandMotion, link: Tensor, points: Tensor, goal: Tensor, weight: Tensor) -> Residuals:
    """Return residuals that pull points (B, F, 3) on links (B, F) to goals, weighed (B, F)."""
    axes = torch.eye(3).repeat_interleave(points.shape[1], 0).expand(len(points), -1, -1)
    rows = motion.along(link.repeat(1, 3), points.repeat(1, 3, 1), axes)
    root = weight.repeat(1, 3)
    return Residuals((points - goal).transpose(1, 2).flatten(1) * root, rows * root[..., None])
