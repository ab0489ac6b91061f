"""The paper's tokenizer: parts are read as skin points in the object frame, the palm is decoded from all of them.

Legend: B batch, P parts, N codes of all parts, M skin points a part, D code size, J joints.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskdex_core.grasp.config import TokenizerConfig
from maskdex_core.grasp.decoder import DecodedGrasp, FingerDecoder, PalmDecoder, PalmPose, choose_palm
from maskdex_core.grasp.encoder import PointEncoder
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.surface import HandSurface, hand_points, part_selection
from maskdex_core.grasp.tokenizer import GraspTokenizer, KnownHand, objective, pose_distance, safe_norm, soft_codes
from maskdex_core.masked import CodeChains, ResidualQuantizer
from maskdex_core.precision import fast_products


class PointTokenizer(GraspTokenizer):
    """Part PointNets, part codebooks, a palm decoder on all codes and a decoder a finger on its code and the palm."""

    def __init__(self, config: TokenizerConfig, layout: HandLayout) -> None:
        super().__init__(config, layout)
        self.chains = CodeChains((config.palm_levels,) + (config.finger_levels,) * (self.parts - 1), config.codes)
        self.encoder = PointEncoder(self.parts, config.hand_points, config.encoder_widths, config.code_dim)
        self.quantizer = ResidualQuantizer(
            self.chains.levels, config.codes, config.code_dim, config.ema_decay, config.dead_share
        )
        self.palm_decoder = PalmDecoder(self.parts * config.code_dim, config.decoder_width)
        self.finger_decoder = FingerDecoder(layout, config.code_dim, config.decoder_width // 2, on_palm=True)

    def prepare(self, palm: PalmPose) -> None:
        """Do nothing: all of it is learned by descent."""

    def latent(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Encode grasps: joints (B, J) rad, palm pose in the object frame → (B, P, D)."""
        with fast_products(joints.device, self.low_precision):
            return self.encoder(hand, joints, palm).float()

    @torch.no_grad()
    def tokenize(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Return codes (B, N); see `GraspTokenizer`."""
        return self.quantizer.tokenize(self.latent(hand, joints, palm))

    def decode(self, codes: Tensor, palm: PalmPose | None = None) -> DecodedGrasp:
        """Decode codes (B, N); see `GraspTokenizer`."""
        return self._decode(self.quantizer.lookup(codes), palm)

    def known(self, codes: Tensor, mask: Tensor) -> KnownHand | None:
        """Return None: the palm is decoded from all codes together."""
        return None

    def expected(self, logits: Tensor, codes: Tensor, asked: Tensor, mask: Tensor) -> DecodedGrasp:
        """Decode mean codes; see `GraspTokenizer`."""
        weights = soft_codes(logits, codes, asked, mask)
        return self._decode(self.quantizer.merge(torch.einsum("bnk,nkd->bnd", weights, self.quantizer.codebook)), None)

    def meanings(self) -> Tensor:
        """Return the codebooks (N, K, D)."""
        return self.quantizer.codebook

    def loss(self, hand: HandSurface, joints: Tensor, palm: PalmPose, hold: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the objective; see `GraspTokenizer`.

        L = ‖ĝ − g‖ + Σᵢ‖Ĥᵢ − Hᵢ‖ + β·Σᵢ‖zᵢ − sg[ẑᵢ]‖²; the codebook term ‖sg[zᵢ] − ẑᵢ‖² is replaced by
        the moving-average update. Lengths are in decimetres; a point norm is the mean over points.
        """
        config = self.config
        selection = part_selection(hand.surface_part, self.parts, config.hand_points)
        with torch.no_grad():
            points = hand_points(hand, selection, joints, *palm)
        quantized = self.quantizer(self.latent(hand, joints, palm))
        decoded_palm = self.palm_decoder(quantized.vectors.flatten(1))
        shown = choose_palm(hold, palm, decoded_palm)
        decoded = DecodedGrasp(self.finger_decoder(quantized.vectors, shown), decoded_palm)
        distance = safe_norm(hand_points(hand, selection, decoded.joints, *shown) - points)  # (B, P, M) m
        pose_loss = pose_distance(decoded, joints, palm).mean()
        return objective(config, quantized, pose_loss, distance, decoded, joints, palm)

    def _decode(self, vectors: Tensor, palm: PalmPose | None) -> DecodedGrasp:
        shown = self.palm_decoder(vectors.flatten(1)) if palm is None else palm
        return DecodedGrasp(self.finger_decoder(vectors, shown), shown)
