"""The text tower of an open_clip ViT-B-32, with local, named or no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskdex_core.errors import TextError
from maskdex_core.text.encoder import CachedEncoder

ARCHITECTURE = "ViT-B-32"
DIM = 512
BATCH = 64


def load_clip(name: str, weights: str) -> CachedEncoder:
    """Load the text tower on the CPU.

    Args:
        name: the encoder's full name.
        weights: a local weight file or folder (.safetensors), a tag open_clip knows, or "none" for
            random weights, which serve architecture and speed tests only.

    Raises:
        TextError: when open_clip or the weights are not there.
    """
    try:
        import open_clip
    except ImportError as error:
        raise TextError("CLIP needs open-clip-torch; run: pip install open-clip-torch") from error
    source = None if weights == "none" else _source(weights, open_clip)
    try:
        # The tag "openai" was trained with QuickGELU; open_clip chooses it by the tag.
        model: Any = open_clip.create_model(ARCHITECTURE, pretrained=source, weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise TextError(f"text encoder {name!r}: weights could not be loaded ({error})") from error
    tokenizer = open_clip.get_tokenizer(ARCHITECTURE)
    model.visual = torch.nn.Identity()  # only the text tower is wanted
    model.eval()

    def embed(texts: list[str]) -> Tensor:
        with torch.no_grad():
            return torch.cat([model.encode_text(tokenizer(texts[i : i + BATCH])) for i in range(0, len(texts), BATCH)])

    return CachedEncoder(name, DIM, embed)


def _source(weights: str, open_clip) -> str:  # type: ignore[no-untyped-def]
    """Return what open_clip loads: a safetensors file, or a tag it knows."""
    path = Path(weights)
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if not files:
            raise TextError(f"CLIP weight folder {weights!r} holds no .safetensors file")
        return str(files[0])
    if path.is_file():
        if path.suffix != ".safetensors":
            raise TextError(f"CLIP weight file {weights!r} is no .safetensors file")
        return str(path)
    tags = open_clip.list_pretrained_tags_by_model(ARCHITECTURE)
    if weights not in tags:
        raise TextError(f"CLIP weights {weights!r} are neither a local file nor a known tag: {', '.join(tags)}")
    return weights
