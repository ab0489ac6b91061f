"""Load on the node: the short form of `maskdex soak`, and its arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from cli_support import run

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_support import FAKE_NODE, a_bag

from maskdex_core.errors import UsageError
from maskdex_ros.soak import AGE_LIMIT, GROWTH_LIMIT, SoakOptions, memory_growth, parse_arguments, result, soak
from maskdex_ros.soak_camera import first_cloud, full_size
from maskdex_ros.soak_load import Seen


def test_the_node_under_full_size_clouds_and_commands_loses_none_and_gets_over_faults() -> None:
    found = soak(SoakOptions(minutes=0.2, node_command=(str(FAKE_NODE),)))
    assert found["lost"] == found["broken"] == []
    assert (found["exit_code"], found.get("last_words")) == (0, None)
    assert {"text", "plan", "cancel", "second_request", "resample", "deactivation", "stalled_camera"} <= set(
        found["commands"]
    )
    assert found["clouds"]["received"] > 10
    ages = found["cloud_age_s"]
    assert ages["n"] > 0
    assert 0.0 <= ages["median"] < 1.0  # what a machine with nothing else to do keeps is in docs/reliability.md


def test_memory_that_grows_is_told_from_memory_that_settles() -> None:
    times = np.arange(0.0, 600.0, 2.0)
    settles = [(t, 500.0 + 100.0 * min(t / 60.0, 1.0)) for t in times]
    assert memory_growth(settles) == (pytest.approx(0.0), pytest.approx(0.0, abs=1e-6))
    leaks = [(t, 500.0 + 0.1 * t) for t in times]
    growth, slope = memory_growth(leaks)
    assert growth == pytest.approx(0.1 * 320.0, rel=0.02)  # two thirds of the 480 s after warm-up
    assert slope == pytest.approx(6.0)
    assert growth > GROWTH_LIMIT


def test_each_promise_is_judged_by_itself() -> None:
    seen = Seen(memory=[(0.0, 10.0), (1.0, 10.0)], clouds=[(0.0, 0), (2.0, 60)], ages=[0.02, 0.05])
    good = result(seen, SoakOptions(), 0)
    assert good["clouds"]["received_hz"] == 30.0
    assert all(good["kept"].values())
    seen.ages.append(AGE_LIMIT + 0.01)
    seen.lost.append("text 3: no answer")
    seen.broken.append("deactivation: no report")
    assert [name for name, kept in result(seen, SoakOptions(), 1)["kept"].items() if not kept] == [
        "no command lost", "every fault got over", "clouds used at most 150 ms old", "SIGINT ends it with 0"
    ]  # fmt: skip
    assert not result(Seen(memory=[(0.0, 1.0)]), SoakOptions(), 0)["kept"]["clouds used at most 150 ms old"]


def test_the_cameras_cloud_is_of_full_size_and_of_the_bags_points() -> None:
    source = first_cloud(a_bag())
    message = full_size(source)
    assert (message.height, message.width, len(message.data)) == (480, 640, 480 * 640 * source.point_step)
    points = np.frombuffer(message.data, np.uint8).reshape(480, 640, -1)
    given = np.asarray(source.data).reshape(source.height, source.width, -1)
    np.testing.assert_array_equal(points[0, 0], given[0, 0])
    np.testing.assert_array_equal(points[479, 639], given[-1, -1])


def test_arguments_are_checked() -> None:
    assert parse_arguments(["--minutes", "2"])[0].minutes == 2.0
    with pytest.raises(UsageError, match="is not valid; expected a number above 0"):
        parse_arguments(["--rate", "0"])
    assert run("soak", "--out", "figures.txt").code == 2
