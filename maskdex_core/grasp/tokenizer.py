"""The part-aware grasp tokenizer: a grasp becomes one token a part, and back (a VQ-VAE).

Two kinds: `PointTokenizer` is the paper's (skin points in the object frame), `PoseTokenizer` ours (the palm's pose,
then the fingers' joints in its frame).

Legend: B batch, P parts, N codes of all parts, D code size, J joints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskdex_core.grasp.config import TokenizerConfig
from maskdex_core.grasp.decoder import DecodedGrasp, PalmPose
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.pointnet import LENGTH_SCALE
from maskdex_core.grasp.rotation import geodesic_angle, sixd_from_matrix
from maskdex_core.grasp.surface import HandSurface
from maskdex_core.masked import CodeChains, Quantized, ResidualQuantizer


@dataclass(frozen=True)
class KnownHand:
    """As much of a hand as the known codes tell."""

    palm: PalmPose
    """In the object frame; after the known codes of the palm, and the object frame itself before the first."""
    joints: Tensor
    """(B, J) rad; after the known codes of each finger."""
    placed: Tensor
    """(B,) bool, whether any code of the palm is known."""
    posed: Tensor
    """(B, P) bool, whether any code of a finger is known."""

    def __getitem__(self, rows: Tensor) -> KnownHand:
        """Return some rows."""
        palm = PalmPose(self.palm.rotation[rows], self.palm.translation[rows])
        return KnownHand(palm, self.joints[rows], self.placed[rows], self.posed[rows])


class GraspTokenizer(nn.Module, ABC):
    """Part codebooks and what codes mean. Poses are in the object frame."""

    quantizer: ResidualQuantizer
    """The learned codebooks."""
    chains: CodeChains
    """How codes stand in a row."""

    def __init__(self, config: TokenizerConfig, layout: HandLayout) -> None:
        super().__init__()
        self.config, self.layout = config, layout
        self.low_precision = False  # training may ask for it; kinematics and codebooks stay float32

    @property
    def parts(self) -> int:
        """Number of parts P."""
        return len(self.layout.part_names)

    @abstractmethod
    def prepare(self, palm: PalmPose) -> None:
        """Make what descent does not learn, from palm poses (R rows) as training meets them; once, before training."""

    @abstractmethod
    def tokenize(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Return the codes (B, N) of grasps: joints (B, J) rad, palm poses."""

    @abstractmethod
    def decode(self, codes: Tensor, palm: PalmPose | None = None) -> DecodedGrasp:
        """Turn codes (B, N) into a grasp.

        With `palm` given, the fingers are decoded on that pose and it is returned unchanged; then the
        joints of every finger whose code is unchanged are bitwise what they were.
        """

    @abstractmethod
    def known(self, codes: Tensor, mask: Tensor) -> KnownHand | None:
        """Return what codes (B, N) tell whose mask is False; None where parts mean nothing without the others."""

    @abstractmethod
    def expected(self, logits: Tensor, codes: Tensor, asked: Tensor, mask: Tensor) -> DecodedGrasp:
        """Decode mean codes, differentiably (MaskHand, section 3.3).

        Args:
            logits: (B, N, K). codes: (B, N), read where not masked. asked: (B, N) bool, codes that become the mean
            under `logits`. mask: (B, N) bool; codes masked and not asked for add nothing.
        """

    @abstractmethod
    def meanings(self) -> Tensor:
        """Return what each code is, as a vector, filled up with zeros: (N, K, D)."""

    @abstractmethod
    def loss(self, hand: HandSurface, joints: Tensor, palm: PalmPose, hold: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the VQ-VAE objective and its readable parts for true grasps.

        Args:
            hand: gives skin points.
            joints: (B, J) rad, in the layout's order.
            palm: true palm poses.
            hold: (B,) bool, rows whose fingers see the true palm; the configuration's `held_palm` is their share.
        """


def build_tokenizer(config: TokenizerConfig, layout: HandLayout) -> GraspTokenizer:
    """Return the tokenizer that a configuration asks for."""
    from maskdex_core.grasp.point_tokenizer import PointTokenizer
    from maskdex_core.grasp.pose_tokenizer import PoseTokenizer

    return (PoseTokenizer if config.finger_frame == "palm" else PointTokenizer)(config, layout)


def objective(
    config: TokenizerConfig,
    quantized: Quantized,
    pose_loss: Tensor,
    distance: Tensor,
    rebuilt: DecodedGrasp,
    joints: Tensor,
    palm: PalmPose,
) -> tuple[Tensor, dict[str, float]]:
    """Add up ‖ĝ − g‖ + Σᵢ‖Ĥᵢ − Hᵢ‖ + β·Σᵢ‖zᵢ − sg[ẑᵢ]‖² and report it.

    Args:
        config: the weights. quantized: of the batch. pose_loss: mean ‖ĝ − g‖.
        distance: (B, parts, M) m, ‖Ĥ − H‖ of M skin points of each part that is learned.
        rebuilt: what was decoded. joints, palm: what should have been.
    """
    points_loss = LENGTH_SCALE * distance.mean(-1).sum(-1).mean()
    total = (
        config.pose_weight * pose_loss + config.points_weight * points_loss + config.commitment * quantized.commitment
    )
    report = {
        "loss": total,
        "commitment": quantized.commitment,
        "points_mm": 1000.0 * distance.mean(),
        "palm_mm": 1000.0 * (rebuilt.palm.translation - palm.translation).norm(dim=-1).mean(),
        "palm_deg": torch.rad2deg(geodesic_angle(rebuilt.palm.rotation, palm.rotation)).mean(),
        "joints_deg": torch.rad2deg((rebuilt.joints - joints).abs()).mean(),
        "usage": quantized.usage.mean(),
        "perplexity": quantized.perplexity.mean(),
    }
    return total, {name: float(value.detach()) for name, value in report.items()}


def pose_distance(decoded: DecodedGrasp, joints: Tensor, palm: PalmPose) -> Tensor:
    """Return ‖ĝ − g‖₂ a row (B,), g being joints in rad, rotation as 6 numbers, translation in dm."""
    difference = torch.cat(
        (
            decoded.joints - joints,
            sixd_from_matrix(decoded.palm.rotation) - sixd_from_matrix(palm.rotation),
            LENGTH_SCALE * (decoded.palm.translation - palm.translation),
        ),
        -1,
    )
    return safe_norm(difference)


def safe_norm(vectors: Tensor) -> Tensor:
    """Return ‖v‖ over the last axis with a finite gradient at 0."""
    return (vectors.square().sum(-1) + 1e-12).sqrt()


def soft_codes(logits: Tensor, codes: Tensor, asked: Tensor, mask: Tensor) -> Tensor:
    """Return weights (B, N, K) of codes: softmax where asked for, one where known, none elsewhere."""
    known = nn.functional.one_hot(codes, logits.shape[-1]).to(logits.dtype)
    weights = torch.where(asked.unsqueeze(-1), logits.softmax(-1), known)
    return weights.masked_fill((mask & ~asked).unsqueeze(-1), 0.0)
