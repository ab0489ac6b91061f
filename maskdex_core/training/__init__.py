"""Makes the weights: two stages, one loop. The deployed path never imports this."""

from maskdex_core.training.config import ExperimentConfig, StageConfig, load_experiment
from maskdex_core.training.loop import TrainingRun
from maskdex_core.training.tokenizer_stage import train_tokenizer
from maskdex_core.training.transformer_stage import train_transformer

__all__ = [
    "ExperimentConfig",
    "StageConfig",
    "TrainingRun",
    "load_experiment",
    "train_tokenizer",
    "train_transformer",
]
