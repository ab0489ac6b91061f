"""Plays a bag to the node over real topics and returns its report.

Three participants: the node and the bag player as child processes, and the client here, which
drives the node's lifecycle and waits for its report.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskdex_core.errors import MaskdexError, TextError, UsageError
from maskdex_ros.bag import BagSummary, summarise
from maskdex_ros.client import GraspClient
from maskdex_ros.environment import free_domain_id, ros_environment
from maskdex_ros.parameters import NodeParameters

EXIT_CODES = {"ok": 0, "rejected": 4, "error": 3}
LOADING = 120.0  # [s] for start and configuration of the node, on a slow disk
Say = Callable[[str], None]


class ReplayError(MaskdexError):
    """The node or the bag player did not do its part in time."""

    exit_code = 1


@dataclass(frozen=True)
class ReplayOptions:
    """What is replayed and how.

    Attributes:
        hand: target hand.
        checkpoint: folder of the grasp model, or None for the shipped one.
        seed: makes the plan repeatable, or None.
        text: task text instead of the bag's, or None.
        out: folder for the plan's files, or None.
        timeout: seconds from the first message to the report.
        rate: speed of the bag.
        node_command: starts the node; tests put their own here.
    """

    hand: str = NodeParameters.hand
    checkpoint: Path | None = None
    seed: int | None = None
    text: str | None = None
    out: Path | None = None
    timeout: float = 120.0
    rate: float = 1.0
    node_command: tuple[str, ...] = ("-m", "maskdex_ros.grasp_node")


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
        ReplayError: when the node or the player fails or takes too long.
    """
    summary = summarise(bag)
    if options.text is None and summary.text_topic is None:
        raise TextError(f"bag {str(bag)!r} has no topic 'task_text'; give a text with --text")
    say(f"bag: {summary.points_topic}, {summary.duration:.1f} s")
    if summary.base_from_camera is None:
        say("the bag has no transform to link_base: the camera's pose is derived from the table")
    with ExitStack() as stack:
        domain_id = free_domain_id()
        environment = {**ros_environment(domain_id), "PYTHONUNBUFFERED": "1"}
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        node = stack.enter_context(_child(_node_command(summary, options), environment, log))
        client = stack.enter_context(GraspClient(domain_id))
        guard = _Guard(node, log, "node")
        report = _drive(client, guard, bag, summary, options, environment, say, log.with_suffix(".player"))
    _keep(report, options.out)
    return report


def _drive(
    client: GraspClient,
    guard: _Guard,
    bag: Path,
    summary: BagSummary,
    options: ReplayOptions,
    environment: dict[str, str],
    say: Say,
    player_log: Path,
) -> dict[str, Any]:
    # The player starts first: it finds the node while the model loads, and waits for it to listen.
    with _child(_player_command(bag, summary, options), environment, player_log) as player:
        watch = _Guard(player, player_log, "bag player", may_end=True)
        if not _make_ready(client, guard, say):
            return client.report or {
                "status": "error",
                "reason": "the node could not be configured",
                "text": "",
            }
        if options.text is not None:
            client.send_text(options.text, 10.0, guard)
        client.wait_report(options.timeout, lambda: guard() or watch(), lambda stage: say(f"stage: {stage}"))
        player.terminate()  # it leaves while the node does
        for transition in ("deactivate", "cleanup", "shutdown"):
            client.change_state(transition, 30.0, guard)
    code = guard.wait(10.0)
    if code != 0:
        raise ReplayError(f"the node ended with exit code {code}: {guard.last_line()}")
    return client.report


def _make_ready(client: GraspClient, guard: _Guard, say: Say) -> bool:
    started = time.monotonic()
    say("node: loading the model")
    ready = client.change_state("configure", LOADING, guard) and client.change_state("activate", LOADING, guard)
    if ready:
        say(f"node: ready after {time.monotonic() - started:.1f} s")
    return ready


class _Guard:
    """Says why waiting is useless when a child has ended."""

    def __init__(self, child: subprocess.Popen[bytes], log: Path, name: str, may_end: bool = False) -> None:
        self._child, self._log, self._name, self._may_end = child, log, name, may_end

    def __call__(self) -> None:
        code = self._child.poll()
        if code is not None and not (self._may_end and code == 0):
            raise ReplayError(f"the {self._name} ended with exit code {code}: {self.last_line()}")

    def wait(self, timeout: float) -> int | None:
        """Return the exit code, or None when the child has not ended in `timeout` (s)."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def last_line(self) -> str:
        """Return the last line the child wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"


@contextmanager
def _child(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child process that writes to a log, and end it with the block."""
    with log.open("wb") as sink:
        child = subprocess.Popen(command, env=environment, stdout=sink, stderr=subprocess.STDOUT)
        try:
            yield child
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    for stop in (child.terminate, child.kill):
        if child.poll() is not None:
            return
        stop()
        try:
            child.wait(5.0)
        except subprocess.TimeoutExpired:
            continue


def _node_command(summary: BagSummary, options: ReplayOptions) -> list[str]:
    values: dict[str, Any] = {
        "hand": options.hand,
        "seed": -1 if options.seed is None else options.seed,
        "assume_home": True,
        "max_cloud_age": 0.0,
        # Shorter than our own patience, so that the node can say that no cloud came.
        "cloud_timeout": min(0.5 * options.timeout, 600.0),
    }
    if options.checkpoint is not None:
        values["checkpoint"] = str(options.checkpoint.resolve())
    if options.out is not None:
        values["output_dir"] = str(options.out.resolve())
    if summary.base_from_camera is None:
        values["assume_extrinsics"] = True
    else:
        from maskdex_ros.conversions import quaternion_from_rotation

        pose = summary.base_from_camera
        values["base_from_camera.translation"] = pose[:3, 3].tolist()
        values["base_from_camera.quaternion_xyzw"] = quaternion_from_rotation(pose[:3, :3]).tolist()
    command = [sys.executable, *options.node_command, "--ros-args"]
    for name, value in values.items():
        command += ["-p", f"{name}:={json.dumps(value)}"]
    return command


def _player_command(bag: Path, summary: BagSummary, options: ReplayOptions) -> list[str]:
    remap = {summary.points_topic: "points"}
    if options.text is None and summary.text_topic is not None:
        remap[summary.text_topic] = "task_text"
    command = [sys.executable, "-m", "maskdex_ros.bag_player", str(bag), "--rate", str(options.rate)]
    command += ["--topics", *remap, "--wait-for", *remap.values(), "--wait", str(LOADING)]
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
    parser = argparse.ArgumentParser(prog="maskdex replay", description="Run the ROS node on a bag, in real time.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder (MCAP or SQLite)")
    parser.add_argument("--out", type=Path, help="folder for report.json, trajectory.json and plan.png")
    parser.add_argument("--hand", default=defaults.hand, help="target hand")
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

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    os.environ.update(ros_environment())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that the children end too
    try:
        bag, options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        report = replay(bag, options, say)
    except MaskdexError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    for line in summary_lines(report):
        say(line)
    return EXIT_CODES.get(report["status"], 1)


if __name__ == "__main__":
    sys.exit(main())
