"""colcon takes the package as ament_python, and what it installs starts without the checkout.

The node starts as a person with a sourced workspace starts it. colcon comes from the distribution, or from PyPI
into a venv of its own, because it wants another setuptools than the rest.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_support import CHECKOUT, Client

from maskdex_ros.environment import free_domain_id, ros_environment

NEEDED = ("colcon-ros", "colcon-package-information")


def colcon(folder: Path) -> str:
    """Return the path of colcon, installed for this run where there is none."""
    found = shutil.which("colcon")
    if found:
        return found
    venv.create(folder, with_pip=True)
    install = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *NEEDED]
    done = subprocess.run(install, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode != 0:
        pytest.skip(f"colcon cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return str(folder / "bin" / "colcon")


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_without_checkout(prefix: Path, folder: Path) -> None:
    """Start the installed node, hear it, and end it; every file comes from the installation."""
    from lifecycle_msgs.srv import GetState

    (packages,) = prefix.glob("lib/python3*/site-packages")
    domain_id = free_domain_id()
    environment = {**ros_environment(domain_id), "PYTHONPATH": str(packages)}
    environment["AMENT_PREFIX_PATH"] = os.pathsep.join([str(prefix), environment.get("AMENT_PREFIX_PATH", "")])
    where = "import maskdex_ros, maskdex_core.resources as r; print(maskdex_ros.__file__, r.package_share())"
    looked = subprocess.run(
        [sys.executable, "-c", where],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, share = looked.stdout.split()
    assert Path(code).is_relative_to(packages)
    assert Path(share) == prefix / "share" / "maskdex_ros"
    child = subprocess.Popen([sys.executable, "-m", "maskdex_ros.grasp_node"], cwd=folder, env=environment)
    client = Client(domain_id)
    try:
        client.listen_to_node()
        state = client.call(GetState, "/maskdex/get_state", GetState.Request(), 30.0)
        assert state.current_state.label == "unconfigured"
        child.send_signal(signal.SIGINT)
        assert child.wait(30.0) == 0
    finally:
        client.close()
        if child.poll() is None:
            child.kill()
            child.wait()


def test_colcon_builds_an_ament_python_package_that_starts(tmp_path: Path) -> None:
    program = colcon(tmp_path / "colcon")
    started = time.time()
    base = ["--base-paths", str(CHECKOUT)]
    logs = ["--log-base", str(tmp_path / "log")]
    assert run([program, *logs, "list", *base], tmp_path).split() == [
        "maskdex_ros",
        str(CHECKOUT),
        "(ros.ament_python)",
    ]

    bases = ["--build-base", str(tmp_path / "build"), "--install-base", str(tmp_path / "install")]
    run([program, *logs, "build", *base, *bases], tmp_path)
    prefix = tmp_path / "install" / "maskdex_ros"
    assert (prefix / "share/ament_index/resource_index/packages/maskdex_ros").is_file()
    for name in (
        "package.xml",
        "launch/grasp.launch.py",
        "config/rviz/maskdex.rviz",
        "urdf/xarm7_with_hand.urdf.xacro",
    ):
        assert (prefix / "share/maskdex_ros" / name).is_file(), name
    for name in ("grasp_node", "bag_player", "maskdex"):
        script = prefix / "lib" / "maskdex_ros" / name
        assert os.access(script, os.X_OK), name
        # Not the Python that ran colcon: the one of the venv that is active when the node starts.
        assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n"), name
    made_here = [path for path in CHECKOUT.iterdir() if path.stat().st_ctime > started and path.suffix == ".egg-info"]
    assert not made_here

    start_without_checkout(prefix, tmp_path)
