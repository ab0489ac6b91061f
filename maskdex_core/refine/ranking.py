"""Which refined grasp is best, before any physics: one that holds, as tests in simulation taught, where the text wants.

Index legend: B batch, C contact links, F features, P observed points.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from maskdex_core.errors import CheckpointError
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.features import FEATURES, hold_features
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.squeeze import Closing

DEFAULT_FILE = Path(__file__).resolve().parent.parent / "assets" / "hold_judge.safetensors"
HIDDEN = 32
ENERGY_SCALE = 1000.0
TOUCHING = 0.003  # m; contacts nearer than this touch
BEST_PLACE = 0.98  # quantile of the map that full agreement has: stems and rims are few points of a cloud
TESTS = ("FC6", "FC6-hard")  # what the judge foretells; a grasp that fails the first fails the second
MARGIN_WEIGHT = 0.2  # of the second chance beside the first: what half the friction holds forgives more (decision 96)
AGREEMENT_WEIGHT = 1.4  # of agreement beside the first: as much as both chances to hold together, and a little more
STRICTNESS = 1.5  # power of the contacts' mean share that is the chance to touch as the text asks (decision 88)
LEAST_AGREEMENT = 0.02


class HoldJudge(nn.Module):
    """Features of a grasp (B, F) → log-odds (B, 2) that it passes each of `TESTS`."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(FEATURES)))
        self.register_buffer("scale", torch.ones(len(FEATURES)))
        first, second, last = nn.Linear(len(FEATURES), HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, len(TESTS))
        self.layers = nn.Sequential(first, nn.GELU(), second, nn.GELU(), last)

    def forward(self, features: Tensor) -> Tensor:
        """Return log-odds (B, 2) of features (B, F)."""
        return self.layers((features - self.mean) / self.scale)


@lru_cache(maxsize=4)
def hold_judge(path: Path = DEFAULT_FILE) -> HoldJudge:
    """Load the judge that ships, or another one.

    Raises:
        CheckpointError: when the file is missing, corrupt, or of other features.
    """
    try:
        judge = HoldJudge()
        judge.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{path}: no judge of {len(FEATURES)} features ({str(error)[:200]})") from error
    return judge.eval()


def hold_odds(
    scene: HandOnObject, pose: HandPose, closing: Closing, seen: Tensor, squeezed: Tensor | None = None
) -> Tensor:
    """Return the log-odds (B, 2) that refined grasps hold, and that half the friction does; `sigmoid` is calibrated.

    Args:
        scene, pose, closing, seen, squeezed: as `hold_features`.
    """
    with torch.no_grad():
        return hold_judge()(hold_features(scene, pose, closing, seen, squeezed))


def touch_agreement(scene: HandOnObject, pose: HandPose, seen: Tensor, touch: Tensor) -> Tensor:
    """Return the chance (B,) that contacts lie where the text wants the hand.

    The geometric mean over contacts of their chance beside that of the best place: one contact where the text wants
    none costs more than a mean would tell. Its power is calibrated: of grasps with agreement 0.8 eight in ten touch
    mostly what the text names and nothing that it keeps free.

    Args:
        scene, pose: the grasps. seen: (P, 3) m, observed points, object frame. touch: (P,) chance of each to be
            touched (`GraspModel.touch_map`).
    """
    with torch.no_grad():
        contacts = scene.contacts(pose)
        nearest = torch.cdist(contacts.point.flatten(0, 1), seen.to(contacts.point)).argmin(1)
        share = touch[nearest].view(contacts.gap.shape) / best_chance(touch)
        touching = (contacts.gap < TOUCHING).float()
        surprise = -share.clamp(LEAST_AGREEMENT, 1.0).log()
        mean = (touching * surprise).sum(1) / touching.sum(1).clamp_min(1.0)
        return torch.where(touching.any(1), (-STRICTNESS * mean).exp(), LEAST_AGREEMENT).clamp_min(LEAST_AGREEMENT)


def best_chance(touch: Tensor) -> Tensor:
    """Return the chance () of the best place of a map (P,); one loud point does not make it."""
    return touch.quantile(BEST_PLACE).clamp_min(1e-3)


def merit(odds: Tensor, agreement: Tensor | None) -> Tensor:
    """Return the ranking score (B,): logs of the chances to hold, log-odds (B, 2), and of agreement (B,), weighted."""
    holds = F.logsigmoid(odds) @ odds.new_tensor([1.0, MARGIN_WEIGHT])
    return holds if agreement is None else holds + AGREEMENT_WEIGHT * agreement.clamp_min(LEAST_AGREEMENT).log()


def merit_of_holding(score: Tensor, agreement: Tensor | None) -> Tensor:
    """Return what `merit` (B,) would be if nothing told where the text wants the hand."""
    return score if agreement is None else score - AGREEMENT_WEIGHT * agreement.clamp_min(LEAST_AGREEMENT).log()


def grasp_cost(energy: Tensor, residual: Tensor) -> Tensor:
    """Return a plain ranking cost (B,), lower is better, that needs no judge: synthesis sorts by it.

    Args:
        energy: (B,) refined energy. residual: (B,) wrench left over, share of the total force.
    """
    return residual + energy / ENERGY_SCALE


def binary_loss(judge: HoldJudge, features: Tensor, held: Tensor) -> Tensor:
    """Return the negative log-likelihood (nats a grasp and test) of outcomes held (B, 2) bool."""
    return F.binary_cross_entropy_with_logits(judge(features), held.float())
