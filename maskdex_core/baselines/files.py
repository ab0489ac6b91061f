"""A baseline's checkpoint is a folder: weights.safetensors and config.json, which names the kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskdex_core.errors import CheckpointError

FORMAT, VERSION = "maskdex-baseline", 1
WEIGHTS, CONFIG = "weights.safetensors", "config.json"


@dataclass(frozen=True)
class Stored:
    """What a checkpoint holds."""

    kind: str
    settings: dict[str, Any]
    info: dict[str, Any]
    tensors: dict[str, Tensor]


def write_baseline(folder: Path, stored: Stored) -> None:
    """Write a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().cpu().contiguous() for name, value in stored.tensors.items()}, folder / WEIGHTS)
    content = {"format": FORMAT, "version": VERSION, "kind": stored.kind}
    content |= {"settings": stored.settings, "info": stored.info}
    (folder / CONFIG).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def is_baseline(folder: Path) -> bool:
    """Return whether a folder says that it holds a baseline."""
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def read_baseline(folder: Path) -> Stored:
    """Read a checkpoint folder that `is_baseline`.

    Raises:
        CheckpointError: when it is damaged or of another version.
    """
    content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if content.get("version") != VERSION:
        raise CheckpointError(f"{folder / CONFIG}: version {content.get('version')}, this program reads {VERSION}")
    try:
        tensors = load_file(folder / WEIGHTS)
        return Stored(content["kind"], content["settings"], content["info"], tensors)
    except (SafetensorError, OSError, KeyError) as error:
        raise CheckpointError(f"{folder}: not a whole checkpoint ({error})") from error
