"""The state of a training run as one safetensors file: model, optimiser, random generators, step.

The file is written beside its name and moved over it, so that a stop at any moment leaves a whole one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from maskdex_core import distributed
from maskdex_core.errors import CheckpointError

STATE_FORMAT = "maskdex-training-state"
STATE_VERSION = 1
LAST, BEST = "state.safetensors", "best.safetensors"


def save_state(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    facts: dict[str, Any],
) -> None:
    """Write everything the next step depends on; all processes call it and the first one writes.

    Args:
        path: file to write.
        module: its parameters and buffers.
        optimizer: its moments, by parameter index.
        generator: CPU generator of the draws. The global generators (dropout) of each process are saved too.
        facts: step, minutes and whatever else JSON can carry.
    """
    global_states = distributed.from_all(_global_random_state())
    if not distributed.is_first():
        return
    tensors = {f"module/{name}": value for name, value in module.state_dict().items()}
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in entry.items()}
    tensors["random/draws"] = generator.get_state()
    for process, states in enumerate(global_states):
        tensors |= {_random_key(name, process): value for name, value in states.items()}
    _write(path, tensors, facts)


def save_module(path: Path, module: nn.Module, facts: dict[str, Any]) -> None:
    """Write a module alone, for `module_state` to read."""
    _write(path, {f"module/{name}": value for name, value in module.state_dict().items()}, facts)


def _write(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    header = {"format": STATE_FORMAT, "version": STATE_VERSION, **facts}
    beside = path.with_suffix(".partial")
    # Tensors are cloned because safetensors refuses those that share memory.
    save_file(
        {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()},
        beside,
        metadata={"header": json.dumps(header)},
    )
    os.replace(beside, path)


def _global_random_state() -> dict[str, Tensor]:
    states = {"global": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _random_key(name: str, process: int) -> str:
    return f"random/{name}/{process}" if process else f"random/{name}"


def load_state(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> dict[str, Any]:
    """Restore what `save_state` wrote and return its facts.

    Raises:
        CheckpointError: when the file is missing, corrupt, of another version, or of another model.
    """
    header, tensors = read_state(path)
    try:
        module.load_state_dict(_under(tensors, "module/"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimizer/").items():
            index, _, key = name.partition("/")
            state.setdefault(int(index), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: training state of another model ({str(error)[:200]})") from error
    generator.set_state(tensors["random/draws"])
    _restore_global_random_state(tensors, generator.initial_seed() + int(header.get("step", 0)))
    return header


def _restore_global_random_state(tensors: dict[str, Tensor], seed: int) -> None:
    """Take up this process's own dropout; a process that the saved run did not have starts one from a seed."""
    process = distributed.rank()
    own = tensors.get(_random_key("global", process))
    if own is None:
        torch.manual_seed(seed + process)
        return
    torch.set_rng_state(own)
    cuda = tensors.get(_random_key("cuda", process))
    if torch.cuda.is_available() and cuda is not None:
        torch.cuda.set_rng_state(cuda)


def read_state(path: Path, prefix: str = "") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the facts and tensors of a training state without applying it; tensors whose name has the prefix.

    Raises:
        CheckpointError: when the file is missing, corrupt, or of another version.
    """
    if not path.is_file():
        raise CheckpointError(f"training state {str(path)!r} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("header", "{}"))
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable training state") from error
    if header.get("format") != STATE_FORMAT or header.get("version") != STATE_VERSION:
        raise CheckpointError(
            f"{path}: training state version {header.get('version')}, this program reads {STATE_VERSION}"
        )
    return header, tensors


def read_header(path: Path) -> dict[str, Any]:
    """Return the facts of a training state alone.

    Raises:
        CheckpointError: as `read_state`.
    """
    return read_state(path, "nothing/")[0]


def module_state(path: Path) -> dict[str, Tensor]:
    """Return the module's part of a training state file.

    Raises:
        CheckpointError: as `read_state`.
    """
    return _under(read_state(path, "module/")[1], "module/")


def kept_state(folder: Path) -> Path:
    """Return the file of the state that a finished stage is known by: the best evaluated, else the last."""
    best = folder / BEST
    return best if best.is_file() else folder / LAST


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
