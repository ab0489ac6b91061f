"""`maskdex ros-env`: what it prints makes a bare prefix a place where ROS 2 tools find the node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskdex_core.cli import main
from maskdex_core.resources import package_share
from maskdex_ros import environment
from maskdex_ros.environment import profile_variable, shell_lines, wheels_installed

needs_wheels = pytest.mark.skipif(not wheels_installed(), reason="rclpy does not come from the PyPI wheels")


def run_in_shell(lines: list[str], *commands: str) -> str:
    script = "\n".join(["set -eu", *lines, *commands])
    clean = {name: value for name, value in os.environ.items() if name != "AMENT_PREFIX_PATH"}
    done = subprocess.run(["sh", "-c", script], env=clean, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def bare_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix as pip leaves it after an editable install: no entry in any index."""
    prefix = tmp_path / "a prefix"  # with a blank, which a careless quote would trip over
    for folder in ("share", "lib", "bin"):
        (prefix / folder).mkdir(parents=True)
    (prefix / "bin" / "grasp_node").touch()
    monkeypatch.setattr(environment.sys, "prefix", str(prefix))
    return prefix


@needs_wheels
def test_the_lines_put_the_package_into_the_ament_index(bare_prefix: Path) -> None:
    index = "from ament_index_python import packages as p; print(p.get_package_share_directory('maskdex_ros'))"
    found = run_in_shell(shell_lines(), f'{sys.executable} -c "{index}"')
    assert Path(found.strip()) == bare_prefix / "share" / "maskdex_ros"
    assert (bare_prefix / "share/maskdex_ros/launch/grasp.launch.py").is_file()
    assert (bare_prefix / "lib/maskdex_ros/grasp_node").exists()


@needs_wheels
def test_what_is_there_is_left_alone(bare_prefix: Path) -> None:
    run_in_shell(shell_lines())
    assert [line.split("=")[0] for line in shell_lines()] == [
        "export AMENT_PREFIX_PATH",
        "export FASTDDS_DEFAULT_PROFILES_FILE",
    ]


def test_the_profile_is_named_for_the_distributions_fast_dds() -> None:
    assert profile_variable({"ROS_DISTRO": "jazzy"}) == "FASTRTPS_DEFAULT_PROFILES_FILE"
    assert profile_variable({"ROS_DISTRO": "kilted"}) == profile_variable({}) == "FASTDDS_DEFAULT_PROFILES_FILE"


def test_a_profile_of_the_users_own_wins() -> None:
    assert "export FASTDDS_DEFAULT_PROFILES_FILE=mine.xml" in shell_lines({"FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"})


def test_the_share_holds_what_launch_looks_for() -> None:
    assert all((package_share() / folder).is_dir() for folder in ("config", "launch", "urdf"))


def test_the_command_prints_nothing_but_shell(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["ros-env"]) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed
    assert all(line.split()[0] in ("export", "mkdir", "ln") for line in printed)
