"""Tiny grasp models on the real Shadow hand, for tests of model and training."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import torch

from maskdex_core.grasp import (
    GraspModel,
    HandLayout,
    ModelConfig,
    PalmPose,
    SamplingConfig,
    TokenizerConfig,
    TransformerConfig,
)
from maskdex_core.grasp.rotation import matrix_from_6d
from maskdex_core.hands import HandModel
from maskdex_core.training import ExperimentConfig, StageConfig

TEXT_DIM = 8


class FakeEncoder:
    """Unit vectors that depend on the text and on nothing else."""

    name, dim = "fake", TEXT_DIM

    def encode(self, texts):
        seeds = [sum(text.encode()) for text in texts]
        rows = [torch.randn(TEXT_DIM, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


@lru_cache(maxsize=1)
def shadow() -> HandModel:
    return HandModel.load("shadow")


PALM_FRAME = {"finger_frame": "palm", "palm_levels": 3, "finger_levels": 2}


def tiny_config(**tokenizer) -> ModelConfig:
    sizes = {"codes": 32, "code_dim": 32, "hand_points": 96, "encoder_widths": (16, 32), "decoder_width": 128}
    return ModelConfig(
        tokenizer=TokenizerConfig(**(sizes | {"ema_decay": 0.9} | tokenizer)),
        transformer=TransformerConfig(
            layers=2,
            heads=4,
            width=64,
            dropout=0.1,
            object_points=64,
            object_widths=(16, 32),
            object_patches=8,
            text_dim=TEXT_DIM,
            text_encoder="fake",
        ),
        sampling=SamplingConfig(steps=4),
    )


def tiny_experiment(**stage) -> ExperimentConfig:
    settings = {"epochs": 4, "batch": 16, "learning_rate": 3e-3, "warmup_steps": 5, **stage}
    return ExperimentConfig(
        model=tiny_config(),
        tokenizer_training=StageConfig(**settings),
        transformer_training=StageConfig(**settings),
    )


def tiny_model(seed: int = 0, tokenizer: dict | None = None, **transformer) -> GraspModel:
    """A random model whose codebooks are filled, so that different tokens decode differently."""
    torch.manual_seed(seed)
    config = tiny_config(**(tokenizer or {}))
    config = dataclasses.replace(config, transformer=dataclasses.replace(config.transformer, **transformer))
    model = GraspModel(config, HandLayout.of(shadow()), {"hand": "shadow", "data_version": "none"})
    for stage in model.tokenizer.quantizer.stages:
        stage.codebook.normal_()
        stage.step.fill_(1)
    if config.tokenizer.finger_frame == "palm":
        palm = PalmPose(matrix_from_6d(torch.randn(200, 6)), 0.1 * torch.randn(200, 3))
        model.tokenizer.prepare(palm)
    model.network.prepare(model.tokenizer, shadow())
    return model
