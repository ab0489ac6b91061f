"""Trains both stages on random grasps for a few seconds: `python -m maskdex_core.training [CONFIG] [STEPS]`.

It shows that the machinery runs and how fast; what it learns is noise.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
import tempfile
import time

import torch

from maskdex_core.training.config import load_experiment
from maskdex_core.training.random_data import random_dataset
from maskdex_core.training.tokenizer_stage import shadow_hand, train_tokenizer
from maskdex_core.training.transformer_stage import train_transformer

logger = logging.getLogger("maskdex_core.training")


def main(arguments: list[str]) -> None:
    """Train `STEPS` (20) steps of each stage of `CONFIG` ("small") and log the speed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    name = arguments[0] if arguments else "small"
    steps = int(arguments[1]) if len(arguments) > 1 else 20
    experiment, hand = load_experiment(name), shadow_hand()
    for stage in ("tokenizer_training", "transformer_training"):
        settings = getattr(experiment, stage)
        short = dataclasses.replace(settings, epochs=1, log_every=max(1, steps // 2))
        experiment = dataclasses.replace(experiment, **{stage: short})
        data = random_dataset(hand, steps * short.batch, experiment.model.transformer.object_points)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            train_tokenizer(data, experiment, folder, hand=hand)
            if stage == "transformer_training":
                started = time.perf_counter()
                train_transformer(data, experiment, folder, hand=hand)
            seconds = time.perf_counter() - started
        speed = steps / seconds
        logger.info(
            "%s: %.1f steps/s with batch %d on %d threads, evaluation included",
            stage,
            speed,
            short.batch,
            torch.get_num_threads(),
        )


if __name__ == "__main__":
    main(sys.argv[1:])
