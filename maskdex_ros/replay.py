"""Plays a bag to the node over real topics and returns its report.

Three participants: the node and the bag player as child processes, and the client here, which
drives the node's lifecycle and waits for its report.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskdex_core.errors import TextError, UsageError
from maskdex_ros.bag import BagSummary, summarise
from maskdex_ros.children import ChildError, Guard, child, end_with_children
from maskdex_ros.client import GraspClient
from maskdex_ros.command import run_command, write_line
from maskdex_ros.environment import free_domain_id, ros_environment

EXIT_CODES = {"ok": 0, "rejected": 4, "error": 3}
# Parameters of a recording that its plan depends on; others, such as paths and what moves, are not taken over.
REPEATED = (
    "hand", "arm", "samples", "speed_scale", "object_near", "assume_extrinsics",
    "base_from_camera.translation", "base_from_camera.quaternion_xyzw",
)  # fmt: skip
LOADING = 300.0  # [s] for start and configuration of the node, on a slow disk or a busy machine
Say = Callable[[str], None]


@dataclass(frozen=True)
class ReplayOptions:
    """What is replayed and how.

    Attributes:
        hand: target hand; None takes the recording's, or the default.
        checkpoint: folder of the grasp model, or None for the shipped one.
        seed: makes the plan repeatable; None takes the recording's, or draws one.
        text: task text instead of the bag's, or None.
        out: folder for the plan's files, or None.
        timeout: seconds from the first message to the report.
        rate: speed of the bag.
        node_command: starts the node; tests put their own here.
        domain_id: ROS_DOMAIN_ID of everyone; None takes a free one.
    """

    hand: str | None = None
    checkpoint: Path | None = None
    seed: int | None = None
    text: str | None = None
    out: Path | None = None
    timeout: float = 120.0
    rate: float = 1.0
    node_command: tuple[str, ...] = ("-m", "maskdex_ros.grasp_node")
    domain_id: int | None = None


def replay(bag: Path, options: ReplayOptions, say: Say = lambda line: None) -> dict[str, Any]:
    """Play a bag to the node and return the node's report.

    This process must be able to import rclpy; see `maskdex_ros.environment`.

    Args:
        bag: rosbag2 folder.
        options: see `ReplayOptions`.
        say: hears one line for each step.

    Raises:
        CloudError: when the bag cannot be read or holds no clouds.
        TextError: when there is no task text.
        ChildError, ClientTimeout: when the node or the player fails or takes too long.
    """
    summary = summarise(bag)
    if options.text is None and summary.text_topic is None and summary.recorded is not None:
        options = dataclasses.replace(options, text=summary.recorded.text)
    if options.text is None and summary.text_topic is None:
        raise TextError(f"bag {str(bag)!r} has no topic 'task_text'; give a text with --text")
    say(f"bag: {summary.points_topic}, {summary.duration:.1f} s")
    if summary.base_from_camera is None:
        found = "only /tf can" if summary.transforms_topics else "nothing does"
        say(f"no static transform in the bag leads to link_base ({found}); failing that, the table gives the pose")
    with ExitStack() as stack:
        domain_id = free_domain_id() if options.domain_id is None else options.domain_id
        environment = {**ros_environment(domain_id), "PYTHONUNBUFFERED": "1"}
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        node = stack.enter_context(child(_node_command(summary, options), environment, log))
        client = stack.enter_context(GraspClient(domain_id))
        guard = Guard(node, log, "node")
        report = _drive(client, guard, bag, summary, options, environment, say, log.with_suffix(".player"))
    _keep(report, options.out)
    return report


def _drive(
    client: GraspClient,
    guard: Guard,
    bag: Path,
    summary: BagSummary,
    options: ReplayOptions,
    environment: dict[str, str],
    say: Say,
    player_log: Path,
) -> dict[str, Any]:
    # The player starts first: it finds the node while the model loads, and waits for it to listen.
    with child(_player_command(bag, summary, options), environment, player_log) as player:
        watch = Guard(player, player_log, "bag player")

        def check() -> None:
            guard()
            if player.poll():  # it may end, but not badly
                watch()

        if not _make_ready(client, guard, say):
            return client.report or {
                "status": "error",
                "reason": "the node could not be configured",
                "text": "",
            }
        client.wait_report(options.timeout, check, lambda stage: say(f"stage: {stage}"))
        player.terminate()  # it leaves while the node does
        for transition in ("deactivate", "cleanup", "shutdown"):
            client.change_state(transition, 30.0, guard)
    code = guard.wait(10.0)
    if code != 0:
        raise ChildError(f"the node ended with exit code {code}: {guard.last_line()}")
    return client.report


def _make_ready(client: GraspClient, guard: Guard, say: Say) -> bool:
    started = time.monotonic()
    say("node: loading the model")
    ready = client.change_state("configure", LOADING, guard) and client.change_state("activate", LOADING, guard)
    if ready:
        say(f"node: ready after {time.monotonic() - started:.1f} s")
    return ready


def _node_command(summary: BagSummary, options: ReplayOptions) -> list[str]:
    command = [sys.executable, *options.node_command, "--ros-args", "-p", "use_sim_time:=true"]
    for name, value in _node_parameters(summary, options).items():
        command += ["-p", f"{name}:={json.dumps(value)}"]
    return command


def _node_parameters(summary: BagSummary, options: ReplayOptions) -> dict[str, Any]:
    """Return what the node is given: the recording's parameters, then the bag's pose, then the options."""
    recorded = summary.recorded
    values: dict[str, Any] = (
        {} if recorded is None else {k: recorded.parameters[k] for k in REPEATED if k in recorded.parameters}
    )
    seed = options.seed if options.seed is not None or recorded is None else recorded.seed
    values |= {
        "seed": -1 if seed is None else seed,
        "assume_home": True,
        "max_cloud_age": 0.0,
        # The bag's time stands still while the node is waited for, but joints grow old by the clock on the wall.
        "joint_state_max_age": 60.0,
        # Shorter than our own patience, so that the node can say that no cloud came.
        "cloud_timeout": min(0.5 * options.timeout, 600.0),
    }
    given = {"hand": options.hand, "checkpoint": options.checkpoint, "output_dir": options.out}
    values |= {
        name: value if isinstance(value, str) else str(value.resolve()) for name, value in given.items() if value
    }
    pose = summary.base_from_camera
    if pose is not None:
        from maskdex_ros.conversions import quaternion_from_rotation

        values["base_from_camera.translation"] = pose[:3, 3].tolist()
        values["base_from_camera.quaternion_xyzw"] = quaternion_from_rotation(pose[:3, :3]).tolist()
    elif "base_from_camera.translation" not in values:
        values["assume_extrinsics"] = True
    return values


def _player_command(bag: Path, summary: BagSummary, options: ReplayOptions) -> list[str]:
    remap = {summary.points_topic: "points", **dict.fromkeys(summary.joints_topics, "joint_states")}
    if options.text is None and summary.text_topic is not None:
        remap[summary.text_topic] = "task_text"
    command = [sys.executable, "-m", "maskdex_ros.bag_player", str(bag), "--rate", str(options.rate)]
    names = sorted({*remap.values(), "task_text"})
    moving = summary.transforms_topics if summary.base_from_camera is None else ()
    command += ["--topics", *remap, *moving, "--wait-for", *names, "--wait", str(LOADING)]
    command += ["--clock", "--follow", "maskdex"]
    if options.text is not None:
        command.append(f"--say={options.text}")
    if summary.recorded is not None and summary.recorded.cloud_stamp is not None:
        command += ["--cloud-stamp", str(summary.recorded.cloud_stamp)]
    for old, new in remap.items():
        command += ["--remap", old, new]
    return command


def _keep(report: dict[str, Any], out: Path | None) -> None:
    """Write the report where the node, which had no plan to save, left none."""
    if out is not None and report["status"] == "error":
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def summary_lines(report: dict[str, Any]) -> list[str]:
    """Return the short human report of a replay."""
    lines = [f"{report['status']}: {report['reason']}".removesuffix(": ")]
    if report.get("text"):
        lines.append(f"  text        {report['text']}")
    found = report.get("object") or {}
    if found:
        size = " x ".join(f"{100 * side:.0f}" for side in found["extent"])
        lines.append(f"  object      {found['points']} points, {size} cm")
    candidates = report.get("candidates") or []
    if candidates:
        verdicts = Counter(candidate["verdict"] for candidate in candidates)
        lines.append("  candidates  " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    trajectory = report.get("trajectory") or {}
    if trajectory:
        lines.append(f"  trajectory  {trajectory['arm']['times'][-1]:.1f} s, {len(trajectory['arm']['times'])} points")
    timings = report.get("timings_ms") or {}
    if timings:
        lines.append("  time        " + ", ".join(f"{stage} {value:.0f} ms" for stage, value in timings.items()))
    return lines


def parse_arguments(arguments: Sequence[str]) -> tuple[Path, ReplayOptions]:
    """Read the command line.

    Raises:
        UsageError: when a value is out of range.
    """
    defaults = ReplayOptions()
    parser = argparse.ArgumentParser(prog="maskdex replay", description="Run the ROS node on a bag.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder (MCAP or SQLite)")
    parser.add_argument("--out", type=Path, help="folder for report.json, trajectory.json and plan.png")
    parser.add_argument("--hand", default=defaults.hand, help="target hand; the recording's, or freedom_v2")
    parser.add_argument("--checkpoint", type=Path, help="folder of the grasp model; the shipped one by default")
    parser.add_argument("--seed", type=int, help="makes the plan repeatable")
    parser.add_argument("--text", help="task text instead of the bag's")
    parser.add_argument("--rate", type=float, default=defaults.rate, help="speed of the bag")
    parser.add_argument("--timeout", type=float, default=defaults.timeout, help="seconds to wait for the report")
    given = parser.parse_args(arguments)
    if given.seed is not None and given.seed < 0:
        raise UsageError(f"--seed {given.seed} is not valid; expected 0 or more")
    for name in ("rate", "timeout"):
        if not getattr(given, name) > 0.0:
            raise UsageError(f"--{name} {getattr(given, name)} is not valid; expected a number above 0")
    values = vars(given)
    return values.pop("bag"), ReplayOptions(**values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a bag from the command line; return 0 done, 2 usage, 3 bad input, 4 no safe plan."""

    def work() -> int:
        bag, options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        report = replay(bag, options, write_line)
        for line in summary_lines(report):
            write_line(line)
        return EXIT_CODES.get(report["status"], 1)

    end_with_children()
    return run_command(work)


if __name__ == "__main__":
    sys.exit(main())
