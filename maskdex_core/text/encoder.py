"""The interface of text encoders, the check every text passes, and loading by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from maskdex_core.errors import TextError, unknown_choice

TEXT_LIMIT = 1000
"""Characters a task text may have."""
CACHE_SIZE = 4096
CHOICES = ("sentence:all-MiniLM-L6-v2", "open_clip:ViT-B-32/<openai, none, or a weight file or folder>")


class TextEncoder(Protocol):
    """Turns task texts into unit vectors."""

    name: str
    dim: int

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return unit embeddings (T, dim) float32 of T texts.

        Raises:
            TextError: when a text is empty or too long.
        """
        ...


def check_text(text: str) -> str:
    """Return a text without surrounding white space.

    Raises:
        TextError: when it is empty, longer than `TEXT_LIMIT` characters, or no string.
    """
    if not isinstance(text, str):
        raise TextError(f"task text is a {type(text).__name__}, expected a string")
    if len(text) > TEXT_LIMIT:  # before anything is done with it
        raise TextError(f"task text has {len(text)} characters, the limit is {TEXT_LIMIT}")
    stripped = " ".join(text.split())
    if not stripped:
        raise TextError(f"task text is empty (0 of 1 to {TEXT_LIMIT} characters)")
    return stripped


class CachedEncoder:
    """A text encoder from a function; each distinct text is embedded once while it stays in the cache."""

    def __init__(self, name: str, dim: int, embed: Callable[[list[str]], Tensor]) -> None:
        """Wrap `embed`, which maps T checked texts to (T, dim)."""
        self.name, self.dim = name, dim
        self._embed = embed
        self._cache: OrderedDict[str, Tensor] = OrderedDict()

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return unit embeddings (T, dim) float32; see `TextEncoder`."""
        if isinstance(texts, str):
            texts = [texts]
        checked = [check_text(text) for text in texts]
        known = {text: self._cache[text] for text in checked if text in self._cache}
        missing = [text for text in dict.fromkeys(checked) if text not in known]
        if missing:
            fresh = torch.nn.functional.normalize(self._embed(missing).detach().cpu().float(), dim=-1)
            known.update(zip(missing, fresh, strict=True))
        for text in checked:
            self._cache[text] = known[text]
            self._cache.move_to_end(text)
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return torch.stack([known[text] for text in checked]) if checked else torch.zeros(0, self.dim)


@lru_cache(maxsize=4)
def load_encoder(name: str) -> TextEncoder:
    """Load a text encoder by name; the same name gives the same object.

    Args:
        name: "sentence:all-MiniLM-L6-v2", or "open_clip:ViT-B-32/W" where W is a tag open_clip knows,
            a local weight file or folder, or "none" for random weights.

    Raises:
        TextError: when the name is unknown or its weights are not there.
    """
    family, _, rest = name.partition(":")
    if family == "sentence" and rest == "all-MiniLM-L6-v2":
        from maskdex_core.text.sentence import load_sentence

        return load_sentence(name)
    if family == "open_clip" and rest.startswith("ViT-B-32/") and rest != "ViT-B-32/":
        from maskdex_core.text.clip import load_clip

        return load_clip(name, rest.removeprefix("ViT-B-32/"))
    raise TextError(unknown_choice("text encoder", name, CHOICES))
