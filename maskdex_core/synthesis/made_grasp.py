"""`MadeGrasp`: one grasp as synthesis leaves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MadeGrasp:
    """One grasp that passed FC6; angles in rad in `joint_names` order, poses in the mesh's frame.

    Attributes:
        closing: which squeeze held, "solved" from contact forces or "flexed" by a constant bend.
        fc6_margin: share of FC6's limits that was left in the worst direction. fc6_hard: held with half the friction.
    """

    grasp_type: str
    joints: np.ndarray
    pregrasp: np.ndarray
    squeeze: np.ndarray
    palm_rotation: np.ndarray
    palm_translation: np.ndarray
    contact_links: tuple[str, ...]
    contact_parts: tuple[str, ...]
    closing: str
    fc6_margin: float
    fc6_hard: bool
