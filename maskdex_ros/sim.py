"""From a sentence to an object in the air, over real topics: the node `maskdex` and a simulated robot cell.

Three participants: the grasp node and the cell as child processes, and the client here, which drives the node's
lifecycle, says the sentence, has the plan executed, and hears from the cell what became of the object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskdex_core.errors import UsageError
from maskdex_core.physics.lift_trial import LIFTED
from maskdex_ros.children import ChildError, Guard, child, end_with_children
from maskdex_ros.client import Check, ClientTimeout, GraspClient
from maskdex_ros.command import run_command, write_line
from maskdex_ros.display import check_display
from maskdex_ros.environment import free_domain_id, ros_environment
from maskdex_ros.parameters import NodeParameters

LOADING = 400.0  # s for both nodes to load, on a slow disk and a busy machine
PLANNING = 120.0  # s
RUNNING = 240.0  # s for the motion and its pictures, on a busy machine
MEETINGS = 5  # times that a text is said
EXIT_CODES = {"rejected": 4, "error": 3}
DROPPED = 4
Say = Callable[[str], None]


@dataclass(frozen=True)
class SimOptions:
    """What stands in the cell, and what is said.

    Attributes:
        object: a procedural family, `family_seed`, or the path of a mesh. text: the sentence.
        hand: target hand. out: folder for report, pictures and the plan's files, or None.
        seed: of plan and noise, or None for a new plan each time. checkpoint: grasp model; None for the shipped one.
        rate: speed of the simulated time. viewer: whether a MuJoCo window opens.
    """

    object: str
    text: str
    hand: str = NodeParameters.hand
    out: Path | None = None
    seed: int | None = None
    checkpoint: Path | None = None
    rate: float = 1.0
    viewer: bool = False


class SimClient(GraspClient):
    """Hears the simulated cell too."""

    def __init__(self, domain_id: int) -> None:
        """Join the domain."""
        super().__init__(domain_id)
        from std_msgs.msg import String

        from maskdex_ros.qos import profile

        self.cell: list[dict[str, Any]] = []
        self._node.create_subscription(
            String, "sim_robot/report", lambda message: self.cell.append(json.loads(message.data)),
            profile(10, latched=True),
        )  # fmt: skip

    def wait_cell(self, statuses: Sequence[str], timeout: float, check: Check) -> dict[str, Any]:
        """Return the cell's first report with one of these statuses.

        Raises:
            ClientTimeout: when none comes.
        """

        def found() -> list[dict[str, Any]]:
            return [report for report in self.cell if report["status"] in statuses]

        self._wait(lambda: bool(found()), timeout, f"the simulated robot ({' or '.join(statuses)})", check)
        return found()[0]


def simulate(options: SimOptions, say: Say = lambda line: None) -> dict[str, Any]:
    """Run one sentence on one object, and return the node's report with the cell's under `sim`.

    Raises:
        UsageError: when the viewer is wanted where there is no display.
        ChildError, ClientTimeout: when a participant fails or takes too long.
    """
    if options.viewer:
        check_display()
    with ExitStack() as stack:
        domain_id = free_domain_id()
        environment = {**ros_environment(domain_id), "PYTHONUNBUFFERED": "1"}
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cell = stack.enter_context(child(_cell_command(options), environment, logs / "cell"))
        node = stack.enter_context(child(_node_command(options), environment, logs / "node"))
        client = stack.enter_context(SimClient(domain_id))
        guards = Guard(cell, logs / "cell", "simulated robot"), Guard(node, logs / "node", "node")
        report = _drive(client, lambda: [guard() for guard in guards] and None, options, say)
    _keep(report, options.out)
    return report


def _drive(client: SimClient, check: Check, options: SimOptions, say: Say) -> dict[str, Any]:
    started = time.monotonic()
    say(f"sim: {options.object} on the table; loading the model")
    client.wait_cell(["ready"], LOADING, check)
    if not (
        client.change_state("configure", LOADING, check=check) and client.change_state("activate", LOADING, check=check)
    ):
        return client.report or {"status": "error", "reason": "the node could not be configured", "text": options.text}
    say(f"node: ready after {time.monotonic() - started:.1f} s")
    report = _ask(client, check, options, say)
    if report["status"] == "ok":
        say("sim: moving")
        sent, reason = client.trigger("execute", 30.0)
        if not sent:
            raise ClientTimeout(f"the plan was not executed: {reason}")
        outcome = client.wait_cell(["done", "refused"], RUNNING, check)
        if outcome["status"] == "refused":
            raise ChildError(f"the {outcome['controller']} controller refused the plan: {outcome['reason']}")
        report = {**report, "sim": {key: value for key, value in outcome.items() if key != "status"}}
    for transition in ("deactivate", "cleanup", "shutdown"):
        client.change_state(transition, 30.0, lambda: None)
    return report


def _ask(client: SimClient, check: Check, options: SimOptions, say: Say) -> dict[str, Any]:
    """Say the text and return the answer; again where the robot's topics and the node had not met yet."""
    for _ in range(MEETINGS):
        client.send_text(options.text, 10.0, check)
        report = client.wait_report(PLANNING, check, lambda stage: say(f"stage: {stage}"))
        if "no joint_states received" not in report.get("reason", ""):
            break
    return report


def _cell_command(options: SimOptions) -> list[str]:
    values: dict[str, Any] = {
        "object": options.object, "hand": options.hand, "seed": options.seed or 0, "rate": options.rate,
        "viewer": options.viewer,
    }  # fmt: skip
    if options.out is not None:
        values["output_dir"] = str(options.out.resolve())
    return _command("maskdex_ros.sim_robot_node", values)


def _node_command(options: SimOptions) -> list[str]:
    from maskdex_core.perception.camera import look_at
    from maskdex_core.physics.simulation import CAMERA_POSITION, CAMERA_TARGET
    from maskdex_ros.conversions import quaternion_from_rotation

    pose = look_at(CAMERA_POSITION, CAMERA_TARGET)
    values: dict[str, Any] = {
        "hand": options.hand,
        "seed": -1 if options.seed is None else options.seed,
        "cloud_timeout": 30.0,
        "joint_state_max_age": 5.0,  # the cell stands still while it renders a cloud
        "max_cloud_age": 20.0,
        "base_from_camera.translation": pose[:3, 3].tolist(),
        "base_from_camera.quaternion_xyzw": quaternion_from_rotation(pose[:3, :3]).tolist(),
    }
    if options.checkpoint is not None:
        values["checkpoint"] = str(options.checkpoint.resolve())
    if options.out is not None:
        values["output_dir"] = str(options.out.resolve())
    return _command("maskdex_ros.grasp_node", values)


def _command(module: str, values: dict[str, Any]) -> list[str]:
    command = [sys.executable, "-m", module, "--ros-args"]
    for name, value in values.items():
        command += ["-p", f"{name}:={json.dumps(value)}"]
    return command


def _keep(report: dict[str, Any], out: Path | None) -> None:
    """Write the report with what became of the object over the node's own."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def exit_code(report: dict[str, Any]) -> int:
    """Return 0 for lifted, 3 for an error, 4 without a safe plan or when the object was dropped."""
    if report["status"] != "ok":
        return EXIT_CODES.get(report["status"], 1)
    return 0 if report["sim"]["outcome"] == LIFTED else DROPPED


def summary_lines(report: dict[str, Any]) -> list[str]:
    """Return the short human report."""
    if report["status"] != "ok":
        kind = "no safe plan" if report["status"] == "rejected" else report["status"]
        return [f"{kind}: {report['reason']}"]
    sim, timings = report["sim"], report.get("timings_ms") or {}
    lifted = sim["outcome"] == LIFTED
    head = "lifted" if lifted else f"dropped ({sim['outcome']})"
    return [
        f"{head}: {sim['object']}, {100 * max(sim['height'], 0.0):.0f} cm up 2 s after the lift, "
        f"turned by {sim['turn']:.0f}°",
        f"  text        {report['text']}",
        f"  time        {sum(ms for stage, ms in timings.items() if stage != 'total'):.0f} ms to plan, "
        f"{sim['seconds']:.1f} s simulated",
    ]


def parse_arguments(arguments: Sequence[str]) -> SimOptions:
    """Read the command line.

    Raises:
        UsageError: when a value is out of range.
    """
    defaults = SimOptions("", "")
    parser = argparse.ArgumentParser(prog="maskdex sim", description="Plan and lift in simulation, over ROS 2.")
    parser.add_argument("--object", required=True, help="mug, can_012, ... or the path of a mesh")
    parser.add_argument("--text", required=True, help="what to do with it")
    parser.add_argument("--hand", default=defaults.hand, help="target hand")
    parser.add_argument("--out", type=Path, help="folder for report.json, pictures and the plan's files")
    parser.add_argument("--seed", type=int, help="makes the plan repeatable")
    parser.add_argument("--checkpoint", type=Path, help="folder of the grasp model; the shipped one by default")
    parser.add_argument("--rate", type=float, default=defaults.rate, help="speed of the simulated time")
    parser.add_argument("--viewer", action="store_true", help="open a MuJoCo window")
    given = parser.parse_args(arguments)
    if given.seed is not None and given.seed < 0:
        raise UsageError(f"--seed {given.seed} is not valid; expected 0 or more")
    if not given.rate > 0.0:
        raise UsageError(f"--rate {given.rate} is not valid; expected a number above 0")
    return SimOptions(**vars(given))


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate from the command line; return 0 lifted, 2 usage, 3 bad input, 4 no safe plan or dropped."""

    def work() -> int:
        report = simulate(parse_arguments(sys.argv[1:] if arguments is None else arguments), write_line)
        for line in summary_lines(report):
            write_line(line)
        return exit_code(report)

    end_with_children()
    return run_command(work)


if __name__ == "__main__":
    sys.exit(main())
