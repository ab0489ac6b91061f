"""Training of the models of the grasp vector: the same batches, schedule and loop as the transformer's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from maskdex_core.baselines.vector_model import VectorModel
from maskdex_core.data.dataset import GraspDataset
from maskdex_core.data.views import object_views
from maskdex_core.distributed import is_first, join, own_rows
from maskdex_core.errors import DatasetError
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.precision import fast_products
from maskdex_core.text import TextEncoder, load_encoder
from maskdex_core.training.batches import BatchMaker, GraspRows
from maskdex_core.training.card import checkpoint_facts
from maskdex_core.training.config import ExperimentConfig, StageConfig
from maskdex_core.training.loop import TrainingRun
from maskdex_core.training.tokenizer_stage import evaluation_rows, train_and_unseen
from maskdex_core.training.transformer_stage import TextTable

logger = logging.getLogger(__name__)

FITTED = 4096  # augmented grasps that give mean and deviation


class VectorStage:
    """Loss and evaluation of a vector model on batches of a dataset."""

    criterion = "loss"  # held-out number by which the best state is kept

    def __init__(
        self, model: VectorModel, config: StageConfig, train: GraspDataset, held_out: GraspDataset | None,
        encoder: TextEncoder, device: str = "cpu", views: Mapping[str, Tensor] | None = None,
    ) -> None:  # fmt: skip
        """Prepare the stage; the arguments are those of `TransformerStage`."""
        self.name, self.module, self.config, self.device = model.kind, model.to(device), config, device
        points = config.object_points or model.config.object_points

        def prepare(data: GraspDataset) -> tuple[BatchMaker, TextTable]:
            return BatchMaker(data, model.vector.joint_names, config, points, views), TextTable(data, encoder)

        self.batches, self.texts = prepare(train)
        self.held_out, self.held_out_texts = (self.batches, self.texts) if held_out is None else prepare(held_out)
        rows = self.batches.draw(torch.Generator().manual_seed(2), FITTED)
        model.vector.fit(rows.joints.to(device), self._palm(rows))

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the model's loss of this process's rows of one augmented batch."""
        rows = self.batches.draw(generator, self.config.batch)
        return self._loss_of(rows, self.texts.draw(rows.row, generator), generator, own_rows(self.config.batch))

    def evaluate(self) -> dict[str, float]:
        """Return the loss of held-out grasps."""
        generator = torch.Generator().manual_seed(1)
        rows = self.held_out.rows(evaluation_rows(len(self.held_out)), generator)
        return self._loss_of(rows, self.held_out_texts.draw(rows.row, generator), generator, slice(None))[1]

    def _palm(self, rows: GraspRows) -> PalmPose:
        return PalmPose(*(value.to(self.device) for value in rows.palm))

    def _loss_of(
        self, rows: GraspRows, text: Tensor, generator: torch.Generator, own: slice
    ) -> tuple[Tensor, dict[str, float]]:
        # Drawn for the whole batch by every process: each works on its own rows of the same noise.
        noise = torch.randn(len(rows.row), self.module.noise_size, generator=generator)
        share = torch.rand(len(rows.row), 1, generator=generator)
        rows, text, device = rows[own], text[own], self.device
        noise, share = noise[own].to(device), share[own].to(device)
        if rows.points is None:
            raise DatasetError("a baseline needs object points")
        vectors = self.module.vector.encode(rows.joints.to(device), self._palm(rows))
        with fast_products(torch.device(device), self.config.bfloat16):
            memory = self.module.condition(rows.points.to(device), text.to(device))
            loss, parts = self.module.objective(vectors, memory, noise, share)
        return loss, {name: float(value.detach()) for name, value in ({"loss": loss} | parts).items()}


def train_vector_model(
    kind: type[VectorModel], data: str | Path, experiment: ExperimentConfig, out: str | Path, resume: bool = False,
    max_minutes: float | None = None, device: str = "cpu", encoder: TextEncoder | None = None,
) -> Path:  # fmt: skip
    """Train a vector model by the transformer's sizes and schedule; leave state and log in `out`/KIND.

    Args:
        kind: which model. experiment: sizes and schedule. Others: as `train_transformer`.

    Returns:
        The checkpoint folder `out`/model.

    Raises:
        DatasetError, ConfigError, CheckpointError, TextError: on unusable input.
    """
    whole = GraspDataset.load(data)
    train, held_out = train_and_unseen(whole)
    config, size = experiment.transformer_training, experiment.model.transformer
    join(device)
    torch.manual_seed(config.seed)
    model = kind(size, checkpoint_facts(train, "shadow", f"{Path(out).name} ({kind.kind})", experiment))
    views = object_views(whole, data) if config.partial_share else None
    encoder = encoder or load_encoder(size.text_encoder)
    stage = VectorStage(model, config, train, held_out, encoder, device, views)
    best_by = None if held_out is None else VectorStage.criterion
    run = TrainingRun(stage, Path(out) / kind.kind, config.total_steps(len(train)), max_minutes, best_by)
    logger.info("%s: %d grasps, %d steps of %d", kind.kind, len(train), run.total_steps, config.batch)
    run.run(resume)
    if is_first():
        model.eval().save(Path(out) / "model")
    return Path(out) / "model"
