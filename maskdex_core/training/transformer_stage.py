"""Stage 2: the transformer learns to predict masked tokens from object, text and the other tokens."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskdex_core.data import GraspDataset
from maskdex_core.data.views import object_views
from maskdex_core.distributed import is_first, join, own_rows, world
from maskdex_core.errors import CheckpointError, DatasetError
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.surface import HandSurface
from maskdex_core.grasp.tokenizer import HandLayout, pose_distance
from maskdex_core.masked import expected_codes, random_mask
from maskdex_core.text import TextEncoder, load_encoder
from maskdex_core.training.batches import BatchMaker, GraspRows
from maskdex_core.training.card import checkpoint_card, checkpoint_facts
from maskdex_core.training.config import ExperimentConfig, StageConfig, load_experiment
from maskdex_core.training.curves import CURVES, draw_curves
from maskdex_core.training.loop import TrainingRun
from maskdex_core.training.state import kept_state, module_state
from maskdex_core.training.tokenizer_stage import evaluation_rows, shadow_hand, train_and_unseen

logger = logging.getLogger(__name__)


class TextTable:
    """Embeddings of every text of a dataset, and which of them belong to which grasp."""

    def __init__(self, data: GraspDataset, encoder: TextEncoder) -> None:
        """Embed each distinct text once.

        Raises:
            DatasetError: when a grasp has no text.
        """
        distinct = sorted({text for texts in data.texts for text in texts})
        place = {text: index for index, text in enumerate(distinct)}
        for row, texts in enumerate(data.texts):
            if not texts:
                raise DatasetError(f"grasp {row} has no text")
        chunks = [encoder.encode(distinct[i : i + 512]) for i in range(0, len(distinct), 512)]
        self.embeddings = torch.cat(chunks)  # (T, E)
        self.counts = torch.tensor([len(texts) for texts in data.texts])
        self.starts = self.counts.cumsum(0) - self.counts
        self.index = torch.tensor([place[text] for texts in data.texts for text in texts])

    def draw(self, row: Tensor, generator: torch.Generator) -> Tensor:
        """Return the embedding (B, E) of one random text of each grasp (B,)."""
        within = (torch.rand(len(row), generator=generator) * self.counts[row]).long()
        return self.embeddings[self.index[self.starts[row] + within]]


class TransformerStage:
    """Loss and evaluation of conditions and transformer; the tokenizer is frozen."""

    name = "transformer"
    criterion = "nll"  # held-out number by which the best state is kept

    def __init__(
        self,
        model: GraspModel,
        hand: HandSurface,
        config: StageConfig,
        train: GraspDataset,
        held_out: GraspDataset | None = None,
        encoder: TextEncoder | None = None,
        device: str = "cpu",
        views: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Prepare the stage.

        Args:
            model: its tokenizer is trained. hand: whose grasps these are. config: how to train.
            train, held_out: grasps; those that train are evaluated on when none are held out.
            encoder: of texts; the one the model's configuration names if None.
            device: where to train.
            views: single views by object name, as `object_views` returns.
        """
        self.model, self.hand, self.config, self.device = model.to(device), hand, config, device
        model.tokenizer.requires_grad_(False).eval()
        # GraspModel as a whole is not trained: the tokenizer must stay in evaluation mode.
        self.module = nn.ModuleDict({"condition": model.condition, "transformer": model.transformer})
        size = model.config.transformer
        encoder = encoder or load_encoder(size.text_encoder)
        points = config.object_points or size.object_points
        names = model.joint_names

        def prepare(data: GraspDataset) -> tuple[BatchMaker, TextTable]:
            batches = BatchMaker(data, names, config, points, views)
            return batches, TextTable(data, encoder)

        self.batches, self.texts = prepare(train)
        self.held_out, self.held_out_texts = (self.batches, self.texts) if held_out is None else prepare(held_out)

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the mean negative log-likelihood of masked tokens of this process's rows of one augmented batch."""
        size, config = self.model.config.transformer, self.config
        rows = self.batches.draw(generator, config.batch)
        text = self.texts.draw(rows.row, generator)
        mask = random_mask(
            config.batch, self.model.tokenizer.quantizer.positions, generator, (size.mask_low, size.mask_high)
        )
        drop = torch.rand(config.batch, generator=generator) < size.drop_condition
        # Rows have unlike numbers of masked tokens: the mean of all processes' means must be the batch's mean.
        share = int(mask.sum()) / world()
        own = own_rows(config.batch)
        rows, text, drop = rows[own], text[own], drop[own].to(self.device)
        tokens, palm = self._tokens(rows)
        mask = mask[own].to(self.device)
        logits = self._logits(rows, text, tokens, mask, drop)
        nll = F.cross_entropy(logits[mask], tokens[mask], reduction="sum") / share
        report = {"nll": nll, "accuracy": (logits[mask].argmax(-1) == tokens[mask]).sum() / share}
        total = nll
        if config.expectation_weight:
            expectation = self._expectation(logits, tokens, mask, rows.joints.to(self.device), palm)
            total = total + config.expectation_weight * expectation
            report["expectation"] = expectation
        report["loss"] = total
        return total, {name: float(value.detach()) for name, value in report.items()}

    def evaluate(self) -> dict[str, float]:
        """Return the likelihood of held-out tokens: all masked on whole clouds and on single views, one masked.

        `nll` is the mean of these.
        """
        generator = torch.Generator().manual_seed(1)
        chosen = evaluation_rows(len(self.held_out), 256)
        rows = self.held_out.rows(chosen, generator, partial_share=0.0)
        text = self.held_out_texts.draw(rows.row, generator)
        tokens, _ = self._tokens(rows)
        result = {}
        blank = torch.ones_like(tokens, dtype=torch.bool)
        logits = self._logits(rows, text, tokens, blank, None)
        result["nll_all_masked"] = float(F.cross_entropy(logits.flatten(0, 1), tokens.flatten()))
        if self.held_out.has_views:
            # The same grasps; those on objects without views keep the whole cloud.
            seen = self.held_out.rows(chosen, torch.Generator().manual_seed(2), partial_share=1.0)
            tokens_seen, _ = self._tokens(seen)
            logits = self._logits(seen, text, tokens_seen, blank, None)
            result["nll_all_masked_view"] = float(F.cross_entropy(logits.flatten(0, 1), tokens_seen.flatten()))
        alone = []
        for position in range(tokens.shape[1]):
            mask = torch.zeros_like(blank)
            mask[:, position] = True
            logits = self._logits(rows, text, tokens, mask, None)[:, position]
            alone.append(float(F.cross_entropy(logits, tokens[:, position])))
        result["nll_one_masked"] = sum(alone) / len(alone)
        return {self.criterion: sum(result.values()) / len(result), **result}

    def _tokens(self, rows: GraspRows) -> tuple[Tensor, PalmPose]:
        palm = PalmPose(*(value.to(self.device) for value in rows.palm))
        return self.model.tokenizer.tokenize(self.hand, rows.joints.to(self.device), palm), palm

    def _logits(self, rows: GraspRows, text: Tensor, tokens: Tensor, mask: Tensor, drop: Tensor | None) -> Tensor:
        if rows.points is None:
            raise DatasetError("stage 2 needs object points")
        points, text = rows.points.to(self.device), text.to(self.device)
        with torch.autocast(points.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            conditions = self.model.condition(points, text, drop)
            memory = self.model.transformer.read(conditions)
            return self.model.transformer(tokens, mask, memory).float()

    def _expectation(self, logits: Tensor, tokens: Tensor, mask: Tensor, joints: Tensor, palm: PalmPose) -> Tensor:
        """Return the pose error of expected codes (MaskHand 3.3); known tokens keep their own code."""
        quantizer = self.model.tokenizer.quantizer
        soft = expected_codes(logits, quantizer.codebook)
        known = torch.nn.functional.one_hot(tokens, quantizer.codes).to(soft.dtype)
        codes = torch.where(mask.unsqueeze(-1), soft, torch.einsum("bnk,nkd->bnd", known, quantizer.codebook))
        return pose_distance(self.model.tokenizer.decoder(quantizer.merge(codes)), joints, palm).mean()


def train_transformer(
    data: str | Path | GraspDataset,
    config: str | Path | ExperimentConfig,
    out: str | Path,
    resume: bool = False,
    max_minutes: float | None = None,
    device: str = "cpu",
    hand: HandSurface | None = None,
    encoder: TextEncoder | None = None,
    info: dict[str, Any] | None = None,
    card: str = "",
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Train stage 2 on the tokenizer in `out`/tokenizer and leave the checkpoint in `out`/model.

    Under torchrun every process calls it, as `train_tokenizer`.

    Args:
        data, config, out, resume, max_minutes, device, hand: as for `train_tokenizer`.
        encoder: text encoder; the one the configuration names if None.
        info: further facts for the checkpoint's config.json.
        card: text of the checkpoint's card.md; by default what the run knows of itself.
        dtype: of the stored weights; the state file keeps them in full.

    Returns:
        The checkpoint folder, which `GraspModel.load` reads.

    Raises:
        DatasetError, ConfigError, CheckpointError, TextError: on unusable input.
    """
    experiment = config if isinstance(config, ExperimentConfig) else load_experiment(config)
    hand = hand or shadow_hand()
    train, held_out = train_and_unseen(data)
    stage_config = experiment.transformer_training
    facts = checkpoint_facts(train, getattr(hand, "name", "shadow"), Path(out).name, experiment) | (info or {})
    views = _views((train, held_out), data) if stage_config.partial_share else None
    stages, folder = [Path(out) / "tokenizer", Path(out) / TransformerStage.name], Path(out) / "model"
    join(device)
    torch.manual_seed(stage_config.seed)
    model = GraspModel(experiment.model, HandLayout.of(hand), facts)
    _take_tokenizer(model, kept_state(stages[0]))
    stage = TransformerStage(model, hand, stage_config, train, held_out, encoder, device, views)
    best_by = None if held_out is None else TransformerStage.criterion
    run = TrainingRun(stage, stages[1], stage_config.total_steps(len(train)), max_minutes, best_by)
    logger.info("transformer: %d grasps, %d steps of %d", len(train), run.total_steps, stage_config.batch)
    run.run(resume)
    if is_first():
        model.eval().save(folder, card or checkpoint_card(facts, experiment, stages), dtype)
        draw_curves(stages, folder / CURVES)
    return folder


def _views(parts: tuple[GraspDataset, GraspDataset | None], data: str | Path | GraspDataset) -> dict[str, Tensor]:
    folder = None if isinstance(data, GraspDataset) else Path(data)
    views: dict[str, Tensor] = {}
    for part in parts:
        views |= {} if part is None else object_views(part, folder)
    if not views:
        logger.warning("no object has views: all grasps are learned on whole clouds")
    return views


def _take_tokenizer(model: GraspModel, path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: train the tokenizer first, into the same folder")
    try:
        model.tokenizer.load_state_dict(module_state(path))
    except RuntimeError as error:
        raise CheckpointError(f"{path}: tokenizer of another configuration ({str(error)[:200]})") from error
    if model.config.transformer.tie_codes:
        model.transformer.tie_codes(model.tokenizer.quantizer.codebook)
