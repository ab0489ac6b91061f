"""What a training run is made of: the model's sizes and two stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from maskdex_core.config import from_yaml
from maskdex_core.errors import ConfigError
from maskdex_core.grasp.config import ModelConfig
from maskdex_core.resources import resource_path


@dataclass(frozen=True)
class StageConfig:
    """One stage of training. Defaults that our source does not state are ours."""

    epochs: int = 200
    """Passes over the data, counted in drawn grasps."""
    batch: int = 256
    """Grasps a step."""
    learning_rate: float = 2e-4
    """Peak rate of AdamW."""
    warmup_steps: int = 500
    """Steps of linear warm-up; at most a tenth of the run."""
    final_share: float = 0.01
    """Learning rate at the end, as a share of the peak (cosine in between)."""
    weight_decay: float = 0.01
    """Of AdamW."""
    clip_norm: float = 1.0
    """Gradient norm limit."""
    balance: float = 0.0
    """Families with many grasps are drawn less: a family's share goes with its number of grasps to the power of one
    minus this. 0 draws every grasp alike, 1 every family."""
    yaw: bool = True
    """Turn object and grasp about the vertical by a random angle."""
    centre_jitter: float = 0.005
    """Standard deviation (m) of a random shift of the object's centre: partial clouds are off centre."""
    point_jitter: float = 0.001
    """Standard deviation (m) of noise on object points."""
    partial_share: float = 0.0
    """Share of grasps that see one rendered view of their object instead of its whole cloud."""
    object_points: int = 0
    """Object points drawn a grasp; 0 takes the model's number."""
    expectation_weight: float = 0.0
    """Weight of the pose loss of expected codes (MaskHand 3.3); 0 is the paper's loss alone."""
    geometry_weight: float = 0.0
    """Weight of what the grasp of expected codes does in space (`geometry_loss`); 0 is the paper's loss alone."""
    bfloat16: bool = False
    """Products of networks in bfloat16, where the device multiplies in it; kinematics and codebooks stay float32."""
    save_every: int = 500
    """Steps between two saved states."""
    log_every: int = 50
    """Steps between two lines of the log."""
    evaluate_every: int = 500
    """Steps between two evaluations on held-out grasps."""
    patience: int = 20
    """Evaluations in a row without a better number on unseen objects after which the stage ends; 0 never ends it.
    With nothing unseen it is not used, and the last state is kept instead of the best."""
    seed: int = 0
    """Of weights, draws and augmentation."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "save_every", "log_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} is below 1")
        if self.patience < 0:
            raise ConfigError(f"patience {self.patience} is below 0")
        for name in ("final_share", "partial_share", "balance"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} {getattr(self, name)} is outside 0 to 1")
        if self.learning_rate <= 0.0 or self.clip_norm <= 0.0:
            raise ConfigError(f"learning_rate {self.learning_rate} and clip_norm {self.clip_norm} must be above 0")

    def total_steps(self, grasps: int) -> int:
        """Return the steps of the whole stage for a number of grasps."""
        return max(1, round(self.epochs * grasps / self.batch))


@dataclass(frozen=True)
class ExperimentConfig:
    """A model and how both of its stages are trained; one YAML file."""

    model: ModelConfig = field(default_factory=ModelConfig)
    tokenizer_training: StageConfig = field(default_factory=StageConfig)
    transformer_training: StageConfig = field(default_factory=lambda: StageConfig(epochs=500, batch=128))


def load_experiment(name: str | Path) -> ExperimentConfig:
    """Read an experiment by the name of a shipped one ("paper", "small") or by the path of a YAML file.

    Raises:
        ConfigError: when it is unknown or does not fit.
    """
    if isinstance(name, str) and not name.endswith((".yaml", ".yml")):
        folder = resource_path(Path("config") / "model")
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        if name not in known:
            raise ConfigError(f"model configuration {name!r} is unknown; known: {', '.join(known)}, or a .yaml file")
        return from_yaml(ExperimentConfig, folder / f"{name}.yaml")
    return from_yaml(ExperimentConfig, name)
