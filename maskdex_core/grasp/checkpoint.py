"""A checkpoint is a folder: model.safetensors, config.json, card.md. No pickle is ever read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from maskdex_core.config import from_mapping
from maskdex_core.errors import CheckpointError, ConfigError
from maskdex_core.grasp.config import ModelConfig
from maskdex_core.grasp.layout import HandLayout

if TYPE_CHECKING:
    from maskdex_core.grasp.model import GraspModel

FORMAT = "maskdex-grasp-model"
FORMAT_VERSION = 2
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "card.md"
DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / "assets" / "shadow"

# Only training reads the moving sums behind the codebooks, and they follow from codes and counts.
TRAINING_ONLY = (".code_sum",)
# A chain of rotations must stay one of rotations.
EXACT = "tokenizer.palm_chain."


def write(folder: Path, model: GraspModel, card: str, dtype: torch.dtype) -> None:
    """Write a model as a checkpoint folder; weights are stored as `dtype`, the palm's motions in full."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: _stored(name, value, dtype)
        for name, value in model.state_dict().items()
        if not name.endswith(TRAINING_ONLY)
    }
    save_file(weights, folder / WEIGHTS)
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": dataclasses.asdict(model.config),
        "layout": dataclasses.asdict(model.layout),
        "info": model.info,
        "parameters": model.parameter_counts(),
    }
    (folder / CONFIG).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card or "# A maskdex grasp model\n\nNo card was written.\n", encoding="utf-8")


def _stored(name: str, value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    exact = name.startswith(EXACT) or not value.is_floating_point()
    return (value if exact else value.to(dtype)).contiguous().cpu()


def read_config(folder: Path) -> tuple[ModelConfig, HandLayout, dict[str, Any]]:
    """Read config.json of a checkpoint folder.

    Raises:
        CheckpointError: when it is missing, corrupt, or of another format version.
    """
    if not folder.is_dir():
        raise CheckpointError(f"checkpoint folder {str(folder)!r} does not exist")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"checkpoint {str(folder)!r} lacks {name}")
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: not valid JSON") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{folder / CONFIG}: not a {FORMAT} configuration")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"checkpoint {str(folder)!r} has format version {version}, this program reads {FORMAT_VERSION}"
        )
    try:
        config = from_mapping(ModelConfig, content["model"], str(folder / CONFIG))
        layout = from_mapping(HandLayout, content["layout"], str(folder / CONFIG))
    except (KeyError, ConfigError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    return config, layout, dict(content.get("info") or {})


def read_weights(folder: Path, model: GraspModel) -> None:
    """Fill a model from model.safetensors; half-precision weights are widened to float32.

    Raises:
        CheckpointError: when the file is corrupt or does not fit the model.
    """
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error
    own = model.state_dict()
    expected = {name for name in own if not name.endswith(TRAINING_ONLY)}
    wrong = sorted(expected ^ set(weights))
    wrong += [name for name in expected & set(weights) if own[name].shape != weights[name].shape]
    if wrong:
        raise CheckpointError(f"{path}: does not fit its config.json at {', '.join(wrong[:3])}")
    model.load_state_dict(weights, strict=False)
    model.tokenizer.quantizer.restore_sums()
