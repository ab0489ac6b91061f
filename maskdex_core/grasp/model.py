"""`GraspModel`: object points and a text in, grasps out; edits of chosen parts; load and save.

Legend: K grasps, N parts, P object points, E text embedding size, J joints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskdex_core.errors import CloudError, DatasetError, HandError, TextError, UsageError, unknown_choice
from maskdex_core.grasp import checkpoint
from maskdex_core.grasp.condition import thin_points
from maskdex_core.grasp.config import ModelConfig, SamplingConfig
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.network import CodeNetwork, ReadCondition
from maskdex_core.grasp.surface import HandSurface
from maskdex_core.grasp.tokenizer import build_tokenizer
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.masked import SampledTokens, guided_predictor, sample_tokens
from maskdex_core.precision import fast_products
from maskdex_core.text import TextEncoder, load_encoder

MANY = 4  # grasps from which on products in half precision save more than converting the weights costs


class GraspModel(nn.Module):
    """Tokenizer, conditions and transformer of one hand.

    Points may lie anywhere with axes parallel to the robot base: they are centred inside, and grasps come
    back in the frame the points came in. For points in the object frame that is the object frame.
    """

    def __init__(self, config: ModelConfig, layout: HandLayout, info: dict[str, Any] | None = None) -> None:
        """Build an untrained model.

        Args:
            config: sizes and sampling defaults.
            layout: joints, parts and limits of the hand.
            info: facts that travel in the checkpoint: hand, data version, commit.
        """
        super().__init__()
        self.config, self.layout, self.info = config, layout, dict(info or {})
        self.tokenizer = build_tokenizer(config.tokenizer, layout)
        self.network = CodeNetwork(config, self.tokenizer.chains, self.tokenizer.meanings().shape[-1])
        self._encoder: TextEncoder | None = None
        self._surface: HandSurface | None = None
        self.eval()

    # ------------------------------------------------------------------ files
    @classmethod
    def load(cls, folder: str | Path | None = None, device: str = "cpu") -> GraspModel:
        """Load a checkpoint folder; None is the one that ships with the package.

        Raises:
            CheckpointError: when it is missing, corrupt, or of another format version.
        """
        folder = checkpoint.DEFAULT_FOLDER if folder is None else Path(folder)
        config, layout, info = checkpoint.read_config(folder)
        model = cls(config, layout, info)
        checkpoint.read_weights(folder, model)
        return model.to(device).eval()

    def save(self, folder: str | Path, card: str = "", dtype: torch.dtype = torch.float32) -> None:
        """Write model.safetensors, config.json and card.md; `dtype` float16 or bfloat16 halves the size."""
        checkpoint.write(Path(folder), self, card, dtype)

    # ------------------------------------------------------------------ facts
    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the joints, in the order of every joint tensor."""
        return self.layout.joint_names

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts, in the order of the tokens."""
        return self.layout.part_names

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.tokenizer.meanings().device

    @property
    def fingerprint(self) -> str:
        """Short id of what the tokens mean: 12 hex digits of the SHA-256 of the codes' meanings."""
        codes = self.tokenizer.meanings().detach().cpu().float().contiguous()
        return hashlib.sha256(codes.numpy().tobytes()).hexdigest()[:12]

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of values by component; codebooks are buffers and counted on their own.

        The text encoder is not part of the model and not counted.
        """
        groups: dict[str, nn.Module | Iterable[Tensor]] = {
            "tokenizer": self.tokenizer,
            "codebooks": [self.tokenizer.quantizer.codebook],
            "conditions": self.network.condition,
            "transformer blocks": self.network.transformer.blocks,
        }
        counts = {}
        for name, group in groups.items():
            values = group.parameters() if isinstance(group, nn.Module) else group
            counts[name] = sum(value.numel() for value in values)
        everything = sum(value.numel() for value in self.parameters())
        counts["embeddings, heads, views"] = everything - sum(counts.values()) + counts["codebooks"]
        counts["total"] = sum(counts.values())
        return counts

    def text_encoder(self) -> TextEncoder:
        """Return the encoder this checkpoint names, loaded on first use."""
        if self._encoder is None:
            self._encoder = load_encoder(self.config.transformer.text_encoder)
        return self._encoder

    def embed(self, text: str | Tensor | np.ndarray) -> Tensor:
        """Return the embedding (E,) of a text; an embedding passes through.

        Raises:
            TextError: when the text is unusable or the embedding has another size.
        """
        vector = self.text_encoder().encode([text])[0] if isinstance(text, str) else torch.as_tensor(text)
        size = self.config.transformer.text_dim
        if tuple(vector.shape) != (size,):
            raise TextError(f"text embedding has shape {tuple(vector.shape)}, expected ({size},)")
        return vector.to(self.device, torch.float32)

    # ------------------------------------------------------------------ grasps
    @torch.no_grad()
    def sample(
        self,
        points: Tensor | np.ndarray,
        text: str | Tensor | np.ndarray,
        n: int = 16,
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> GraspBatch:
        """Draw n grasps for an object and a task text, in one batch.

        Args:
            points: (P, 3) m, axes parallel to the robot base; further columns are not read.
            text: the task text or its embedding (E,).
            n: number of grasps K.
            steps, guidance, temperature, top_k: see `SamplingConfig`; None takes the checkpoint's.
            generator: CPU generator; the same seed gives the same grasps.

        Returns:
            K grasps in drawing order, in the frame of `points`, with tokens and confidences.

        Raises:
            CloudError: when the points are unusable.
            TextError: when the text is unusable.
            UsageError: when n < 1.
        """
        if n < 1:
            raise UsageError(f"number of grasps {n} is below 1")
        cloud, centroid = self._centred(points)
        settings = self._settings(steps, guidance, temperature, top_k)
        read = self.network.read(cloud, self.embed(text))
        return self._drawn(read, n, settings, centroid, generator)

    @torch.no_grad()
    def touch_map(self, points: Tensor | np.ndarray, text: str | Tensor | np.ndarray) -> Tensor | None:
        """Return where on an object a text wants the hand: the chance (P,) of each point to lie on a part it touches.

        Args:
            points: (P, 3) m, as in `sample`. text: the task text or its embedding (E,).

        Returns:
            None when the checkpoint has no such map.

        Raises:
            CloudError, TextError: as in `sample`.
        """
        cloud, centroid = self._centred(points)
        chance = self.network.touched(cloud[None], self.embed(text)[None])
        if chance is None:
            return None
        every = torch.as_tensor(points).to(cloud)[:, :3] - centroid
        return chance[0, torch.cdist(every, cloud).argmin(1)]

    @torch.no_grad()
    def sample_unconditional(
        self,
        n: int = 16,
        steps: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> GraspBatch:
        """Draw n grasps of no object in particular, under no text, in the object frame.

        Args:
            n, steps, temperature, top_k, generator: as in `sample`.

        Raises:
            UsageError: when n < 1.
        """
        if n < 1:
            raise UsageError(f"number of grasps {n} is below 1")
        settings = self._settings(steps, 0.0, temperature, top_k)
        return self._drawn(self.network.read_nothing(), n, settings, torch.zeros(3, device=self.device), generator)

    @torch.no_grad()
    def edit(
        self,
        grasps: GraspBatch,
        parts: Iterable[str],
        points: Tensor | np.ndarray,
        text: str | Tensor | np.ndarray,
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> GraspBatch:
        """Draw some parts of grasps anew under a text; every other part stays exactly as it is.

        The palm stays unless "palm" is among the parts. Joints of parts not named are copied, not decoded.

        Args:
            grasps: what to edit, in the frame of `points`; grasps without tokens, or with those of another
                checkpoint, are tokenized first.
            parts: names among `part_names`.
            points, text, steps, guidance, temperature, top_k, generator: as in `sample`.

        Raises:
            UsageError: when a part is unknown or none is named.
            HandError: when the grasps' joints are not this model's.
            DatasetError: when the grasps' tokens are none of this model's.
            CloudError, TextError: as in `sample`.
        """
        chosen = self._parts(parts)
        grasps = self._reordered(grasps).to(self.device)
        cloud, centroid = self._centred(points)
        settings = self._settings(steps, guidance, temperature, top_k)
        held = PalmPose(grasps.palm_rotation, grasps.palm_translation - centroid)
        if grasps.checkpoint not in (None, self.fingerprint):
            grasps = grasps.replace(tokens=None, token_confidence=None)
        chains = self.tokenizer.chains
        if grasps.tokens is None:
            codes = self.tokenizer.tokenize(self._hand(), grasps.joints, held)
        else:
            codes = chains.split(self._checked(grasps.tokens))
        fixed = ~chosen[chains.part_of].expand(len(codes), -1)
        read = self.network.read(cloud, self.embed(text))
        drawn = self._draw(read, codes, fixed, settings, generator)
        with_palm = bool(chosen[0])
        joints, palm = self.tokenizer.decode(drawn.tokens, None if with_palm else held)
        edited = chosen[torch.tensor(self.layout.joint_part, device=self.device)]  # (J,)
        confidence = self._by_part(drawn.confidence)
        if grasps.token_confidence is not None:
            confidence = torch.where(chosen, confidence, grasps.token_confidence)
        return grasps.replace(
            joints=torch.where(edited, joints, grasps.joints),
            palm_rotation=palm.rotation if with_palm else grasps.palm_rotation,
            palm_translation=palm.translation + centroid if with_palm else grasps.palm_translation,
            tokens=chains.join(drawn.tokens) if chains.joinable else None,
            token_confidence=confidence,
            confidence=geometric_mean(confidence),
            checkpoint=self.fingerprint,
            chance=None,
            agreement=None,
            score=None,
            pregrasp=None,
            squeeze=None,
        )

    def encode(self, joints: Tensor, palm: PalmPose, hand: HandSurface | None = None) -> Tensor:
        """Return the tokens (K, N) of grasps: joints (K, J) rad, palm pose in the object frame."""
        surface = hand if hand is not None else self._hand()
        return self.tokenizer.chains.join(self.tokenizer.tokenize(surface, joints, palm))

    # ------------------------------------------------------------------ inside
    def _hand(self) -> HandSurface:
        if self._surface is None:
            from maskdex_core.hands import HandModel

            self._surface = HandModel.load(str(self.info.get("hand", "shadow")))
        return self._surface

    def _drawn(
        self,
        read: ReadCondition,
        count: int,
        settings: SamplingConfig,
        centroid: Tensor,
        generator: torch.Generator | None,
    ) -> GraspBatch:
        """Draw whole grasps and place them about the centroid (3,) m."""
        chains = self.tokenizer.chains
        blank = torch.zeros(count, chains.positions, dtype=torch.int64, device=self.device)
        drawn = self._draw(read, blank, None, settings, generator)
        joints, palm = self.tokenizer.decode(drawn.tokens)
        confidence = self._by_part(drawn.confidence)
        return GraspBatch(
            joint_names=self.joint_names,
            joints=joints,
            palm_rotation=palm.rotation,
            palm_translation=palm.translation + centroid,
            tokens=chains.join(drawn.tokens) if chains.joinable else None,
            token_confidence=confidence,
            confidence=geometric_mean(confidence),
            checkpoint=self.fingerprint,
        )

    def _draw(
        self,
        read: ReadCondition,
        tokens: Tensor,
        fixed: Tensor | None,
        settings: SamplingConfig,
        generator: torch.Generator | None,
    ) -> SampledTokens:
        chains, hand = self.tokenizer.chains, self._hand()

        def network(codes: Tensor, mask: Tensor, dropped: Tensor) -> Tensor:
            known = self.tokenizer.known(codes, mask)
            return self.network.predict(read, codes, mask, known, hand, dropped)

        predict = guided_predictor(network, settings.guidance)
        with fast_products(self.device, len(tokens) >= MANY):
            return sample_tokens(
                predict, tokens, fixed, settings.steps, settings.temperature, settings.top_k, generator, chains.wave_of
            )

    def _settings(
        self, steps: int | None, guidance: float | None, temperature: float | None, top_k: int | None
    ) -> SamplingConfig:
        default = self.config.sampling
        return SamplingConfig(
            steps=default.steps if steps is None else steps,
            guidance=default.guidance if guidance is None else guidance,
            temperature=default.temperature if temperature is None else temperature,
            top_k=default.top_k if top_k is None else top_k,
        )

    def _centred(self, points: Tensor | np.ndarray) -> tuple[Tensor, Tensor]:
        cloud = torch.as_tensor(points).to(self.device, torch.float32)
        if cloud.ndim != 2 or cloud.shape[1] < 3 or cloud.shape[0] < 1:
            raise CloudError(f"object points have shape {tuple(cloud.shape)}, expected (P, 3) with P ≥ 1")
        if not bool(torch.isfinite(cloud).all()):
            raise CloudError("object points contain NaN or infinity")
        cloud = cloud[:, :3]
        centroid = cloud.mean(0)
        return thin_points(cloud - centroid, self.config.transformer.object_points), centroid

    def _parts(self, parts: Iterable[str]) -> Tensor:
        names = [parts] if isinstance(parts, str) else list(parts)
        if not names:
            raise UsageError(f"no part named; known: {', '.join(self.part_names)}")
        for name in names:
            if name not in self.part_names:
                raise UsageError(unknown_choice("part", name, self.part_names))
        return torch.tensor([name in names for name in self.part_names], device=self.device)

    def _checked(self, tokens: Tensor) -> Tensor:
        """Return tokens (K, N) if this model has codes for them."""
        parts, sizes = self.tokenizer.parts, self.tokenizer.chains.vocabulary
        if tokens.dtype != torch.int64 or tokens.shape[1] != parts:
            raise DatasetError(f"tokens are {tokens.dtype} of shape {tuple(tokens.shape)}; expected int64 (K, {parts})")
        for name, size, column in zip(self.part_names, sizes, tokens.T, strict=True):
            wrong = column[(column < 0) | (column >= size)]
            if wrong.numel():
                raise DatasetError(
                    f"token {int(wrong[0])} of the {name} is out of range; this model has 0 to {size - 1}"
                )
        return tokens

    def _by_part(self, confidence: Tensor) -> Tensor:
        """Return the geometric mean (K, P) of the confidences (K, N) of each part's codes."""
        return self.tokenizer.chains.by_part(confidence.clamp_min(1e-12).log()).exp()

    def _reordered(self, grasps: GraspBatch) -> GraspBatch:
        if grasps.joint_names == self.joint_names:
            return grasps
        missing = set(self.joint_names) ^ set(grasps.joint_names)
        if missing:
            raise HandError(f"grasps and model disagree about joints {', '.join(sorted(missing))}")
        order = [grasps.joint_names.index(name) for name in self.joint_names]
        return grasps.replace(joint_names=self.joint_names, joints=grasps.joints[:, order])


def geometric_mean(confidence: Tensor) -> Tensor:
    """Return the geometric mean (K,) of token confidences (K, N)."""
    return confidence.clamp_min(1e-12).log().mean(-1).exp()
