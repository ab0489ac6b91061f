"""A hand as lines, one from joint to joint: the cheapest drawing that still shows its posture."""

from __future__ import annotations

import numpy as np
import torch

from maskdex_core.hands.model import HandModel

SHORTEST = 1e-4  # m; joints that share an origin have no bone between them


def hand_bones(hand: HandModel, joints: np.ndarray, base_from_palm: np.ndarray) -> np.ndarray:
    """Return the lines of several configurations of a hand.

    Args:
        joints: (K, J) rad, driven joints. base_from_palm: (K, 4, 4) m.

    Returns:
        (K, S, 2, 3) m in base: from each joint to the next, and from the last ones to the fingertips.
    """
    with torch.no_grad():
        angles = torch.as_tensor(np.asarray(joints), dtype=torch.float32)
        palm_from_link = hand.link_transforms(angles).double().numpy()  # (K, L, 4, 4)
        tips = hand.tip_points(angles).double().numpy()  # (K, F, 3)
    origins = palm_from_link[:, :, :3, 3]
    pairs = [(hand.link_index(j.parent), hand.link_index(j.child)) for j in hand.urdf.joints.values()]
    lines = np.stack([np.stack((origins[:, a], origins[:, b]), axis=1) for a, b in pairs], axis=1)
    ends = np.stack((origins[:, hand.tips[0].numpy()], tips), axis=2)
    lines = np.concatenate((lines, ends), axis=1)
    lengths = np.linalg.norm(lines[0, :, 1] - lines[0, :, 0], axis=1)
    lines = lines[:, lengths > SHORTEST]
    rotation, position = base_from_palm[:, None, None, :3, :3], base_from_palm[:, None, None, :3, 3]
    return (rotation @ lines[..., None])[..., 0] + position
