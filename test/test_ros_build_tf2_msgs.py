"""tf2_msgs for the wheels: built from its definition, the same type as everyone's, or a sentence why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from maskdex_core.errors import ConfigError
from maskdex_ros import build_tf2_msgs
from maskdex_ros.environment import free_domain_id, ros_environment, wheels_installed

if not wheels_installed():
    pytest.skip("rclpy comes from a ROS distribution, which has tf2_msgs", allow_module_level=True)

HEADERS = Path(sysconfig.get_paths()["include"]) / "Python.h"
CAN_BUILD = pytest.mark.skipif(
    shutil.which("g++") is None or not HEADERS.exists(), reason="no C++ compiler, or no headers of Python"
)
PROGRAM = """
import rclpy
from geometry_msgs.msg import TransformStamped
from tf2_msgs.msg import TFMessage
rclpy.init()
node, heard = rclpy.create_node("n"), []
node.create_subscription(TFMessage, "/tf", heard.append, 10)
publisher = node.create_publisher(TFMessage, "/tf", 10)
while not heard:
    publisher.publish(TFMessage(transforms=[TransformStamped(child_frame_id="camera")]))
    rclpy.spin_once(node, timeout_sec=0.05)
kind = node.get_publishers_info_by_topic("/tf")[0].topic_type_hash
print(heard[0].transforms[0].child_frame_id, "RIHS%02d_%s" % (kind.version, bytes(kind.value).hex()))
"""


@CAN_BUILD
def test_the_message_that_is_built_travels_and_has_the_type_of_everyones(tmp_path: Path) -> None:
    from rosbags.typesys import Stores, get_typestore

    package = build_tf2_msgs.build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tf2_msgs"]
    assert not [path for path in package.rglob("*") if path.suffix in (".c", ".cpp", ".h", ".o", ".json", ".idl")]
    environment = ros_environment(free_domain_id())
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    expected = get_typestore(Stores.LATEST).hash_rihs01(build_tf2_msgs.MESSAGE)
    assert done.stdout.split() == ["camera", expected], done.stderr


def test_without_a_compiler_nothing_is_left_and_set_up_goes_on(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"no C and C\+\+ compiler was found"):
        build_tf2_msgs.build(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(build_tf2_msgs, "PACKAGE", "tf2_msgs_that_nobody_has")
    assert build_tf2_msgs.main() == 0
    assert "tf2_msgs was not built (no C and C++ compiler was found" in capsys.readouterr().err


@CAN_BUILD
def test_what_does_not_compile_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    compiler = tmp_path / "bin" / "g++"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'error: no disk' >&2\nexit 1\n")
    compiler.chmod(0o755)
    compiler.with_name("gcc").write_bytes(compiler.read_bytes())
    compiler.with_name("gcc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")
    site = tmp_path / "site"
    site.mkdir()
    with pytest.raises(ConfigError, match="gcc failed: error: no disk"):
        build_tf2_msgs.build(site)
    assert not list(site.iterdir())


def test_the_definition_is_the_message_alone() -> None:
    assert build_tf2_msgs.definition().split() == ["geometry_msgs/TransformStamped[]", "transforms"]
