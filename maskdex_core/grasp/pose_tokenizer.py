"""The palm as a chain of motions, each finger as residual codes of its joints: every part reads only itself.

Legend: B batch, P parts, F fingers (P - 1), N codes of all parts, L levels of the palm, D code size, J joints.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from maskdex_core.grasp.config import TokenizerConfig
from maskdex_core.grasp.decoder import DecodedGrasp, FingerDecoder, PalmPose
from maskdex_core.grasp.encoder import JointEncoder
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.palm_chain import PalmChain
from maskdex_core.grasp.rotation import matrix_from_6d, sixd_from_matrix
from maskdex_core.grasp.surface import HandSurface, part_selection
from maskdex_core.grasp.tokenizer import GraspTokenizer, KnownHand, objective, safe_norm, soft_codes
from maskdex_core.masked import CodeChains, ResidualQuantizer
from maskdex_core.precision import fast_products


class PoseTokenizer(GraspTokenizer):
    """The palm's chain, and a VQ-VAE a finger on joint angles with skin points in the palm frame as its measure."""

    def __init__(self, config: TokenizerConfig, layout: HandLayout) -> None:
        super().__init__(config, layout)
        fingers = self.parts - 1
        self.chains = CodeChains((config.palm_levels,) + (config.finger_levels,) * fingers, config.codes, anchored=True)
        self.palm_chain = PalmChain(config.palm_levels, config.codes)
        self.encoder = JointEncoder(layout, config.decoder_width // 2, config.code_dim)
        self.quantizer = ResidualQuantizer(
            (config.finger_levels,) * fingers, config.codes, config.code_dim, config.ema_decay, config.dead_share
        )
        self.finger_decoder = FingerDecoder(layout, config.code_dim, config.decoder_width // 2, on_palm=False)

    def prepare(self, palm: PalmPose) -> None:
        """Fit the palm's chain to poses (R rows).

        Raises:
            DatasetError: when there are fewer poses than codes.
        """
        self.palm_chain.fit(palm)

    def latent(self, joints: Tensor) -> Tensor:
        """Encode joints (B, J) rad → (B, F, D)."""
        with fast_products(joints.device, self.low_precision):
            return self.encoder(joints).float()

    @torch.no_grad()
    def tokenize(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Return codes (B, N); see `GraspTokenizer`."""
        return torch.cat((self.palm_chain.tokenize(palm), self.quantizer.tokenize(self.latent(joints))), 1)

    def decode(self, codes: Tensor, palm: PalmPose | None = None) -> DecodedGrasp:
        """Decode codes (B, N); see `GraspTokenizer`. Fingers do not depend on the palm."""
        own, fingers = self._split(codes)
        joints = self.finger_decoder(self._vectors(self.quantizer.lookup(fingers)))
        return DecodedGrasp(joints, self.palm_chain.decode(own) if palm is None else palm)

    def known(self, codes: Tensor, mask: Tensor) -> KnownHand:
        """Return what codes (B, N) tell whose mask is False."""
        own, fingers = self._split(codes.masked_fill(mask, 0))
        masked_palm, masked_fingers = self._split(mask)
        levels = (~masked_palm).long().cumprod(1).sum(1)
        book = self.quantizer.codebook[torch.arange(fingers.shape[1], device=codes.device), fingers]
        vectors = self.quantizer.merge(book.masked_fill(masked_fingers.unsqueeze(-1), 0.0))
        posed = self.chains.by_part((~mask).float(), "amax") > 0
        posed[:, 0] = False
        return KnownHand(
            self.palm_chain.decode(own, levels), self.finger_decoder(self._vectors(vectors)), levels > 0, posed
        )

    def expected(self, logits: Tensor, codes: Tensor, asked: Tensor, mask: Tensor) -> DecodedGrasp:
        """Decode mean codes; see `GraspTokenizer`. A mean of motions is the mean way and the nearest turn."""
        weights = soft_codes(logits, codes, asked, mask)
        levels = self.palm_chain.levels
        fingers = torch.einsum("bnk,nkd->bnd", weights[:, levels:], self.quantizer.codebook)
        palm = self.known(codes, mask).palm
        soft = weights[:, :levels] * asked[:, :levels, None]
        way = torch.einsum("blk,lkd->bd", soft, self.palm_chain.translation)
        six = torch.einsum("blk,lkd->bd", soft, sixd_from_matrix(self.palm_chain.rotation))
        still = ~asked[:, :levels].any(1, keepdim=True)
        turn = matrix_from_6d(torch.where(still, sixd_from_matrix(torch.eye(3, device=six.device)), six))
        moved = palm.translation + (palm.rotation @ way.unsqueeze(-1)).squeeze(-1)
        joints = self.finger_decoder(self._vectors(self.quantizer.merge(fingers)))
        return DecodedGrasp(joints, PalmPose(palm.rotation @ turn, moved))

    def meanings(self) -> Tensor:
        """Return motions of the palm and vectors of finger codes: (N, K, D)."""
        palm, fingers = self.palm_chain.meanings(), self.quantizer.codebook
        size = max(palm.shape[-1], fingers.shape[-1])
        return torch.cat([pad(one, (0, size - one.shape[-1])) for one in (palm, fingers)])

    def loss(self, hand: HandSurface, joints: Tensor, palm: PalmPose, hold: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the objective of the fingers; see `GraspTokenizer`. `hold` is not read: no finger sees the palm.

        L = ‖q̂ − q‖ + Σᵢ‖Ĥᵢ − Hᵢ‖ + β·Σᵢ‖zᵢ − sg[ẑᵢ]‖², skin points in the palm frame, lengths in decimetres.
        """
        config = self.config
        selection = part_selection(hand.surface_part, self.parts, config.hand_points)[1:].flatten()
        quantized = self.quantizer(self.latent(joints))
        decoded = self.finger_decoder(self._vectors(quantized.vectors))
        with torch.no_grad():
            points = hand.surface_points(joints, selection)
            rebuilt_palm = self.palm_chain.decode(self.palm_chain.tokenize(palm))
        distance = safe_norm(hand.surface_points(decoded, selection) - points)  # (B, F · M) m
        pose_loss = safe_norm(decoded - joints).mean()
        by_finger = distance.unflatten(1, (self.parts - 1, -1))
        rebuilt = DecodedGrasp(decoded, rebuilt_palm)
        return objective(config, quantized, pose_loss, by_finger, rebuilt, joints, palm)

    def _split(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the palm's (B, L) and the fingers' columns."""
        return codes[:, : self.palm_chain.levels], codes[:, self.palm_chain.levels :]

    def _vectors(self, fingers: Tensor) -> Tensor:
        """Return finger vectors (B, F, D) with an empty one for the palm in front (B, P, D)."""
        return pad(fingers, (0, 0, 1, 0))
