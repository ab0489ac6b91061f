"""Launch files and RViz configuration: they load where `launch` is, and refer only to what ships."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml
from ros_support import CHECKOUT

LAUNCH_FILES = sorted((CHECKOUT / "launch").glob("*.launch.py"))


def constants(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def declared(path: Path) -> dict[str, tuple[str | None, str]]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENTS":
            return {name: (default, description) for name, default, description in ast.literal_eval(node.value)}
    raise LookupError(path)


def test_both_launch_files_are_there() -> None:
    assert {path.name for path in LAUNCH_FILES} >= {"grasp.launch.py", "replay.launch.py"}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_argument_is_described_and_used(path: Path) -> None:
    arguments = declared(path)
    source = path.read_text(encoding="utf-8")
    for name, (_, description) in arguments.items():
        assert len(description) > 10, name
        assert f'value["{name}"]' in source, name


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_shipped_file_it_names_exists(path: Path) -> None:
    names = [text for text in constants(path) if text.endswith((".yaml", ".xml", ".rviz", ".launch.py"))]
    assert names
    for name in names:
        assert " " in name or list(CHECKOUT.glob(f"config/**/{name}")) or (CHECKOUT / "launch" / name).is_file(), name


def test_executables_and_parameters_of_the_launch_files_exist() -> None:
    from maskdex_ros.parameters import table

    scripts = (CHECKOUT / "setup.py").read_text(encoding="utf-8")
    for name in ("grasp_node", "bag_player"):
        assert f'"{name} = maskdex_ros.{name}:main"' in scripts
    known = {name for name, *_ in table()}
    replay = yaml.safe_load((CHECKOUT / "config" / "replay.yaml").read_text())["maskdex"]["ros__parameters"]
    assert set(replay) <= known
    assert {"hand", "autostart", "execute"} <= known & set(declared(CHECKOUT / "launch" / "grasp.launch.py"))


def test_default_controllers_are_those_of_the_default_arm_and_hand() -> None:
    from maskdex_ros.parameters import NodeParameters

    arguments, defaults = declared(CHECKOUT / "launch" / "grasp.launch.py"), NodeParameters()
    assert arguments["hand"][0] == defaults.hand
    for part, path in (("arm", f"arms/{defaults.arm}.yaml"), ("hand", f"hands/{defaults.hand}.yaml")):
        controller = yaml.safe_load((CHECKOUT / "config" / path).read_text(encoding="utf-8"))["controller"]
        assert arguments[f"{part}_controller"][0] == f"/{controller}"


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_launch_file_loads(path: Path) -> None:
    pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS distribution")
    spec = importlib.util.spec_from_file_location("launch_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entities = module.generate_launch_description().entities
    names = {entity.name for entity in entities if hasattr(entity, "default_value")}
    assert names == set(declared(path))


def test_rviz_shows_the_topics_the_node_publishes() -> None:
    displays = yaml.safe_load((CHECKOUT / "config" / "rviz" / "maskdex.rviz").read_text())["Visualization Manager"]
    topics = {display["Topic"]["Value"] for display in displays["Displays"] if "Topic" in display}
    assert {"/maskdex/markers", "/maskdex/object_points", "/maskdex/grasp_poses"} <= topics
    assert displays["Global Options"]["Fixed Frame"] == "link_base"
