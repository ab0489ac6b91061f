"""The command line: help, version, exit codes, JSON; each command does what it says."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_support import CHECKOUT, DEMO_BAG, Ended, export_mug, fails, run, run_process

from maskdex_core import __version__
from maskdex_core.cli.bench import Bench
from maskdex_core.cli.plan import Plan, pose_matrix
from maskdex_core.errors import PlanRejected, UsageError
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.planner import PlannerConfig
from maskdex_core.planning.saved import SavedPlan

COMMANDS = ("plan", "sample", "edit", "replay", "demo", "data", "train", "bench")
REPORT_KEYS = {"status", "reason", "text", "object", "grasp", "candidates", "target_hand", "trajectory"}
REPORT_KEYS |= {"timings_ms", "model"}


def test_version():
    assert run("--version") == Ended(0, f"maskdex {__version__}\n", "")


def test_help_lists_every_command_without_loading_torch():
    script = "import sys; from maskdex_core.cli import main; main(['--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("False\n")
    assert all(f"• {command}" in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", [*((c,) for c in COMMANDS), ("data", "build"), ("train", "tokenizer")])
def test_every_command_has_help(command: tuple[str, ...]):
    ended = run(*command, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"usage: maskdex {' '.join(command)}")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("plan",),
        ("plan", "--cloud"),
        ("plan", "--clod", "x"),
        ("data",),
        ("bench", "--batch", "two"),
    ],
)
def test_wrong_usage_leaves_with_2(arguments: tuple[str, ...]):
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seed", "-1"), ("--samples", "0"), ("--speed-scale", "1.5"), ("--threads", "0")],
)
def test_values_out_of_range_leave_with_2(option: str, value: str):
    fails(run("plan", "--cloud", DEMO_BAG, option, value), 2, value, "expected")


def test_options_default_to_the_planner_s_values():
    config = PlannerConfig()
    for field in dataclasses.fields(Plan):
        if hasattr(config, field.name):
            assert field.default == getattr(config, field.name), field.name


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (OSError(28, "No space", "x"), 3)])
def test_interrupts_and_system_errors_give_one_line(monkeypatch, error: BaseException, code: int):
    def stop(self: Bench) -> int:
        raise error

    monkeypatch.setattr(Bench, "run", stop)
    fails(run("bench"), code)


def test_pose_option_is_a_transform_xyzw():
    half = np.sqrt(0.5)
    matrix = pose_matrix((1, 2, 3, 0, 0, half, half))  # a quarter turn about z
    assert np.allclose(matrix @ (1, 0, 0, 1), (1, 3, 3, 1))
    with pytest.raises(UsageError, match="length 2"):
        pose_matrix((0, 0, 0, 0, 0, 0, 2))


# ---------------------------------------------------------------- plan
def test_plan_prints_json_and_leaves_the_same_report(tmp_path: Path):
    ended = run_process("plan", "--cloud", DEMO_BAG, "--seed", "3", "--out", tmp_path)
    report = json.loads(ended.out)
    assert set(report) >= REPORT_KEYS
    assert (ended.code, report["status"]) in ((0, "ok"), (4, "rejected"))
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["trajectory"] == json.loads((tmp_path / "trajectory.json").read_text())
    assert (tmp_path / "plan.png").stat().st_size > 20_000
    assert (tmp_path / "object.ply").read_bytes().startswith(b"ply")
    assert len(SavedPlan.load(tmp_path).palm_poses) == len(report["candidates"])
    again = run("plan", "--cloud", DEMO_BAG, "--seed", "3")
    assert json.loads(again.out)["grasp"] == report["grasp"]
    # Progress goes to the person, stage by stage; the last four come again where others are drawn.
    stages = [line for line in ended.err.splitlines() if line in report["timings_ms"]]
    draw = ["sample", "refine", "retarget", "motion"]
    assert stages[:3] == ["text", "segment", "complete"]
    assert stages[3:] in (draw, 2 * draw, 3 * draw)


def test_a_rejected_plan_leaves_with_4_and_its_report(monkeypatch, tmp_path: Path):
    def never(*_: object) -> None:
        raise PlanRejected(("joint3: out of reach",))

    monkeypatch.setattr("maskdex_core.planner.plan_motion", never)
    ended = run("plan", "--cloud", DEMO_BAG, "--text", "hold it", "--samples", "2", "--out", tmp_path)
    assert ended.code == 4
    report = json.loads(ended.out)
    assert (report["status"], report["trajectory"], report["text"]) == ("rejected", None, "hold it")
    reasons = {candidate["reason"] for candidate in report["candidates"]}
    assert reasons and all(r == "joint3: out of reach" or r.startswith("grasp: ") for r in reasons)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert "no safe plan" in ended.err


# ---------------------------------------------------------------- sample and edit
@pytest.fixture(scope="module")
def sampled(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("grasps")
    mesh = export_mug(folder / "mug.stl")
    ended = run("sample", "--mesh", mesh, "--text", "drink", "--n", 5, "--seed", 1, "--out", folder / "g.npz")
    assert ended.code == 0, ended.err
    return mesh, folder / "g.npz"


def test_sample_writes_ranked_grasps_in_contact(sampled: tuple[Path, Path]):
    grasps = GraspBatch.from_npz(sampled[1])
    with np.load(sampled[1]) as archive:
        shapes = {key: archive[key].shape for key in archive.files}
    for key in ("joints", "pregrasp", "squeeze"):
        assert shapes[key] == (5, 22)
    assert (shapes["rotation"], shapes["translation"]) == ((5, 3, 3), (5, 3))
    assert (shapes["tokens"], shapes["token_confidence"], shapes["joint_names"]) == ((5, 6), (5, 6), (22,))
    assert torch.isfinite(grasps.score).all()
    assert (grasps.score[:-1] >= grasps.score[1:]).all()
    identity = grasps.palm_rotation @ grasps.palm_rotation.transpose(1, 2)
    assert torch.allclose(identity, torch.eye(3).expand(5, 3, 3), atol=1e-5)


def test_grasps_follow_the_mesh_s_frame(sampled: tuple[Path, Path], tmp_path: Path):
    offset = (0.3, -0.2, 0.1)
    common = ("--text", "drink", "--n", 3, "--seed", 1, "--no-refine", "--out")
    for name, mesh in (("here", sampled[0]), ("there", export_mug(tmp_path / "mug.stl", offset))):
        assert run("sample", "--mesh", mesh, *common, tmp_path / f"{name}.npz").code == 0
    # Points are drawn anew on the moved mesh, so other grasps come out; all of them are beside their own mug.
    for name, place in (("here", (0, 0, 0)), ("there", offset)):
        grasps = GraspBatch.from_npz(tmp_path / f"{name}.npz")
        middle = torch.tensor([place[0], place[1], place[2] + 0.05])
        palm = grasps.palm_translation + grasps.palm_rotation @ torch.tensor([0.0, 0.0, 0.06])
        assert (palm - middle).norm(dim=-1).max() < 0.2


def test_edit_changes_what_was_asked_and_not_a_bit_more(sampled: tuple[Path, Path], tmp_path: Path):
    mesh, before_path = sampled
    ended = run(
        "edit", "--grasps", before_path, "--parts", "ring, little", "--text", "stretch the ring finger",
        "--mesh", mesh, "--seed", 2, "--out", tmp_path / "e.npz",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "unedited joints moved 0 deg, palm 0 mm" in ended.err
    before, after = GraspBatch.from_npz(before_path), GraspBatch.from_npz(tmp_path / "e.npz")
    asked = torch.tensor([name.startswith(("RF", "LF")) for name in before.joint_names])
    assert torch.equal(before.joints[:, ~asked], after.joints[:, ~asked])
    assert torch.equal(before.palm_translation, after.palm_translation)
    assert torch.equal(before.palm_rotation, after.palm_rotation)
    assert torch.equal(before.tokens[:, :4], after.tokens[:, :4])
    assert (before.joints[:, asked] - after.joints[:, asked]).abs().max() > 0.01


# ---------------------------------------------------------------- replay and bench
def test_replay_returns_the_exit_code_of_the_replay(tmp_path: Path):
    pytest.importorskip("rclpy")
    ended = run_process("replay", tmp_path / "no_bag")
    assert ended.code == 3
    assert "no_bag" in ended.err


def test_bench_reports_every_stage_as_json():
    ended = run("bench", "--calls", "1", "--batch", "2", "--model", "shipped", "--json")
    result = json.loads(ended.out)
    assert result["threads"] == 1
    assert {row["batch"] for row in result["stages"]} == {0, 2}
    stages = {row["stage"].split(" (")[0]: row for row in result["stages"]}
    expected = {
        "text",
        "object encoder",
        "decode",
        "refine",
        "retarget",
        "segment",
        "complete",
    }
    assert set(stages) >= expected | {"motion", "total"}
    parts = sum(stages[name]["median_ms"] for name in ("segment", "complete", "refine", "retarget"))
    assert 0 < parts < stages["total"]["median_ms"]


def test_the_checkout_carries_the_demo_bag():
    from maskdex_core.cli.replay import DEMO_BAG as SHIPPED
    from maskdex_core.resources import resource_path

    assert resource_path(SHIPPED) == CHECKOUT / SHIPPED
