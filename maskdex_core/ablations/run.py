"""Trains and measures variants, each once: what is done already is taken as it is, what was stopped goes on.

A run's folder: one experiment a trained variant (the last one's `model/` says that it is done), one JSON row a variant
in `rows/`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskdex_core.ablations.textless import TextlessEncoder, TextlessSampler
from maskdex_core.ablations.variants import MODEL, REFERENCE, Variant
from maskdex_core.ablations.whole_hand import WholeHand
from maskdex_core.baselines.kinds import load_sampler, train_baseline
from maskdex_core.config import from_mapping
from maskdex_core.data.dataset import GraspDataset
from maskdex_core.errors import UsageError
from maskdex_core.grasp.config import SamplingConfig
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.sampler import GraspSampler
from maskdex_core.metrics.evaluation import as_json, evaluate, summary
from maskdex_core.metrics.subjects import Subject, split_subjects
from maskdex_core.training.config import ExperimentConfig
from maskdex_core.training.tokenizer_stage import shadow_hand, train_tokenizer
from maskdex_core.training.transformer_stage import train_transformer

logger = logging.getLogger(__name__)

ROWS = "rows"
TOKENIZER_SHARE = 0.25  # of a model's time; the transformer gets the rest


@dataclass(frozen=True)
class Protocol:
    """How all variants of a run are trained and measured: rows of unlike protocols are never mixed."""

    config: str
    minutes: float
    split: str
    observation: str
    objects: int
    samples: int
    seed: int


class Ablation:
    """A run in a folder."""

    def __init__(
        self, data: Path, out: Path, experiment: ExperimentConfig, protocol: Protocol, device: str = "cpu"
    ) -> None:
        """Prepare a run.

        Args:
            data: dataset folder. out: of the run. experiment: configuration of the reference.
            protocol: minutes of training a variant, and how it is measured. device: where to train.
        """
        self.data, self.out, self.experiment, self.protocol, self.device = data, out, experiment, protocol, device

    def run(self, variants: Mapping[str, Variant]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the row of each variant, measured now or before.

        Raises:
            UsageError: when a row was measured by another protocol.
            DatasetError, ConfigError, CheckpointError, TextError: on unusable input.
        """
        subjects = split_subjects(GraspDataset.load(self.data), self.protocol.split)
        known = {name: row for name in variants if (row := self._known(self.out / ROWS / f"{name}.json")) is not None}
        for name, variant in variants.items():
            if name not in known:
                known[name] = self._measure(name, variant, subjects)
                path = self.out / ROWS / f"{name}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(known[name], indent=1) + "\n", encoding="utf-8")
            yield name, known[name]

    def _known(self, path: Path) -> dict[str, Any] | None:
        """Return a row measured before, if there is one."""
        if not path.is_file():
            return None
        row = json.loads(path.read_text(encoding="utf-8"))
        for key, value in dataclasses.asdict(self.protocol).items():
            if row["protocol"][key] != value:
                found = row["protocol"][key]
                raise UsageError(f"{path} was measured with {key} {found!r}, not {value!r}: use another --out")
        return row

    def _measure(self, name: str, variant: Variant, subjects: list[Subject]) -> dict[str, Any]:
        logger.info("%s: %s", name, "own weights" if variant.trained else "weights of the reference")
        sampler, protocol = self._sampler(name, variant), self.protocol
        samples, shown = variant.samples or protocol.samples, variant.observation or protocol.observation
        trials = list(evaluate(sampler, subjects, shown, samples, protocol.objects, protocol.seed))
        return {
            "variant": name, "group": variant.group, "differs": _differences(variant), "samples": samples,
            "protocol": dataclasses.asdict(protocol), "model": sampler.info, "table": as_json(summary(trials)),
        }  # fmt: skip

    def _sampler(self, name: str, variant: Variant) -> GraspSampler:
        folder = self._trained(name, variant) if variant.trained else self._reference()
        sampler = load_sampler(folder / MODEL)
        if isinstance(sampler, GraspModel):
            settings = dataclasses.asdict(sampler.config.sampling) | dict(variant.sampling)
            settings = from_mapping(SamplingConfig, settings, f"{name}: sampling")
            sampler.config = dataclasses.replace(sampler.config, sampling=settings)
        return sampler if variant.text else TextlessSampler(sampler, self.experiment.model.transformer.text_dim)

    def _reference(self) -> Path:
        return self._trained(REFERENCE, Variant(group=""))

    def _trained(self, name: str, variant: Variant) -> Path:
        """Return a variant's experiment folder, trained now if it was not."""
        folder, minutes = self.out / name, self.protocol.minutes
        if (folder / MODEL / "config.json").is_file():
            return folder
        experiment = variant.experiment(self.experiment)
        encoder = None if variant.text else TextlessEncoder(experiment.model.transformer.text_dim)
        if variant.kind != MODEL:
            train_baseline(variant.kind, self.data, experiment, folder, True, minutes, self.device, encoder)
            return folder
        hand = shadow_hand() if variant.hand == "parts" else WholeHand(shadow_hand())
        if variant.own_tokenizer or name == REFERENCE:
            train_tokenizer(self.data, experiment, folder, True, TOKENIZER_SHARE * minutes, self.device, hand)
        else:
            shutil.copytree(self._reference() / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
        minutes *= 1.0 - TOKENIZER_SHARE
        train_transformer(self.data, experiment, folder, True, minutes, self.device, hand, encoder)
        return folder


def _differences(variant: Variant) -> dict[str, Any]:
    plain = Variant(group=variant.group)
    values = dataclasses.asdict(variant)
    return {name: value for name, value in values.items() if value != getattr(plain, name)}
