"""Load for minutes on end: full-size clouds at 30 Hz, commands and faults of every kind, the node watched from outside.

Three processes besides this one's client: the node, a camera, nothing else. What is reported: growth of the node's
memory, the age of the clouds that plans were made on, commands without an answer, and how fast services answer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskdex_core.errors import UsageError
from maskdex_core.resources import resource_path
from maskdex_ros.bag import BagSummary, summarise
from maskdex_ros.children import ChildError, Guard, child, end_with_children
from maskdex_ros.client import GraspClient
from maskdex_ros.command import run_command, write_line
from maskdex_ros.environment import free_domain_id, ros_environment
from maskdex_ros.soak_load import Load, Seen

BAG = Path("data") / "demo_scene" / "bag"
LOADING = 300.0  # [s]
LEAVING = 60.0  # [s] that the node gets to end after SIGINT
STALL = 2.0  # [s] without clouds after which the node may not plan on the last one
WARM_UP = 0.2  # share of the time in which memory may still settle: allocators, caches, the first plans
AGE_LIMIT = 0.150  # [s]
GROWTH_LIMIT = 20.0  # [MiB] between the first and the last third after warm-up


@dataclass(frozen=True)
class SoakOptions:
    """How long and how hard.

    Attributes:
        minutes: of load after the node is active. rate: clouds in a second.
        patience: s that a command may take until it counts as lost.
        bag: whose cloud the camera shows. node_command: starts the node; tests put their own here.
    """

    minutes: float = 10.0
    rate: float = 30.0
    patience: float = 180.0
    bag: Path = field(default_factory=lambda: resource_path(BAG))
    node_command: tuple[str, ...] = ("-m", "maskdex_ros.grasp_node")


def soak(options: SoakOptions, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Run the load and return what was seen, with a verdict for each promise.

    Raises:
        ChildError: when node or camera ends. ClientTimeout: when the node does not become active.
    """
    summary = summarise(options.bag)
    environment = {**ros_environment(domain := free_domain_id()), "PYTHONUNBUFFERED": "1"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        node = stack.enter_context(child(_node_command(summary, options), environment, folder / "node"))
        picture = [sys.executable, "-m", "maskdex_ros.soak_camera", str(options.bag), f"--rate={options.rate}"]
        camera = stack.enter_context(child(picture, environment, folder / "camera"))
        client = stack.enter_context(GraspClient(domain))
        guards = Guard(node, folder / "node", "node"), Guard(camera, folder / "camera", "camera")

        def check() -> None:
            for guard in guards:
                guard()

        for transition in ("configure", "activate"):
            if not client.change_state(transition, LOADING, check):
                raise ChildError(f"the node refused to {transition}: {client.report.get('reason', 'no reason given')}")
        say("active")
        load = Load(client, node.pid, camera.pid, check, options.patience)
        load.run(60.0 * options.minutes, say)
        node.send_signal(signal.SIGINT)
        code = guards[0].wait(LEAVING)
        found = result(load.seen, options, code)
        return found if code == 0 else {**found, "last_words": guards[0].last_line()}


def _node_command(summary: BagSummary, options: SoakOptions) -> list[str]:
    from maskdex_ros.conversions import quaternion_from_rotation

    values: dict[str, Any] = {"assume_home": True, "threads": 1, "seed": 1, "max_cloud_age": STALL}
    if summary.base_from_camera is not None:
        pose = summary.base_from_camera
        values["base_from_camera.translation"] = pose[:3, 3].tolist()
        values["base_from_camera.quaternion_xyzw"] = quaternion_from_rotation(pose[:3, :3]).tolist()
    command = [sys.executable, *options.node_command, "--ros-args"]
    for name, value in values.items():
        command += ["-p", f"{name}:={json.dumps(value)}"]
    return command


def result(seen: Seen, options: SoakOptions, exit_code: int | None) -> dict[str, Any]:
    """Return figures and verdicts as plain values."""
    growth, slope = memory_growth(seen.memory)
    first, last = (seen.clouds[0], seen.clouds[-1]) if seen.clouds else ((0.0, 0), (1.0, 0))
    rate = (last[1] - first[1]) / max(last[0] - first[0], 1e-9)
    worst = max(seen.ages, default=float("nan"))
    return {
        "minutes": options.minutes,
        "load_average": list(os.getloadavg()),
        "cores": os.cpu_count(),
        "clouds": {"asked_hz": options.rate, "received_hz": round(rate, 2), "received": last[1]},
        "commands": dict(seen.asked),
        "outcomes": dict(seen.outcomes),
        "lost": seen.lost,
        "broken": seen.broken,
        "cloud_age_s": _spread(seen.ages),
        "service_answer_s": _spread(seen.answers),
        "memory_mib": {"first": round(seen.memory[0][1], 1), "last": round(seen.memory[-1][1], 1),
                       "growth": round(growth, 1), "slope_per_minute": round(slope, 2)},
        "exit_code": exit_code,
        "kept": {"no command lost": not seen.lost, "every fault got over": not seen.broken,
                 "clouds used at most 150 ms old": worst <= AGE_LIMIT,
                 "memory does not grow": growth <= GROWTH_LIMIT, "SIGINT ends it with 0": exit_code == 0},
    }  # fmt: skip


def memory_growth(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the growth (MiB) between the first and last third after warm-up, and the fitted slope (MiB a minute)."""
    times, sizes = np.array(samples, np.float64).reshape(-1, 2).T
    settled = times >= times[0] + WARM_UP * (times[-1] - times[0])
    times, sizes = times[settled], sizes[settled]
    third = max(len(sizes) // 3, 1)
    slope = 60.0 * float(np.polyfit(times, sizes, 1)[0]) if len(times) > 2 else 0.0
    return float(np.median(sizes[-third:]) - np.median(sizes[:third])), slope


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"n": 0}
    median, p95 = np.percentile(values, [50, 95])
    return {
        "n": len(values),
        "median": round(float(median), 4),
        "p95": round(float(p95), 4),
        "max": round(max(values), 4),
    }


def parse_arguments(arguments: Sequence[str]) -> tuple[SoakOptions, Path | None]:
    """Read the command line.

    Raises:
        UsageError: when a value is out of range.
    """
    defaults = SoakOptions()
    parser = argparse.ArgumentParser(prog="maskdex soak", description="Put the node under load and watch it.")
    parser.add_argument("--minutes", type=float, default=defaults.minutes, help="of load")
    parser.add_argument("--rate", type=float, default=defaults.rate, help="clouds in a second")
    parser.add_argument("--out", type=Path, help="file for the figures, JSON")
    given = parser.parse_args(arguments)
    for name in ("minutes", "rate"):
        if not getattr(given, name) > 0.0:
            raise UsageError(f"--{name} {getattr(given, name)} is not valid; expected a number above 0")
    return SoakOptions(minutes=given.minutes, rate=given.rate), given.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak from the command line; return 0 when every promise was kept, else 1."""

    def work() -> int:
        options, out = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        found = soak(options, lambda line: write_line(line, sys.stderr))
        text = json.dumps(found, indent=1)
        write_line(text)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text + "\n", encoding="utf-8")
        return 0 if all(found["kept"].values()) else 1

    end_with_children()
    return run_command(work)


if __name__ == "__main__":
    sys.exit(main())
