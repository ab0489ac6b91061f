"""What a refined grasp shows before any physics, as numbers that a judge of holding reads.

None of them names a link or a joint, so that a judge trained on one hand can be asked about another.

Index legend: B batch, C contact links, P observed points.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskdex_core.refine.contacts import Contacts, HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.squeeze import TORQUE_SCALE, Closing
from maskdex_core.refine.squeeze_motion import squeeze_motion

TOUCH = 0.004  # m; contacts nearer than this may carry force
UNSEEN = 0.03  # m; farther from every observed point than this is all the same
FEATURES = (
    "wrench left over (log)",
    "links that carry",
    "fingers that carry",
    "thumb carries",
    "largest share of the force",
    "use of friction",
    "closing direction of the forces",
    "firmness",
    "torque arm",
    "greatest squeeze",
    "mean gap",
    "depth",
    "contacts away from what was seen",
    "turned by the squeeze (log)",
    "shifted by the squeeze (log)",
    "force after the squeeze (log)",
    "turned by a push (log)",
    "shifted by a push (log)",
    "turned by the squeeze, half the friction (log)",
    "shifted by the squeeze, half the friction (log)",
    "force after the squeeze, half the friction (log)",
    "turned by a push, half the friction (log)",
    "shifted by a push, half the friction (log)",
)
FRICTION = 0.6, 0.3  # of the tests that the judge foretells
LEAST = 0.01  # rad, m, N; less motion or force than this is all the same


def hold_features(
    scene: HandOnObject, pose: HandPose, closing: Closing, seen: Tensor, squeezed: Tensor | None = None
) -> Tensor:
    """Return the features (B, F) of grasps, in the order of `FEATURES`.

    Args:
        scene, pose: the refined grasps. closing: solved for them.
        seen: (P, 3) m, observed points of the object in the object frame.
        squeezed: (B, 10), `squeeze_features` of the same grasps on another closing of the object; None: found here.
    """
    with torch.no_grad():
        view = scene.look(pose)
        contacts, force = view.contacts, closing.forces.float()
        normal_force = -(force * contacts.normal).sum(-1).clamp(max=0)  # (B, C) N, into the object
        total = normal_force.sum(-1).clamp(min=1e-6)
        share = normal_force / total[:, None]
        carries = share > 0.02
        part = scene.hand.sphere_part[contacts.sphere]  # (B, C)
        fingers = torch.stack([(carries & (part == index)).any(-1) for index in range(1, 6)], -1)
        tangential = (force + normal_force[..., None] * contacts.normal).norm(dim=-1).sum(-1)
        opposed = (share[..., None] * contacts.normal).sum(1).norm(dim=-1)
        middle = (share[..., None] * contacts.point).sum(1)
        columns = [
            (closing.residual + 1e-4).log(),
            carries.sum(-1) / 5,
            fingers.sum(-1) / 5,
            fingers[:, 0],
            share.amax(-1),
            tangential / total,
            opposed,
            firmness(contacts, share),
            middle.norm(dim=-1) / TORQUE_SCALE,
            (closing.squeeze - pose.joints).abs().amax(-1),
            (share * contacts.gap.clamp(-TOUCH, TOUCH)).sum(-1) / TOUCH,
            view.skin.amin(-1).clamp(-TOUCH, 0) / TOUCH,
            (share * _unseen(contacts, seen)).sum(-1),
        ]
        if squeezed is None:
            squeezed = squeeze_features(scene, pose, closing.squeeze)
        return torch.cat([torch.stack([column.float() for column in columns], -1), squeezed], -1)


def squeeze_features(scene: HandOnObject, pose: HandPose, squeeze: Tensor) -> Tensor:
    """Return what squeezes (B, J) rad do to the object (B, 10), log: the five of `SqueezeMotion` for each friction."""
    friction = torch.tensor(FRICTION).repeat_interleave(len(pose))
    motion = squeeze_motion(scene, HandPose.joined([pose] * len(FRICTION)), squeeze.repeat(len(FRICTION), 1), friction)
    columns = torch.stack([motion.turn, motion.shift, motion.force, motion.pushed_turn, motion.pushed_shift], -1)
    return (columns + LEAST).log().unflatten(0, (len(FRICTION), -1)).transpose(0, 1).flatten(1)


def firmness(contacts: Contacts, share: Tensor) -> Tensor:
    """Return how firmly contacts hold against the wrench that they resist least (B,), log.

    The smallest eigenvalue of Σ shareᵢ·Gᵢ·Gᵢᵀ, Gᵢ the wrench of a unit force at contact i in any direction,
    torques over `TORQUE_SCALE` about the forces' middle (Li and Sastry 1988, weighted by the force carried).
    """
    middle = (share[..., None] * contacts.point).sum(1, keepdim=True)
    arm = (contacts.point - middle) / TORQUE_SCALE
    zero = torch.zeros_like(arm[..., 0])
    x, y, z = arm.unbind(-1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    grasp = torch.cat((torch.eye(3).expand_as(cross), cross), -2)  # (B, C, 6, 3)
    gram = torch.einsum("bc,bcij,bckj->bik", share, grasp, grasp)
    return (torch.linalg.eigvalsh(gram)[:, 0].clamp(min=0) + 1e-4).log()


def _unseen(contacts: Contacts, seen: Tensor) -> Tensor:
    """Return how far contacts (B, C) are from the nearest observed point, in units of `UNSEEN`, at most 1."""
    flat = contacts.point.flatten(0, 1)
    distance = torch.cdist(flat, seen.to(flat)).amin(-1).view(contacts.gap.shape)
    return distance.clamp(max=UNSEEN) / UNSEEN
