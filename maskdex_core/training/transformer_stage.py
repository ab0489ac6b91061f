"""Stage 2: the transformer learns to predict masked tokens from object, text and the other tokens."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskdex_core.data import GraspDataset
from maskdex_core.data.views import object_views
from maskdex_core.distributed import is_first, join, own_rows
from maskdex_core.errors import CheckpointError, DatasetError
from maskdex_core.grasp.decoder import DecodedGrasp, PalmPose
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.surface import HandSurface
from maskdex_core.grasp.tokenizer import pose_distance
from maskdex_core.masked import random_waves
from maskdex_core.precision import fast_products
from maskdex_core.text import TextEncoder, load_encoder
from maskdex_core.training.batches import BatchMaker, GraspRows
from maskdex_core.training.card import checkpoint_card, checkpoint_facts
from maskdex_core.training.config import ExperimentConfig, StageConfig, load_experiment
from maskdex_core.training.curves import CURVES, draw_curves
from maskdex_core.training.geometry_loss import GeometryLoss, ObjectSkin
from maskdex_core.training.loop import TrainingRun
from maskdex_core.training.state import kept_state, module_state
from maskdex_core.training.task_rows import TaskRows, stretched
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
        self.module = model.network
        self.geometry = GeometryLoss(hand)
        size = model.config.transformer
        encoder = encoder or load_encoder(size.text_encoder)
        points = config.object_points or size.object_points
        names = model.joint_names

        def prepare(data: GraspDataset) -> tuple[BatchMaker, TextTable, TaskRows | None]:
            tasks = TaskRows(data, encoder, config.balance) if size.touch_width else None
            return BatchMaker(data, names, config, points, views), TextTable(data, encoder), tasks

        own = prepare(train)
        self.batches, self.texts, self.tasks = own
        self.held_out, self.held_out_texts, self.held_out_tasks = own if held_out is None else prepare(held_out)

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the negative log-likelihood of the codes asked for, the mean over this process's rows of a batch."""
        size, config, chains = self.model.config.transformer, self.config, self.model.tokenizer.chains
        rows = self.batches.draw(generator, config.batch)
        text = self.texts.draw(rows.row, generator)
        mask, asked = random_waves(config.batch, chains, generator, (size.mask_low, size.mask_high))
        drop = torch.rand(config.batch, generator=generator) < size.drop_condition
        own = own_rows(config.batch)
        rows, text, drop = rows[own], text[own], drop[own].to(self.device)
        mask, asked = mask[own].to(self.device), asked[own].to(self.device)
        codes, palm = self._codes(rows)
        logits = self._logits(rows, text, codes, mask, drop)
        # A row counts the same however many codes it asks for: the palm's waves are single codes.
        weight = asked / asked.sum(1, keepdim=True) / len(asked)
        nll = (weight * _nll(logits, codes)).sum()
        report = {"nll": nll, "accuracy": (weight * (logits.argmax(-1) == codes)).sum()}
        total = nll
        if config.expectation_weight or config.geometry_weight:
            expected = self.model.tokenizer.expected(logits, codes, asked, mask)
            report |= self._expectation(expected, rows, palm)
            total = total + config.expectation_weight * report.get("expectation", 0.0)
            total = total + config.geometry_weight * report.get("geometry", 0.0)
        if self.tasks is not None:
            report["touch"] = self._touch_loss(self.tasks, self.batches, generator, config.batch)
            total = total + report["touch"]
        report["loss"] = total
        return total, {name: float(value.detach()) for name, value in report.items()}

    def evaluate(self) -> dict[str, float]:
        """Return the likelihood of held-out codes, those before them known: wave by wave, and one part alone.

        `nll` is the mean of whole clouds, single views, and one part masked among known ones.
        """
        chosen = evaluation_rows(len(self.held_out), 256)
        generator = torch.Generator().manual_seed(1)
        rows = self.held_out.rows(chosen, generator, partial_share=0.0)
        text = self.held_out_texts.draw(rows.row, generator)
        waves = self._by_wave(rows, text)
        result = {"nll_whole": sum(waves) / len(waves)}
        if self.held_out.has_views:
            # The same grasps; those on objects without views keep the whole cloud.
            seen = self._by_wave(self.held_out.rows(chosen, torch.Generator().manual_seed(2), partial_share=1.0), text)
            result["nll_view"] = sum(seen) / len(seen)
        result["nll_one_part"] = self._one_part(rows, text)
        mean = sum(result.values()) / len(result)
        by_wave = {f"nll_wave_{place}": value for place, value in enumerate(waves)}
        if self.held_out_tasks is not None:
            draws = torch.Generator().manual_seed(3)
            by_wave["touch"] = float(self._touch_loss(self.held_out_tasks, self.held_out, draws, len(chosen)))
        return {self.criterion: mean, **result, **by_wave}

    def _by_wave(self, rows: GraspRows, text: Tensor) -> list[float]:
        """Return the mean likelihood of each wave's codes, those before known and those after masked."""
        codes, _ = self._codes(rows)
        wave_of = self.model.tokenizer.chains.wave_of.to(self.device)
        found = []
        for wave in range(int(wave_of.max()) + 1):
            mask = (wave_of >= wave).expand(len(codes), -1)
            nll = _nll(self._logits(rows, text, codes, mask, None), codes)
            found.append(float(nll[:, wave_of == wave].mean()))
        return found

    def _one_part(self, rows: GraspRows, text: Tensor) -> float:
        """Return the mean likelihood of each part's first code, all other parts known."""
        codes, _ = self._codes(rows)
        chains = self.model.tokenizer.chains
        part_of, first = chains.part_of.to(self.device), chains.depth_of.to(self.device) == 0
        alone = []
        for part in range(chains.parts):
            mask = (part_of == part).expand(len(codes), -1)
            nll = _nll(self._logits(rows, text, codes, mask, None), codes)
            alone.append(float(nll[:, (part_of == part) & first].mean()))
        return sum(alone) / len(alone)

    def _codes(self, rows: GraspRows) -> tuple[Tensor, PalmPose]:
        palm = PalmPose(*(value.to(self.device) for value in rows.palm))
        return self.model.tokenizer.tokenize(self.hand, rows.joints.to(self.device), palm), palm

    def _expectation(self, expected: DecodedGrasp, rows: GraspRows, palm: PalmPose) -> dict[str, Tensor]:
        """Return how far the grasp of expected codes is from the true one, by pose and in space, as weighed."""
        found, joints = {}, rows.joints.to(self.device)
        if self.config.expectation_weight:
            found["expectation"] = pose_distance(expected, joints, palm).mean()
        if rows.skin is not None:
            skin = ObjectSkin(rows.skin.points.to(self.device), rows.skin.normals.to(self.device))
            found["geometry"] = self.geometry(expected, joints, palm, skin).mean()
        return found

    def _touch_loss(self, tasks: TaskRows, batches: BatchMaker, generator: torch.Generator, batch: int) -> Tensor:
        """Return the cross-entropy of the map on this process's requests of a batch: a point's chance is the share
        of contacts on its part."""
        if batches.clouds is None or self.module.touch is None:
            raise DatasetError("stage 2 needs object points")
        asked = tasks.draw(generator, batch)
        cloud = batches.clouds.draw(asked.owner, generator)
        points, own = stretched(cloud.points, generator), own_rows(batch)
        shares = asked.shares.gather(1, cloud.part).clamp(0.0, 1.0)
        points, text, shares = (value[own].to(self.device) for value in (points, asked.text, shares))
        with fast_products(points.device, self.config.bfloat16):
            logits = self.module.touch(points, text)
        return F.binary_cross_entropy_with_logits(logits.float(), shares)

    def _logits(self, rows: GraspRows, text: Tensor, codes: Tensor, mask: Tensor, drop: Tensor | None) -> Tensor:
        """Predict; the map is read as it is, without a gradient to it."""
        points, text = _points(rows).to(self.device), text.to(self.device)
        drop = torch.zeros(len(codes), dtype=torch.bool, device=self.device) if drop is None else drop
        with torch.no_grad():
            known = self.model.tokenizer.known(codes, mask)
        with fast_products(points.device, self.config.bfloat16):
            with torch.no_grad():
                touch = self.module.touched(points, text)
            return self.module(points, text, codes, mask, known, self.hand, drop, touch).float()


def _points(rows: GraspRows) -> Tensor:
    if rows.points is None:
        raise DatasetError("stage 2 needs object points")
    return rows.points


def _nll(logits: Tensor, codes: Tensor) -> Tensor:
    """Return the negative log-likelihood (B, N) of codes (B, N) under logits (B, N, K)."""
    return F.cross_entropy(logits.transpose(1, 2), codes, reduction="none")


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
    model.network.prepare(model.tokenizer, hand)
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
