"""Several processes that train one model: torchrun's ranks and what they tell each other.

    torchrun --nproc-per-node 2 --no-python maskdex train tokenizer --data DIR --out DIR

starts the same command in each of two processes; several machines add `--nnodes` and `--rdzv-endpoint`. Every
process draws the same global batch and works on its own rows of it. In a lone process all functions here
do nothing, so that one process needs no other code. The environment tells who is who (RANK, WORLD_SIZE, LOCAL_RANK,
MASTER_ADDR, MASTER_PORT); torchrun sets it.
"""

from __future__ import annotations

import os
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from maskdex_core.errors import ConfigError

T = TypeVar("T")


def join(device: str) -> None:
    """Join the processes that torchrun has started; nothing happens in a lone process, or the second time.

    They stay together until they end: a group that is left cannot be joined again.

    Args:
        device: "cpu", or "cuda", which then means the GPU of this process's place on its machine.

    Raises:
        ConfigError: when the device is a particular GPU, or a process has no GPU of its own.
    """
    lone = int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ
    if lone or not dist.is_available() or _joined():
        return
    if device == "cpu":
        dist.init_process_group("gloo")
    else:
        _take_gpu(device)
        dist.init_process_group("cpu:gloo,cuda:nccl")  # small messages stay on the CPU


def rank() -> int:
    """Return the place of this process, 0 for the first or a lone one."""
    return dist.get_rank() if _joined() else 0


def world() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if _joined() else 1


def is_first() -> bool:
    """Return whether this process writes files and speaks for all."""
    return rank() == 0


def own_rows(total: int) -> slice:
    """Return which rows of a global batch belong to this process.

    Raises:
        ConfigError: when the rows cannot be shared evenly.
    """
    if total % world():
        raise ConfigError(f"batch {total} cannot be shared evenly by {world()} processes; choose a multiple of these")
    share = total // world()
    return slice(rank() * share, (rank() + 1) * share)


def summed(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes."""
    if _joined():
        value = value.clone()
        dist.all_reduce(value)
    return value


def gathered(value: Tensor, dim: int = 0) -> Tensor:
    """Return the tensors of all processes, of one shape, joined along `dim` in the order of the global batch."""
    if not _joined():
        return value
    value = value.contiguous()
    parts = [torch.empty_like(value) for _ in range(world())]
    dist.all_gather(parts, value)
    return torch.cat(parts, dim)


def averaged(numbers: dict[str, float]) -> dict[str, float]:
    """Return the mean over processes of numbers that all of them have."""
    if not _joined():
        return numbers
    mean = summed(torch.tensor(list(numbers.values()), dtype=torch.float64)) / world()
    return dict(zip(numbers, mean.tolist(), strict=True))


def from_all(value: T) -> list[T]:
    """Return what each process has, in order."""
    if not _joined():
        return [value]
    values: list[T] = [value] * world()
    dist.all_gather_object(values, value)
    return values


def from_first(value: T) -> T:
    """Return what the first process has; the others wait for it."""
    if not _joined():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def _take_gpu(device: str) -> None:
    if device != "cuda":
        raise ConfigError(f"device {device!r} cannot be shared by several processes; expected cpu or cuda")
    place, known = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if place >= known:
        raise ConfigError(f"process {place} of this machine has no GPU of its own: there are {known}")
    torch.cuda.set_device(place)
