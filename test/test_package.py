"""What the package says of itself agrees everywhere, and everything it ships is there."""

from __future__ import annotations

import ast
import re
import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import setuptools

import maskdex_core

CHECKOUT = Path(__file__).resolve().parent.parent
MODULE = re.compile(r"[a-z0-9_]+_msgs(\.(msg|srv|action))?")
ROS_MODULES = {"rclpy", "tf2_ros_py", "launch", "launch_ros", "ament_index_python"}


@pytest.fixture(scope="module")
def manifest() -> ElementTree.Element:
    return ElementTree.parse(CHECKOUT / "package.xml").getroot()


@pytest.fixture(scope="module")
def setup_arguments() -> dict:
    """What setup.py hands to setuptools."""
    given: dict = {}
    patch = pytest.MonkeyPatch()
    patch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    patch.chdir(CHECKOUT)
    try:
        runpy.run_path("setup.py")
    finally:
        patch.undo()
    return given


def test_versions_and_names_agree(manifest, setup_arguments):
    assert manifest.findtext("version") == setup_arguments["version"] == maskdex_core.__version__
    assert manifest.findtext("name") == setup_arguments["name"] == "maskdex_ros"
    assert manifest.findtext("description") == setup_arguments["description"]


def test_licences_agree(manifest, setup_arguments):
    assert manifest.findtext("license") == setup_arguments["license"] == "Apache-2.0"
    text = (CHECKOUT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    notice = (CHECKOUT / "NOTICE").read_text(encoding="utf-8")
    assert all(name in notice for name in ("Shadow", "xarm_ros2", "BSD 3-Clause", "Freedom V2"))


def test_package_xml_is_what_colcon_needs(manifest):
    # Without this export, or with invalid XML, colcon would build it as plain Python and say nothing.
    assert manifest.tag == "package"
    assert manifest.get("format") == "3"
    assert manifest.findtext("export/build_type") == "ament_python"
    assert manifest.find("maintainer").get("email")
    depends = [element.text for element in manifest.findall("exec_depend")]
    assert len(depends) == len(set(depends))
    assert {"rclpy", "sensor_msgs", "trajectory_msgs", "lifecycle_msgs"} <= set(depends)


def _imported(folder: str) -> set[str]:
    """Return the top-level packages that the Python files of a folder import, by statement or by name."""
    found = set()
    for path in (CHECKOUT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
                found.add(node.value.partition(".")[0])
    return found


def test_every_ros_package_in_the_code_is_depended_on(manifest):
    depends = {element.text for element in manifest.findall("exec_depend")}
    names = {"tf2_ros": "tf2_ros_py"}  # module → package
    imported = {names.get(name, name) for name in _imported("maskdex_ros") | _imported("launch")}
    ours = {name for name in imported if name.endswith(("_msgs", "_interfaces")) or name in ROS_MODULES}
    assert len(ours) >= 10
    assert ours <= depends


def test_every_shipped_file_exists_and_nothing_is_forgotten(setup_arguments):
    shipped = [Path(file) for _, files in setup_arguments["data_files"] for file in files]
    assert all((CHECKOUT / file).is_file() for file in shipped)
    marker = ("share/ament_index/resource_index/packages", ["resource/maskdex_ros"])
    assert marker in setup_arguments["data_files"]
    for needed in ("package.xml", "urdf/shadow_right.urdf", "config/hands/freedom_v2.yaml"):
        assert Path(needed) in shipped
    assert Path("data/demo_scene/bag/bag.mcap") in shipped
    for target, files in setup_arguments["data_files"]:
        for file in map(Path, files):  # resource_path() looks for the same relative path in both places
            if target.startswith("share/maskdex_ros/"):
                assert target == f"share/maskdex_ros/{file.parent.as_posix()}"


def test_entry_points_can_be_imported(setup_arguments):
    import importlib.util

    for entry in setup_arguments["entry_points"]["console_scripts"]:
        module = entry.split("=")[1].strip().split(":")[0]
        assert importlib.util.find_spec(module) is not None, module


def test_every_package_is_found(setup_arguments):
    with_code = {
        path.parent.relative_to(CHECKOUT).as_posix().replace("/", ".")
        for root in ("maskdex_core", "maskdex_ros")
        for path in (CHECKOUT / root).rglob("*.py")
    }
    assert with_code <= set(setup_arguments["packages"])


def test_shell_entrances_are_executable_and_name_no_registry():
    assert (CHECKOUT / ".ci" / "run").stat().st_mode & 0o111
    for name in ("Makefile", "scripts/setup.sh", ".ci/run"):
        text = (CHECKOUT / name).read_text(encoding="utf-8")
        assert "http" not in text
        assert "--index-url" not in text
