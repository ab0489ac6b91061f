"""The baselines by name: how each is made and read back."""

from __future__ import annotations

from pathlib import Path

from maskdex_core.baselines.cvae import ConditionalVae
from maskdex_core.baselines.files import is_baseline, read_baseline
from maskdex_core.baselines.flow import FlowMatching
from maskdex_core.baselines.retrieval import Retrieval, make_retrieval
from maskdex_core.baselines.vector_stage import train_vector_model
from maskdex_core.errors import CheckpointError, UsageError, unknown_choice
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.sampler import GraspSampler
from maskdex_core.text import TextEncoder
from maskdex_core.training.config import ExperimentConfig

LEARNED = {model.kind: model for model in (ConditionalVae, FlowMatching)}
KINDS = (Retrieval.kind, *LEARNED)


def check_kind(kind: str) -> None:
    """Refuse what is no baseline.

    Raises:
        UsageError: naming the known ones.
    """
    if kind not in KINDS:
        raise UsageError(unknown_choice("baseline", kind, KINDS))


def train_baseline(
    kind: str, data: str | Path, experiment: ExperimentConfig, out: str | Path, resume: bool = False,
    max_minutes: float | None = None, device: str = "cpu", encoder: TextEncoder | None = None,
) -> Path:  # fmt: skip
    """Make a baseline of a dataset's training grasps; return its checkpoint folder `out`/model.

    Args:
        kind: among `KINDS`. Others: as `train_vector_model`; a retrieval has nothing to resume or to limit.

    Raises:
        UsageError: when the kind is unknown.
        DatasetError, ConfigError, CheckpointError, TextError: on unusable input.
    """
    check_kind(kind)
    if kind == Retrieval.kind:
        return make_retrieval(data, experiment, out, encoder)
    return train_vector_model(LEARNED[kind], data, experiment, out, resume, max_minutes, device, encoder)


def load_sampler(folder: Path | None) -> GraspSampler:
    """Load whatever proposes grasps from a checkpoint folder: a grasp model or a baseline, as its config.json says.

    Args:
        folder: None is the grasp model that ships with the package.

    Raises:
        CheckpointError: when it is missing, damaged, or of another version.
    """
    if folder is None or not is_baseline(folder):
        return GraspModel.load(folder)
    stored = read_baseline(folder)
    if stored.kind not in KINDS:
        raise CheckpointError(f"{folder}: {unknown_choice('baseline', stored.kind, KINDS)}")
    return Retrieval.restore(stored) if stored.kind == Retrieval.kind else LEARNED[stored.kind].restore(stored)
