"""`maskdex_ros.sim`: its arguments, its words, its exit codes; the whole run is in test_demo."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from maskdex_core.errors import UsageError
from maskdex_ros import sim
from maskdex_ros.sim import exit_code, parse_arguments, summary_lines

DONE = {
    "status": "ok",
    "text": "drink from the mug",
    "reason": "",
    "timings_ms": {"sample": 200.0, "motion": 100.0, "total": 300.0},
    "sim": {"object": "mug_000", "outcome": "lifted", "height": 0.118, "turn": 2.0, "seconds": 8.4},
}


def test_lifted_dropped_and_not_planned_are_told_apart() -> None:
    dropped = {**DONE, "sim": {**DONE["sim"], "outcome": "slip", "height": -0.001}}
    rejected = {"status": "rejected", "reason": "16 of 16 candidates have no safe motion", "text": ""}
    error = {"status": "error", "reason": "no object stands on the table", "text": ""}
    assert [exit_code(report) for report in (DONE, dropped, rejected, error)] == [0, 4, 4, 3]
    heads = [summary_lines(report)[0] for report in (DONE, dropped, rejected, error)]
    assert heads[0].startswith("lifted: mug_000, 12 cm up")
    assert heads[1].startswith("dropped (slip): mug_000, 0 cm up")
    assert heads[2].startswith("no safe plan: 16 of 16")
    assert heads[3].startswith("error: no object stands")


def test_arguments_are_checked() -> None:
    options = parse_arguments(["--object=can_002", "--text=lift it", "--seed=3", "--rate=2", "--viewer"])
    assert (options.object, options.text, options.seed, options.rate, options.viewer) == (
        "can_002",
        "lift it",
        3,
        2,
        True,
    )
    for wrong in (["--seed=-1"], ["--rate=0"]):
        with pytest.raises(UsageError, match="is not valid"):
            parse_arguments(["--object=can", "--text=lift it", *wrong])


def test_a_viewer_without_a_display_is_refused_before_anything_starts(monkeypatch) -> None:
    class Started(Exception):
        """A process would be started."""

    def start(*_: object) -> None:
        raise Started

    monkeypatch.setattr(sim, "child", start)
    wanted = parse_arguments(["--object=mug", "--text=lift it", "--viewer"])
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="the viewer needs a display, and DISPLAY is not set; leave --viewer out"):
        sim.simulate(wanted)
    monkeypatch.setenv("DISPLAY", ":99")
    with pytest.raises(Started):
        sim.simulate(wanted)
