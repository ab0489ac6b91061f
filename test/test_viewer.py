"""A plan in the browser: what a plan folder carries, what the server shows, and what Chromium draws of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cli_support import run
from saved_plans import BALL, RADIUS, write_plan

from maskdex_core.errors import HandError, UsageError
from maskdex_core.planning.saved import SavedPlan
from maskdex_core.resources import resource_path
from maskdex_core.viewer.browser import PlanBrowser, summary
from maskdex_core.viewer.palette import (
    BOLDEST,
    FAINTEST,
    HAND,
    OBJECT,
    UNWANTED,
    WANTED,
    kind_of,
    opacity,
    touch_colors,
)
from maskdex_core.viewer.robot_meshes import RobotMeshes
from maskdex_core.viewer.timeline import Timeline

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)


@contextmanager
def browser_of(folder: Path) -> Iterator[PlanBrowser]:
    made = PlanBrowser(SavedPlan.load(folder), port=18080)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(
    ("verdict", "reason", "kind"),
    [
        ("ok", "", "ok"),
        ("untried", "", "untried"),
        ("rejected", "grasp: the hand would be 5 mm inside the object", "grasp"),
        ("rejected", "inverse kinematics: the grasp pose at (1, 0, 0) m is out of reach", "out of reach"),
        ("rejected", "collision: hand and table are 2 mm apart", "collision"),
        ("rejected", "no collision-free way from the start to the approach pose was found", "collision"),
        ("rejected", "velocity: joint3 reaches 4 rad/s", "other"),
    ],
)
def test_every_reason_has_a_kind(verdict: str, reason: str, kind: str) -> None:
    assert kind_of(verdict, reason) == kind


def test_ghosts_are_the_bolder_the_more_confident() -> None:
    assert [opacity(value, 0.4) for value in (0.0, 0.4)] == [FAINTEST, BOLDEST]
    assert FAINTEST < opacity(0.2, 0.4) < BOLDEST
    assert opacity(0.0, 0.0) == BOLDEST


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda folder: (folder / "scene.npz").unlink(), "scene.npz is missing"),
        (lambda folder: (folder / "scene.npz").write_bytes(b"no zip"), "cannot be read"),
        (lambda folder: (folder / "report.json").write_text("{"), "is not JSON"),
        (lambda folder: (folder / "report.json").write_text('{"status": "error"}'), "no report of a plan"),
        (lambda folder: write_plan(folder, cloud=np.full((5, 3), np.nan, np.float32)), "cloud is float32"),
        (lambda folder: write_plan(folder, cloud=np.zeros((5, 2), np.float32)), r"expected finite numbers of shape"),
        (lambda folder: write_plan(folder, joints=np.zeros((2, 7))), "not of one plan"),
        (lambda folder: write_plan(folder, touch=np.full(800, np.nan)), "touch is float64"),
        (lambda folder: write_plan(folder, touch=np.ones(5)), "touch has 5 values for 800 object points"),
        (lambda folder: np.savez(folder / "scene.npz", cloud=np.array([{}])), "cannot be read"),
    ],
)
def test_a_folder_that_is_no_plan_is_refused_in_one_sentence(tmp_path: Path, spoil, expected: str) -> None:
    folder = write_plan(tmp_path / "plan")
    spoil(folder)
    with pytest.raises(UsageError, match=expected) as caught:
        SavedPlan.load(folder)
    assert "\n" not in str(caught.value)


def test_the_command_refuses_what_it_cannot_show(tmp_path: Path) -> None:
    ended = run("view", tmp_path / "nothing")
    assert (ended.code, len(ended.err.strip().splitlines())) == (2, 1)
    assert "is missing" in ended.err
    assert "--port 80 is out of range" in run("view", write_plan(tmp_path / "plan"), "--port", "80").err


def test_joints_of_another_robot_are_refused(tmp_path: Path) -> None:
    folder = write_plan(tmp_path / "plan", "rejected", hand_start=np.zeros(3))
    with pytest.raises(UsageError, match=r"7 arm and 3 hand joints; xarm7 has 7 and freedom_v2 7"):
        PlanBrowser(SavedPlan.load(folder))


def test_a_hand_of_ones_own_is_shown_by_the_path_of_its_yaml(tmp_path: Path) -> None:
    folder = write_plan(tmp_path / "plan", "rejected")
    report = json.loads((folder / "report.json").read_text())
    report["target_hand"]["name"] = "mine"
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(HandError, match=r"hand 'mine' is unknown.*; or give the path of a hand's YAML"):
        PlanBrowser(SavedPlan.load(folder))
    mine = tmp_path / "mine.yaml"
    shipped = resource_path("config/hands/freedom_v2.yaml").read_text()
    mine.write_text(shipped.replace("urdf/freedom_v2.urdf", str(resource_path("urdf/freedom_v2.urdf"))))
    browser = PlanBrowser(SavedPlan.load(folder), port=18080, hand=str(mine))
    try:
        assert set(browser._robot.hand_meshes) == set(RobotMeshes.load("xarm7", "freedom_v2").hand_meshes)
        assert browser.server.scene.get_handle_by_name("/candidates/1") is not None
    finally:
        browser.stop()


def test_the_timeline_starts_where_the_robot_stood_and_ends_at_the_trajectorys_end(tmp_path: Path) -> None:
    plan = SavedPlan.load(write_plan(tmp_path / "plan"))
    timeline = Timeline.of(plan)
    assert (timeline.duration, timeline.grasp_time) == (2.0, 1.8)
    np.testing.assert_allclose(timeline.at(0.0)[0], plan.arm_start)
    np.testing.assert_allclose(timeline.at(1.0)[0], plan.arm_start + 0.1)
    np.testing.assert_allclose(timeline.at(9.0)[1], plan.hand_start + 0.3)
    rejected = Timeline.of(SavedPlan.load(write_plan(tmp_path / "other", "rejected")))
    assert rejected.duration == 0.0
    plan.report["trajectory"] = {"arm": 1}
    with pytest.raises(UsageError, match="trajectory in the report"):
        Timeline.of(plan)


def test_the_words_hold_task_verdict_and_kinds_and_take_no_markup_from_the_text(tmp_path: Path) -> None:
    words = summary(SavedPlan.load(write_plan(tmp_path / "plan", "rejected")))
    assert "hold the \\<ball\\>" in words
    assert "nothing \\*safe\\*" in words
    assert "- 1 collision" in words


def test_the_server_listens_on_loopback_and_moves_the_links(tmp_path: Path) -> None:
    plan = SavedPlan.load(write_plan(tmp_path / "plan"))
    with browser_of(tmp_path / "plan") as browser:
        assert browser.address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(browser.address, timeout=20) as page:
            assert b"<html" in page.read().lower()
        find = browser.server.scene.get_handle_by_name
        for name in ("/cloud", "/object", "/approach", "/candidates/0", "/candidates/2"):
            assert find(name) is not None, name
        assert find("/candidates/1") is None  # the chosen one is the robot's own hand
        last = f"/arm/{list(browser._robot.arm_meshes)[-1]}"
        for seconds in (0.0, 2.0):
            browser.show(seconds)
            wanted = browser._robot.arm_poses(plan.arm_start + 0.1 * seconds)[last.rsplit("/", 1)[-1]]
            np.testing.assert_allclose(find(last).position, wanted[:3, 3], atol=1e-6)
        before = np.array(find(last).position)
        browser._slider.value = 1.0  # as a person does, or `play`
        assert np.linalg.norm(np.array(find(last).position) - before) > 1e-3


def test_the_object_has_the_colours_of_where_the_text_wants_the_hand(tmp_path: Path) -> None:
    chance = np.linspace(0.0, 0.6, 800).astype(np.float32)
    plan = SavedPlan.load(write_plan(tmp_path / "told", touch=chance))
    np.testing.assert_array_equal(plan.touch, chance)
    colors = touch_colors(chance)
    assert colors.shape == (800, 3)
    ends = np.round(255 * np.array([UNWANTED, WANTED]))  # the likeliest point has the full colour, at any chance
    np.testing.assert_array_equal(colors[[0, -1]], ends)
    with browser_of(tmp_path / "told") as browser:
        shown = browser.server.scene.get_handle_by_name("/object")
        np.testing.assert_array_equal(np.asarray(shown.colors), colors)
    plain = SavedPlan.load(write_plan(tmp_path / "plain"))
    assert plain.touch is None
    with browser_of(tmp_path / "plain") as browser:
        shown = np.asarray(browser.server.scene.get_handle_by_name("/object").colors)
        assert (shown == np.round(255 * np.array(OBJECT))).all()


def test_a_rejected_plan_is_shown_with_its_chosen_candidate(tmp_path: Path) -> None:
    with browser_of(write_plan(tmp_path / "plan", "rejected")) as browser:
        assert browser.server.scene.get_handle_by_name("/candidates/1") is not None


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium")
def test_chromium_draws_hand_and_object_where_they_are(tmp_path: Path) -> None:
    options = ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    options += ["--window-size=240,180", f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0"]
    with browser_of(write_plan(tmp_path / "plan")) as browser:
        command = [CHROMIUM, *options, browser.address]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 120.0
            while not (clients := browser.server.get_clients()):
                assert child.poll() is None and time.monotonic() < end, "Chromium did not come"
                time.sleep(0.1)
            client = next(iter(clients.values()))
            above = {"position": BALL + np.array([0.0, 0.0, 0.6]), "wxyz": np.array([0.0, 1.0, 0.0, 0.0])}
            picture = client.get_render(height=120, width=160, fov=0.8, timeout=120.0, **above)
        finally:
            child.terminate()
            child.wait(20)
    hand, ball = _pixels(picture, HAND), _pixels(picture, OBJECT)
    # The ball of 5 cm radius, 60 cm below the camera, covers a disc of 12 pixels radius in the middle of the
    # picture; its points are drawn for the browser's window, so that they may be up to that large again.
    disc = np.pi * (120 * RADIUS / 0.6 / (2 * np.tan(0.4))) ** 2
    assert 0.3 * disc < len(ball) < 5.0 * disc, (len(ball), disc)
    np.testing.assert_allclose(ball.mean(axis=0), [59.5, 79.5], atol=6.0)
    assert len(hand) > 50


def _pixels(picture: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """Return rows and columns (n, 2) of the pixels of about a colour's hue."""
    pixels = picture[..., :3].astype(float)
    wanted = np.array(color) / np.linalg.norm(color)
    close = pixels @ wanted / np.maximum(np.linalg.norm(pixels, axis=-1), 1.0) > 0.96
    return np.argwhere(close & (np.ptp(pixels, axis=-1) > 40))  # grey is no hue
