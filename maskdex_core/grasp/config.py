"""Sizes of the grasp model. Defaults are the paper's where our source states them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from maskdex_core.errors import ConfigError, unknown_choice

FINGER_FRAMES = ("object", "palm")


@dataclass(frozen=True)
class TokenizerConfig:
    """The part-aware VQ-VAE."""

    codes: int = 256
    """Codes a part (paper)."""
    code_dim: int = 512
    """Size of a code (paper)."""
    finger_frame: str = "object"
    """"object" (paper): parts are read as skin points in the object frame, the palm is decoded from all codes and a
    finger from its own code and the palm. "palm": the palm is a chain of motions, a finger is read as its joint
    angles, and each is decoded from its own codes."""
    palm_levels: int = 1
    """Codes that the palm spends, each on what the ones before left over (paper: one)."""
    finger_levels: int = 1
    """Codes that a finger spends (paper: one)."""
    hand_points: int = 2000
    """Surface points of the whole hand (paper); each part gives a sixth of them."""
    encoder_widths: tuple[int, ...] = (64, 128, 1024)
    """Point-wise layers of a part's PointNet (not stated; PointNet's own)."""
    decoder_width: int = 1024
    """Hidden size of the palm's decoder; a finger's is half of it (not stated)."""
    commitment: float = 0.25
    """β (not stated; van den Oord 2017)."""
    ema_decay: float = 0.99
    """Moving-average decay of the codebooks a step (not stated; van den Oord 2017)."""
    dead_share: float = 0.1
    """A code used less than this share of an even use is reset (not stated)."""
    pose_weight: float = 1.0
    """Weight of ‖ĝ - g‖."""
    points_weight: float = 1.0
    """Weight of Σᵢ ‖Ĥᵢ - Hᵢ‖."""
    held_palm: float = 0.5
    """Share of training rows whose fingers are decoded on the true palm pose, as an edit does (ours)."""

    def __post_init__(self) -> None:
        _at_least("codes", self.codes, 2)
        _at_least("code_dim", self.code_dim, 1)
        _at_least("hand_points", self.hand_points, 6)
        _at_least("palm_levels", self.palm_levels, 1)
        _at_least("finger_levels", self.finger_levels, 1)
        if self.finger_frame not in FINGER_FRAMES:
            raise ConfigError(unknown_choice("finger_frame", self.finger_frame, FINGER_FRAMES))
        _at_least("decoder_width", self.decoder_width, 2)
        _at_least("encoder_widths", len(self.encoder_widths), 1)
        _between("ema_decay", self.ema_decay, 0.0, 1.0)
        _between("held_palm", self.held_palm, 0.0, 1.0)


@dataclass(frozen=True)
class TransformerConfig:
    """The bidirectional masked transformer and its conditions."""

    layers: int = 9
    """Blocks (paper)."""
    heads: int = 16
    """Attention heads (paper)."""
    width: int = 512
    """Embedding size (paper)."""
    feedforward: int = 4
    """MLP size in widths (not stated; the usual)."""
    dropout: float = 0.1
    """On residual branches (not stated)."""
    object_points: int = 2048
    """Object points the network reads (paper); a larger cloud is thinned evenly."""
    object_widths: tuple[int, ...] = (64, 128, 1024)
    """Point-wise layers of the object's PointNet (not stated; PointNet's own)."""
    object_patches: int = 0
    """Besides the whole object's vector (paper), so many patches of its surface, each with its place; 0 for none."""
    patch_points: int = 16
    """Points of a patch."""
    view_points: int = 0
    """Besides, so many points a part from each of which it sees the nearest surface, at the place and in the frame
    that the known codes give; 0 for none (paper). Needs `finger_frame` "palm"."""
    view_width: int = 256
    """Hidden size of a part's view."""
    touch_width: int = 0
    """Besides, a map of where on the object the text wants the hand, by a net of this width; 0 for none (paper)."""
    text_encoder: str = "open_clip:ViT-B-32/openai"
    """Name for `maskdex_core.text.load_encoder` (paper: CLIP)."""
    text_dim: int = 512
    """Size of that encoder's embedding."""
    drop_condition: float = 0.1
    """Share of training rows without text and object (paper)."""
    mask_low: float = 0.0
    """Lower bound of the mask schedule's τ in training (paper: 0)."""
    mask_high: float = 1.0
    """Upper bound of τ (paper: 1)."""
    tie_codes: bool = False
    """Token embeddings and output weights follow what the codes mean, besides tables of their own."""

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "width", "feedforward", "object_points", "patch_points", "text_dim"):
            _at_least(name, getattr(self, name), 1)
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} is not divisible by heads {self.heads}")
        _at_least("object_patches", self.object_patches, 0)
        _at_least("view_points", self.view_points, 0)
        _at_least("view_width", self.view_width, 1)
        _at_least("touch_width", self.touch_width, 0)
        _between("drop_condition", self.drop_condition, 0.0, 1.0)
        _between("dropout", self.dropout, 0.0, 1.0)
        _between("mask_high", self.mask_high, 0.0, 1.0)
        _between("mask_low", self.mask_low, 0.0, self.mask_high)


@dataclass(frozen=True)
class SamplingConfig:
    """How tokens are drawn. T = 5 is the larger that the paper ablates; the rest is not stated there."""

    steps: int = 5
    """Iterations T a wave of codes (`CodeChains`); the paper's six codes are one wave."""
    guidance: float = 1.0
    """Guidance scale s in (1 + s)·ω_c - s·ω_u; 0 is conditional only."""
    temperature: float = 1.0
    """Divides the guided logits before drawing."""
    top_k: int = 0
    """Draw among the k most probable codes; 0 among all."""

    def __post_init__(self) -> None:
        _at_least("steps", self.steps, 1)
        _between("guidance", self.guidance, 0.0, math.inf)
        _between("temperature", self.temperature, 0.0, math.inf)
        _at_least("top_k", self.top_k, 0)


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes a `GraspModel`'s shape and its sampling defaults."""

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self) -> None:
        if self.transformer.view_points and self.tokenizer.finger_frame != "palm":
            raise ConfigError(
                f"view_points {self.transformer.view_points} need finger_frame 'palm', not "
                f"{self.tokenizer.finger_frame!r}: only then does the palm's code place the parts"
            )


def _at_least(name: str, value: int, low: int) -> None:
    if value < low:
        raise ConfigError(f"{name} {value} is below {low}")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} {value} is outside {low} to {high}")
