"""Stage by stage times of the network and of the whole path, on this machine.

Legend: K grasps in a batch, P object points.
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from maskdex_core.errors import UsageError
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.model import GraspModel
from maskdex_core.hands.model import HandModel
from maskdex_core.perception.cloud import Cloud
from maskdex_core.planner import Planner, PlannerConfig
from maskdex_core.precision import processor_multiplies_bfloat16
from maskdex_core.training.config import load_experiment

WARM_UP = 3
OBJECT_POINTS = 2048
PATH_STAGES = ("segment", "complete", "sample", "refine", "retarget", "motion", "total")


@dataclass(frozen=True)
class StageTime:
    """Times of one stage.

    Attributes:
        model: "shipped" or "paper". batch: grasps K; 0 where the stage does not depend on it.
        stage: name. median_ms, p95_ms: of `calls` calls after warm-up.
    """

    model: str
    batch: int
    stage: str
    median_ms: float
    p95_ms: float
    calls: int

    @staticmethod
    def of(model: str, batch: int, stage: str, milliseconds: Sequence[float]) -> StageTime:
        """Summarise the times of single calls."""
        times = np.asarray(milliseconds)
        median, p95 = np.percentile(times, (50, 95))
        return StageTime(model, batch, stage, round(float(median), 3), round(float(p95), 3), len(times))


def machine() -> dict[str, Any]:
    """Return what the times depend on: device, threads, versions."""
    return {
        "device": "cpu",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "dtype": "float32, large products bfloat16" if processor_multiplies_bfloat16() else "float32",
    }


def paper_model() -> GraspModel:
    """Return a model of the paper's sizes with random weights, also in its text encoder."""
    config = load_experiment("paper").model
    text = dataclasses.replace(config.transformer, text_encoder="open_clip:ViT-B-32/none")
    torch.manual_seed(0)
    return GraspModel(dataclasses.replace(config, transformer=text), HandLayout.of(HandModel.load("shadow")))


def time_text(name: str, model: GraspModel, calls: int) -> StageTime:
    """Time the text encoder on texts that it has not seen: its cache does not help."""
    encoder = model.text_encoder()
    numbers = iter(range(calls + WARM_UP))
    return StageTime.of(name, 0, "text", _times(lambda: encoder.encode([f"hold mug {next(numbers)}"]), calls))


@torch.no_grad()
def time_network(name: str, model: GraspModel, batch: int, calls: int) -> Iterator[StageTime]:
    """Time the stages between text embedding and raw grasps: object encoder, transformer steps, decode."""
    points = torch.nn.functional.normalize(torch.randn(OBJECT_POINTS, 3), dim=-1) * 0.04
    cloud = points[: model.config.transformer.object_points][None]
    text = torch.nn.functional.normalize(torch.randn(1, model.config.transformer.text_dim), dim=-1)
    yield StageTime.of(name, batch, "object encoder", _times(lambda: model.network.read(cloud[0], text[0]), calls))
    chains = model.tokenizer.chains
    codes = torch.randint(chains.codes, (batch, chains.positions))
    yield StageTime.of(name, batch, "decode", _times(lambda: model.tokenizer.decode(codes), calls))
    whole = _times(lambda: model.sample(points, text[0], batch), calls)
    yield StageTime.of(name, batch, "network total", whole)


def time_path(cloud: Cloud, text: str, batch: int, calls: int, config: PlannerConfig | None = None) -> list[StageTime]:
    """Time whole plans from one cloud, the text cached; motion ends at the first safe candidate."""
    planner = Planner(dataclasses.replace(config or PlannerConfig(), samples=batch))
    runs = [planner.plan(cloud, text, seed=seed).timings_ms for seed in range(calls + 1)][1:]
    return [StageTime.of("shipped", batch, stage, [run[stage] for run in runs]) for stage in PATH_STAGES]


def table(rows: Sequence[StageTime]) -> str:
    """Return the times as lines of text."""
    lines = [f"{'model':<9}{'batch':>6}  {'stage':<24}{'median ms':>11}{'p95 ms':>11}{'calls':>7}"]
    for row in rows:
        batch = str(row.batch) if row.batch else "-"
        times = f"{row.median_ms:>11.2f}{row.p95_ms:>11.2f}{row.calls:>7}"
        lines.append(f"{row.model:<9}{batch:>6}  {row.stage:<24}{times}")
    return "\n".join(lines)


def _times(call: Callable[[], object], calls: int) -> list[float]:
    """Return the ms of each call after warm-up."""
    if calls < 1:
        raise UsageError(f"number of calls {calls} is below 1")
    for _ in range(WARM_UP):
        call()
    times = []
    for _ in range(calls):
        begun = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - begun))
    return times


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
