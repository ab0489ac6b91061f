"""The replay: bag player, node and client as three participants, and its exit codes."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from beside import SCENES

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_bags import START, write_bag
from ros_support import CHECKOUT, FAKE_NODE, process

from maskdex_core.errors import TextError, UsageError
from maskdex_ros.children import ChildError
from maskdex_ros.environment import free_domain_id, ros_environment
from maskdex_ros.replay import ReplayOptions, parse_arguments, replay, summary_lines

FAKE = (str(FAKE_NODE),)


@pytest.mark.parametrize(
    ("text", "status"), [("pick up the mug", "ok"), ("reject this", "rejected"), ("crash", "error")]
)
def test_replay_returns_and_keeps_the_report(tmp_path: Path, text: str, status: str) -> None:
    lines: list[str] = []
    bag = write_bag(tmp_path / "bag", text=text, text_first=status == "ok")
    options = ReplayOptions(out=tmp_path / "out", node_command=FAKE, timeout=20.0)
    report = replay(bag, options, lines.append)
    assert (report["status"], report["text"]) == (status, text)
    report.pop("cloud", None)  # how old the cloud was is the node's to say, not the plan's
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert any(line.startswith("stage: ") for line in lines)


def test_a_text_on_the_command_line_replaces_the_one_in_the_bag(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", transform=False)
    options = ReplayOptions(text="hold the cup", node_command=FAKE, timeout=20.0)
    assert replay(bag, options)["text"] == "hold the cup"


def test_a_moving_camera_has_the_pose_of_the_clouds_time(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", transform=False, moving=400)
    report = replay(bag, ReplayOptions(node_command=FAKE, timeout=60.0))
    # The cloud is 0.1 s into the bag, when the camera is 5 cm above where it set out; at the bag's end it is 20 cm.
    assert report["camera_height"] == pytest.approx(1.05, abs=0.01)


def test_the_same_bag_gives_the_same_plan_whatever_its_storage_and_pace(tmp_path: Path) -> None:
    """The fake planner's plan depends on the very points and the seed; every cloud of the bag is another."""
    drawn = set()
    for storage, rate in (("mcap", 1.0), ("sqlite3", 20.0)):
        bag = write_bag(tmp_path / storage, storage=storage, clouds=6)
        report = replay(bag, ReplayOptions(node_command=FAKE, timeout=60.0, seed=3, rate=rate))
        assert report["cloud"]["stamp_ns"] == START + 100_000_000  # the last one before the text
        drawn.add(report["drawn"])
    assert len(drawn) == 1


def test_a_recording_of_a_replay_gives_the_same_plan_again(tmp_path: Path) -> None:
    domain_id = free_domain_id()
    record = [sys.executable, "-m", "maskdex_ros.record", "--out", str(tmp_path / "made" / "recording")]
    bag = write_bag(tmp_path / "bag", clouds=6)
    with process(record, ros_environment(domain_id)) as recorder:
        assert recorder.stdout is not None
        assert "recording 'maskdex'" in recorder.stdout.readline()
        options = ReplayOptions(node_command=FAKE, timeout=60.0, domain_id=domain_id)  # a seed that nobody gave
        first = replay(bag, dataclasses.replace(options, text="hold the cup"))
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(20) == 0
        log = recorder.stdout.read()
    assert "/maskdex/report" in log
    again = replay(tmp_path / "made" / "recording", ReplayOptions(node_command=FAKE, timeout=60.0))
    for key in ("drawn", "text", "seed"):
        assert again[key] == first[key], key
    assert again["cloud"]["stamp_ns"] == first["cloud"]["stamp_ns"]


def test_real_captures_reach_the_planner_over_real_topics() -> None:
    bag = SCENES / "blue_mug" / "bag"
    if not bag.is_dir():
        pytest.skip("real captures are not beside the checkout")
    report = replay(bag, ReplayOptions(node_command=FAKE, timeout=20.0))
    assert (report["status"], report["text"]) == ("ok", "drink from the mug")


def test_a_node_that_cannot_load_is_reported_not_waited_for(tmp_path: Path) -> None:
    options = ReplayOptions(hand="leep", node_command=FAKE)
    report = replay(write_bag(tmp_path / "bag"), options)
    assert report["status"] == "error"
    assert "hand 'leep' is unknown" in report["reason"]


def test_a_node_that_ends_early_and_one_that_is_slow_are_named(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", text="slow work")
    with pytest.raises(ChildError, match="the node ended with exit code 2"):
        replay(bag, ReplayOptions(node_command=("-c", "import sys; sys.exit(2)")))
    with pytest.raises(Exception, match="waited 1 s for a report"):
        replay(bag, ReplayOptions(node_command=FAKE, timeout=1.0))


def test_a_bag_without_text_needs_one(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="--text"):
        replay(write_bag(tmp_path / "bag", text=None), ReplayOptions(node_command=FAKE))


def test_command_line_gives_one_line_and_the_exit_code_for_bad_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maskdex_ros.replay", str(tmp_path / "missing")]
    done = subprocess.run(
        command, env=ros_environment(), cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 3
    assert done.stderr.strip().startswith("error: bag ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_arguments_are_checked() -> None:
    bag, options = parse_arguments(["bag", "--seed", "7", "--out", "x", "--hand", "leap"])
    assert (bag, options.seed, options.out, options.hand) == (Path("bag"), 7, Path("x"), "leap")
    for wrong in (["bag", "--seed", "-2"], ["bag", "--rate", "0"], ["bag", "--timeout", "-1"]):
        with pytest.raises(UsageError, match="is not valid"):
            parse_arguments(wrong)


def test_summary_lines_are_short_and_hold_the_numbers() -> None:
    report = {
        "status": "ok",
        "reason": "3 of 16 candidates are safe",
        "text": "drink from the mug",
        "object": {"points": 1234, "centroid": [0.5, 0.0, 0.05], "extent": [0.12, 0.08, 0.1]},
        "candidates": [{"verdict": "ok"}, {"verdict": "rejected"}],
        "trajectory": {"arm": {"times": [0.1, 7.25]}},
        "timings_ms": {"cloud": 12.4},
    }
    text = "\n".join(summary_lines(report))
    for expected in ("1234 points, 12 x 8 x 10 cm", "1 ok, 1 rejected", "7.2 s, 2 points", "cloud 12 ms"):
        assert expected in text
