"""Stage 1: the grasp tokenizer learns to rebuild grasps from one token a part."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor

from maskdex_core.data import GraspDataset
from maskdex_core.distributed import join, own_rows
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.surface import HandSurface
from maskdex_core.grasp.tokenizer import GraspTokenizer, build_tokenizer
from maskdex_core.training.batches import BatchMaker, GraspRows
from maskdex_core.training.config import ExperimentConfig, StageConfig, load_experiment
from maskdex_core.training.loop import TrainingRun

logger = logging.getLogger(__name__)

EVALUATION_ROWS = 512
PREPARED = 100  # grasps a code on which the palm's codes are chosen


class TokenizerStage:
    """Loss and evaluation of the tokenizer on batches of a dataset."""

    name = "tokenizer"
    criterion = "loss"  # held-out number by which the best state is kept

    def __init__(
        self,
        module: GraspTokenizer,
        hand: HandSurface,
        config: StageConfig,
        train: GraspDataset,
        held_out: GraspDataset | None = None,
        device: str = "cpu",
    ) -> None:
        self.module, self.hand, self.config = module.to(device), hand, config
        module.low_precision = config.bfloat16
        self.device = device
        self.batches = BatchMaker(train, module.layout.joint_names, config)
        generator = torch.Generator().manual_seed(config.seed)
        module.prepare(self.batches.draw(generator, PREPARED * module.chains.codes).palm)
        self.held_out = BatchMaker(held_out or train, module.layout.joint_names, config)

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the VQ-VAE objective of this process's rows of one augmented batch."""
        rows = self.batches.draw(generator, self.config.batch)
        return self._loss_of(rows, self._held(rows, generator), own_rows(self.config.batch))

    def evaluate(self) -> dict[str, float]:
        """Return reconstruction errors on held-out grasps, the codebooks left alone."""
        generator = torch.Generator().manual_seed(1)
        rows = self.held_out.rows(evaluation_rows(len(self.held_out)), generator)
        return self._loss_of(rows, self._held(rows, generator), slice(None))[1]

    def _held(self, rows: GraspRows, generator: torch.Generator) -> Tensor:
        return torch.rand(len(rows.row), generator=generator) < self.module.config.held_palm

    def _loss_of(self, rows: GraspRows, hold: Tensor, own: slice) -> tuple[Tensor, dict[str, float]]:
        rows, hold = rows[own], hold[own].to(self.device)
        palm = PalmPose(*(value.to(self.device) for value in rows.palm))
        return self.module.loss(self.hand, rows.joints.to(self.device), palm, hold)


def evaluation_rows(total: int, limit: int = EVALUATION_ROWS) -> Tensor:
    """Return at most `limit` rows spread evenly over a dataset."""
    return torch.linspace(0, total - 1, min(total, limit)).round().long()


def train_tokenizer(
    data: str | Path | GraspDataset,
    config: str | Path | ExperimentConfig,
    out: str | Path,
    resume: bool = False,
    max_minutes: float | None = None,
    device: str = "cpu",
    hand: HandSurface | None = None,
) -> Path:
    """Train stage 1 and leave its states and log in `out`/tokenizer.

    Under torchrun every process calls it (`maskdex_core.distributed`); `data` and `out` are the same for all.

    Args:
        data: dataset or its folder; `split` "train" trains, splits that begin with "unseen" evaluate.
        config: "paper", "small", a YAML file, or an experiment.
        out: folder of the whole experiment, the same for both stages.
        resume: go on from the saved state if there is one.
        max_minutes: time limit of this stage.
        device: where to train; "cuda" is each process's own GPU.
        hand: the Shadow hand if None.

    Returns:
        The folder of the stage.

    Raises:
        DatasetError, ConfigError, CheckpointError: on unusable input.
    """
    experiment = config if isinstance(config, ExperimentConfig) else load_experiment(config)
    hand = hand or shadow_hand()
    train, held_out = train_and_unseen(data)
    stage_config = experiment.tokenizer_training
    join(device)
    torch.manual_seed(stage_config.seed)
    module = build_tokenizer(experiment.model.tokenizer, HandLayout.of(hand))
    stage = TokenizerStage(module, hand, stage_config, train, held_out, device)
    folder = Path(out) / stage.name
    best_by = None if held_out is None else TokenizerStage.criterion
    run = TrainingRun(stage, folder, stage_config.total_steps(len(train)), max_minutes, best_by)
    logger.info("tokenizer: %d grasps, %d steps of %d", len(train), run.total_steps, stage_config.batch)
    run.run(resume)
    return folder


def shadow_hand() -> HandSurface:
    """Return the hand the model is trained on."""
    from maskdex_core.hands import HandModel

    return HandModel.load("shadow")


def train_and_unseen(data: str | Path | GraspDataset) -> tuple[GraspDataset, GraspDataset | None]:
    """Split a dataset into what trains and what evaluates (None when nothing is unseen)."""
    whole = data if isinstance(data, GraspDataset) else GraspDataset.load(data)
    rows = [row for row, split in enumerate(whole.table["split"]) if split.startswith("unseen")]
    return whole.split("train"), whole.subset(rows) if rows else None
