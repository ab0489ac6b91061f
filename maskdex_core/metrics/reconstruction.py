"""What the tokenizer keeps of a grasp."""

from __future__ import annotations

import torch

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.rotation import geodesic_angle
from maskdex_core.grasp.surface import hand_points, part_selection
from maskdex_core.grasp.tokenizer import GraspTokenizer
from maskdex_core.hands.model import HandModel

POINTS = 2000
CHUNK = 256


@torch.no_grad()
def reconstruction(
    tokenizer: GraspTokenizer, hand: HandModel, data: GraspDataset, limit: int = 2048
) -> dict[str, float]:
    """Return mean errors of grasps written as tokens and read again.

    Args:
        tokenizer: of a model. hand: the same. data: grasps, evenly spread rows up to `limit` of them.

    Returns:
        palm_mm, palm_deg, joints_deg (mean absolute), points_mm (skin), tips_mm; usage: mean share of the codes that
        occur; perplexity: mean exp of the entropy of each codebook's histogram.
    """
    rows = torch.linspace(0, len(data) - 1, min(limit, len(data))).round().long()
    joints = data.joints_as(hand.joint_names)[rows]
    centroids = torch.stack([data.objects[name].points.mean(0) for name in data.object_names])
    palm = PalmPose(data.palm_rotation[rows], data.palm_translation[rows] - centroids[data.object_index[rows]])
    made, shifts = [], []
    select = part_selection(hand.surface_part, tokenizer.parts, POINTS)
    for first in range(0, len(rows), CHUNK):
        own = slice(first, first + CHUNK)
        pose = PalmPose(palm.rotation[own], palm.translation[own])
        made.append(tokenizer.tokenize(hand, joints[own], pose))
        again = tokenizer.decode(made[-1])
        moved = hand_points(hand, select, again.joints, *again.palm) - hand_points(hand, select, joints[own], *pose)
        shifts.append(moved.norm(dim=-1).mean((1, 2)))
    tokens = torch.cat(made)
    decoded = tokenizer.decode(tokens)
    before, after = (tip_positions(hand, j, p) for j, p in ((joints, palm), (decoded.joints, decoded.palm)))
    counts = [torch.bincount(column, minlength=tokenizer.chains.codes) for column in tokens.T]
    histogram = torch.stack(counts).float()
    share = histogram / histogram.sum(1, keepdim=True)
    entropy = -(share * share.clamp_min(1e-12).log()).sum(1)
    return {
        "palm_mm": 1e3 * float((decoded.palm.translation - palm.translation).norm(dim=-1).mean()),
        "palm_deg": float(torch.rad2deg(geodesic_angle(decoded.palm.rotation, palm.rotation)).mean()),
        "joints_deg": float(torch.rad2deg((decoded.joints - joints).abs()).mean()),
        "points_mm": 1e3 * float(torch.cat(shifts).mean()),
        "tips_mm": 1e3 * float((after - before).norm(dim=-1).mean()),
        "usage": float((histogram > 0).float().mean()),
        "perplexity": float(entropy.exp().mean()),
    }


def tip_positions(hand: HandModel, joints: torch.Tensor, palm: PalmPose) -> torch.Tensor:
    """Return the fingertips (B, F, 3) m of grasps in the frame of their palm poses."""
    return hand.tip_points(joints) @ palm.rotation.transpose(1, 2) + palm.translation[:, None]
