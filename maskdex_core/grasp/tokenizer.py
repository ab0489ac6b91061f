"""The part-aware grasp tokenizer: a grasp becomes one token a part, and back (a VQ-VAE).

Legend: B batch, N parts, M skin points a part, D code size, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskdex_core.grasp.config import TokenizerConfig
from maskdex_core.grasp.decoder import DecodedGrasp, GraspDecoder, PalmPose
from maskdex_core.grasp.encoder import PointEncoder, PoseEncoder
from maskdex_core.grasp.pointnet import LENGTH_SCALE
from maskdex_core.grasp.rotation import geodesic_angle, sixd_from_matrix
from maskdex_core.grasp.surface import HandSurface, hand_points, part_selection
from maskdex_core.masked import ResidualQuantizer


@dataclass(frozen=True)
class HandLayout:
    """What a tokenizer must know of a hand to be built; it travels in a checkpoint."""

    joint_names: tuple[str, ...]
    part_names: tuple[str, ...]
    joint_part: tuple[int, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @classmethod
    def of(cls, hand: HandSurface) -> HandLayout:
        """Read the layout off a hand."""
        return cls(
            joint_names=tuple(hand.joint_names),
            part_names=tuple(hand.part_names),
            joint_part=tuple(int(part) for part in hand.joint_part),
            lower=tuple(float(value) for value in hand.lower),
            upper=tuple(float(value) for value in hand.upper),
        )


class GraspTokenizer(nn.Module):
    """Part encoders, part codebooks and the decoder. Poses are in the object frame."""

    def __init__(self, config: TokenizerConfig, layout: HandLayout) -> None:
        super().__init__()
        self.config, self.layout = config, layout
        self.low_precision = False  # training may ask for it; kinematics and codebooks stay float32
        parts = len(layout.part_names)
        joint_part, lower, upper = (torch.tensor(v) for v in (layout.joint_part, layout.lower, layout.upper))
        if config.finger_frame == "palm":
            self.encoder = PoseEncoder(joint_part, lower, upper, config.decoder_width // 2, config.code_dim)
        else:
            self.encoder = PointEncoder(parts, config.hand_points, config.encoder_widths, config.code_dim)
        levels = [config.palm_levels] + [config.finger_levels] * (parts - 1)
        self.quantizer = ResidualQuantizer(levels, config.codes, config.code_dim, config.ema_decay, config.dead_share)
        self.decoder = GraspDecoder(
            parts, config.code_dim, config.decoder_width, joint_part, lower, upper, config.finger_frame
        )

    @property
    def parts(self) -> int:
        """Number of parts N."""
        return len(self.layout.part_names)

    def latent(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Encode grasps: joints (B, J) rad, palm pose in the object frame → (B, N, D)."""
        with torch.autocast(joints.device.type, torch.bfloat16, enabled=self.low_precision):
            return self.encoder(hand, joints, palm).float()

    @torch.no_grad()
    def tokenize(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Return the codes (B, C) of grasps, C being the codes of all parts: joints (B, J) rad, palm pose."""
        quantizer = self.quantizer
        was_training = quantizer.training
        tokens = quantizer.eval()(self.latent(hand, joints, palm)).tokens
        quantizer.train(was_training)
        return tokens

    def decode(self, tokens: Tensor, palm: PalmPose | None = None) -> DecodedGrasp:
        """Turn codes (B, C) into a grasp.

        With `palm` given, the fingers are decoded on that pose and it is returned unchanged; then the
        joints of every finger whose token is unchanged are bitwise what they were.
        """
        decoded = self.decoder(self.quantizer.lookup(tokens), fingers_on=palm)
        return decoded if palm is None else DecodedGrasp(decoded.joints, palm)

    def loss(
        self,
        hand: HandSurface,
        joints: Tensor,
        palm: PalmPose,
        hold: Tensor,
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the VQ-VAE objective and its readable parts for true grasps.

        L = ‖ĝ − g‖ + Σᵢ‖Ĥᵢ − Hᵢ‖ + β·Σᵢ‖zᵢ − sg[ẑᵢ]‖²; the codebook term ‖sg[zᵢ] − ẑᵢ‖² is replaced by
        the moving-average update. Lengths are in decimetres; a point norm is the mean over points.

        Args:
            hand: gives skin points.
            joints: (B, J) rad, in the layout's order.
            palm: true palm poses.
            hold: (B,) bool, rows whose fingers see the true palm; the configuration's `held_palm` is their share.
        """
        config = self.config
        selection = part_selection(hand.surface_part, self.parts, config.hand_points)
        with torch.no_grad():
            points = hand_points(hand, selection, joints, *palm)
        quantized = self.quantizer(self.latent(hand, joints, palm))
        decoded = self.decoder(quantized.vectors, fingers_on=palm, hold=hold)
        shown = PalmPose(
            torch.where(hold[:, None, None], palm.rotation, decoded.palm.rotation),
            torch.where(hold[:, None], palm.translation, decoded.palm.translation),
        )
        rebuilt = hand_points(hand, selection, decoded.joints, *shown)
        distance = _safe_norm(rebuilt - points)  # (B, N, M) m
        pose_loss = pose_distance(decoded, joints, palm).mean()
        points_loss = LENGTH_SCALE * distance.mean(-1).sum(-1).mean()
        total = (
            config.pose_weight * pose_loss
            + config.points_weight * points_loss
            + config.commitment * quantized.commitment
        )
        report = {
            "loss": total,
            "commitment": quantized.commitment,
            "points_mm": 1000.0 * distance.mean(),
            "palm_mm": 1000.0 * (decoded.palm.translation - palm.translation).norm(dim=-1).mean(),
            "palm_deg": torch.rad2deg(geodesic_angle(decoded.palm.rotation, palm.rotation)).mean(),
            "joints_deg": torch.rad2deg((decoded.joints - joints).abs()).mean(),
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
    return _safe_norm(difference)


def _safe_norm(vectors: Tensor) -> Tensor:
    """Return ‖v‖ over the last axis with a finite gradient at 0."""
    return (vectors.square().sum(-1) + 1e-12).sqrt()
