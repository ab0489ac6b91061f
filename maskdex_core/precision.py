"""Where products in half precision are faster than in single precision."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def processor_multiplies_bfloat16() -> bool:
    """Return whether the processor multiplies in bfloat16; elsewhere it would be emulated, and slower."""
    return bool(getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16"))


def fast_products(device: torch.device, wanted: bool = True) -> AbstractContextManager[object]:
    """Return a context in which networks multiply in bfloat16 where the device is faster so.

    Args:
        device: of the network. wanted: False for work so small that converting the weights costs more.
    """
    able = processor_multiplies_bfloat16() if device.type == "cpu" else device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=able and wanted)
