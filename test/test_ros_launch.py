"""Launch files and RViz configuration: what they declare, start and refer to exists.

Where `launch` and `launch_ros` are importable the files are loaded and expanded with them; elsewhere their
source is read.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ros_support import CHECKOUT

from maskdex_core.hands.spec import known_hands, load_spec
from maskdex_ros.outputs import OUTPUTS
from maskdex_ros.parameters import NodeParameters, table
from maskdex_ros.reference.__main__ import LAUNCHED_AS
from maskdex_ros.reference.interface import ENDPOINTS, SUBSCRIBED, resolved

LAUNCH_FILES = sorted((CHECKOUT / "launch").glob("*.launch.py"))
each_file = pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
GRASP = CHECKOUT / "launch" / "grasp.launch.py"


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def constants(path: Path) -> list[str]:
    return [
        node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


class _Fill(ast.NodeTransformer):
    """Puts the values of module constants where their names stand."""

    def __init__(self, known: dict[str, ast.expr]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.known.get(node.id, node)


def declared(path: Path) -> dict[str, tuple[str | None, list[str] | None, str]]:
    """Argument → default, choices and description, from the file's table."""
    known: dict[str, ast.expr] = {}
    for node in tree(path).body:
        if isinstance(node, ast.Assign):
            known[getattr(node.targets[0], "id", "")] = _Fill(known).visit(node.value)
    rows = ast.literal_eval(known["ARGUMENTS"])
    return {name: (default, choices, description) for name, default, choices, description in rows}


def nodes(path: Path) -> Iterator[tuple[str, str]]:
    """Package and executable of every node that the file starts."""
    for call in ast.walk(tree(path)):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("Node", "LifecycleNode"):
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            yield ast.literal_eval(given["package"]), ast.literal_eval(given["executable"])


def test_all_launch_files_are_there() -> None:
    names = {path.name for path in LAUNCH_FILES}
    assert names >= {"grasp.launch.py", "replay.launch.py", "demo.launch.py"}


@each_file
def test_every_argument_is_described_and_used(path: Path) -> None:
    assert declared(path)
    for name, (default, choices, description) in declared(path).items():
        assert len(description) > 10, name
        assert constants(path).count(name) >= 2, name
        assert choices is None or default in choices, name
        assert choices == ["true", "false"] or default not in ("true", "false"), name


@each_file
def test_every_shipped_file_it_names_exists(path: Path) -> None:
    endings = (".yaml", ".xml", ".rviz", ".launch.py", ".xacro", ".srdf")
    names = [text for text in constants(path) if text.endswith(endings) and " " not in text and len(text) > 6]
    for name in names:
        assert any(list(CHECKOUT.glob(f"{folder}/**/{name}")) for folder in ("config", "launch", "urdf")), name


@each_file
def test_everything_it_starts_is_ours_or_depended_on(path: Path) -> None:
    scripts = (CHECKOUT / "setup.py").read_text(encoding="utf-8")
    manifest = ElementTree.parse(CHECKOUT / "package.xml").getroot()
    depends = {element.text for element in manifest.findall("exec_depend")}
    for package, executable in nodes(path):
        if package == "maskdex_ros":
            assert f'"{executable} = maskdex_ros.' in scripts, executable
        else:
            assert package in depends, package


def test_grasp_launch_sets_parameters_and_topics_that_the_node_has() -> None:
    known = {name for name, *_ in table()}
    arguments = declared(GRASP)
    assert {"hand", "autostart", "execute", "output", "arm_controller", "hand_controller"} <= known & set(arguments)
    assert arguments["output"][1] == list(OUTPUTS)
    assert arguments["hand"][0] == NodeParameters.hand
    topics = {endpoint.name for endpoint in ENDPOINTS if endpoint.kind == SUBSCRIBED}
    assert {"points", "task_text", "joint_states"} <= topics & set(arguments)
    replay = yaml.safe_load((CHECKOUT / "config" / "replay.yaml").read_text())["/**/maskdex"]["ros__parameters"]
    assert set(replay) <= known


def test_default_names_are_those_of_the_default_robot_and_of_the_policy() -> None:
    arguments = declared(GRASP)
    arm = yaml.safe_load((CHECKOUT / f"config/arms/{NodeParameters.arm}.yaml").read_text(encoding="utf-8"))
    assert arguments["arm_controller"][0] == f"/{arm['controller']}"
    controllers = {"arm": arm["controller"], "hand": load_spec(NodeParameters.hand).controller}
    for part, controller in controllers.items():
        for way in ("joint_trajectory", "follow_joint_trajectory"):
            assert LAUNCHED_AS[f"{part}_controller/{way}"] == f"/{controller}/{way}"
    assert LAUNCHED_AS["points"] == f"{arguments['camera'][0]}/depth/color/points"
    for name in ("task_text", "joint_states"):
        assert resolved(arguments[name][0]) == resolved(name)


def test_demo_offers_every_shipped_hand() -> None:
    folders = {path.name.removeprefix("xarm7_") for path in (CHECKOUT / "config" / "moveit").glob("xarm7_*")}
    assert folders == set(known_hands())


def test_rviz_shows_the_topics_the_node_publishes() -> None:
    displays = yaml.safe_load((CHECKOUT / "config" / "rviz" / "maskdex.rviz").read_text())["Visualization Manager"]
    topics = {display["Topic"]["Value"] for display in displays["Displays"] if "Topic" in display}
    assert {"/maskdex/markers", "/maskdex/object_points", "/maskdex/grasp_poses"} <= topics
    assert displays["Global Options"]["Fixed Frame"] == "link_base"


class Expanded:
    """A launch file worked through by `launch` itself, up to the commands that it would start."""

    def __init__(self, path: Path, **arguments: str) -> None:
        from launch import LaunchContext
        from launch.actions import IncludeLaunchDescription
        from launch.launch_description_sources import PythonLaunchDescriptionSource
        from launch_ros.actions import Node

        self.context = LaunchContext(noninteractive=True)
        self.started: dict[str, Any] = {}
        source = PythonLaunchDescriptionSource(str(path))
        waiting: list[Any] = [IncludeLaunchDescription(source, launch_arguments=arguments.items())]
        while waiting:
            entity = waiting.pop(0)
            if isinstance(entity, Node):
                if entity.condition is None or entity.condition.evaluate(self.context):
                    self.started[entity.node_executable] = entity
                continue
            waiting = [*(entity.visit(self.context) or ()), *waiting]
        self.command = functools.cache(self._command)  # working it out twice would say everything twice

    def _command(self, executable: str) -> list[str]:
        """Return the command line of a node of ours."""
        from launch.utilities import perform_substitutions

        node = self.started[executable]
        node._perform_substitutions(self.context)
        names = {"name": f"__node:={executable}", "ns": f"__ns:={node.expanded_node_namespace}"}
        self.context.extend_locals({"ros_specific_arguments": names})
        return [perform_substitutions(self.context, part) for part in node.cmd]

    def parameters(self, executable: str) -> dict[str, Any]:
        """Return the last parameters that the launch file adds to the files it names."""
        command = self.command(executable)
        files = [command[index + 1] for index, part in enumerate(command) if part == "--params-file"]
        (written,) = yaml.safe_load(Path(files[-1]).read_text(encoding="utf-8")).values()
        return written["ros__parameters"]


class TestExpansion:
    @pytest.fixture(autouse=True)
    def installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS distribution")
        index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True)
        for package, executable in {pair for path in LAUNCH_FILES for pair in nodes(path)}:
            (index / package).touch()
            file = tmp_path / "lib" / package / executable
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("#!/bin/sh\n")
            file.chmod(0o755)
        (tmp_path / "share" / "maskdex_ros").symlink_to(CHECKOUT)
        monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))

    @each_file
    def test_the_table_is_what_is_declared(self, path: Path) -> None:
        spec = importlib.util.spec_from_file_location("launch_file", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        entities = module.generate_launch_description().entities
        found = {entity.name: entity for entity in entities if hasattr(entity, "default_value")}
        assert set(found) == set(declared(path))
        for name, (_, choices, description) in declared(path).items():
            assert found[name].choices == choices
            assert found[name].description.startswith(description)

    def test_the_node_starts_with_the_hands_own_controller(self) -> None:
        given = Expanded(GRASP, hand="leap", namespace="left", execute="true")
        parameters = given.parameters("grasp_node")
        assert parameters["hand_controller"] == "/leap_hand_controller"
        assert parameters["execute"] is True
        command = given.command("grasp_node")
        assert "__ns:=/left" in command
        assert "points:=/camera/camera/depth/color/points" in command

    def test_a_camera_and_an_enclave_are_passed_on(self) -> None:
        command = Expanded(GRASP, camera="/top/camera", enclave="/maskdex").command("grasp_node")
        assert "points:=/top/camera/depth/color/points" in command
        assert command[command.index("--enclave") + 1] == "/maskdex"

    def test_an_unknown_hand_and_an_unknown_choice_are_named(self) -> None:
        with pytest.raises(RuntimeError, match=r"hand 'leep' is unknown; known: ability, .*leap"):
            Expanded(GRASP, hand="leep")
        with pytest.raises(RuntimeError, match=r"params_file 'my\.yaml' is no file"):
            Expanded(GRASP, params_file="my.yaml")
        with pytest.raises(RuntimeError, match="log_level"):
            Expanded(GRASP, log_level="loud")
        with pytest.raises(RuntimeError, match="'leep' has no MoveIt configuration"):
            Expanded(CHECKOUT / "launch" / "demo.launch.py", hand="leep")

    def test_replay_plays_the_bag_to_a_node_that_executes_nothing(self) -> None:
        given = Expanded(CHECKOUT / "launch" / "replay.launch.py", bag="a/bag", rviz="false")
        assert set(given.started) == {"grasp_node", "bag_player"}
        assert "a/bag" in given.command("bag_player")
        assert any(part.endswith("config/replay.yaml") for part in given.command("grasp_node"))
        assert given.parameters("grasp_node")["execute"] is False
        assert given.parameters("grasp_node")["use_sim_time"] is True
        assert "--clock" in given.command("bag_player")
        path = CHECKOUT / "launch" / "replay.launch.py"
        own_file = str(CHECKOUT / "config" / "grasp_node.yaml")
        other = Expanded(path, bag="b", rviz="false", use_sim_time="false", params_file=own_file, namespace="left")
        assert "--clock" not in other.command("bag_player")
        assert other.parameters("grasp_node")["use_sim_time"] is False
        assert {own_file, "__ns:=/left"} <= set(other.command("grasp_node"))

    @pytest.mark.parametrize("namespace", ["", "left"])
    def test_cell_and_node_of_the_simulation_share_their_topics(self, namespace: str) -> None:
        own_file = str(CHECKOUT / "config" / "replay.yaml")
        given = Expanded(CHECKOUT / "launch" / "sim.launch.py", namespace=namespace, params_file=own_file)
        assert set(given.started) == {"grasp_node", "sim_robot"}
        node = given.command("grasp_node")
        assert own_file in node
        own = [part for part in given.command("sim_robot") if part.startswith("__ns:=")]
        assert own == [part for part in node if part.startswith("__ns:=")]
        remapped = dict(part.split(":=", 1) for part in node if ":=" in part)
        # Relative names: those that the cell uses itself.
        assert [remapped[name] for name in ("points", "joint_states")] == ["points", "joint_states"]
        parameters = given.parameters("grasp_node")
        assert (parameters["arm_controller"], parameters["hand_controller"]) == ("arm_controller", "hand_controller")

    @pytest.mark.parametrize("hand", known_hands())
    def test_demo_starts_a_whole_robot(self, hand: str) -> None:
        given = Expanded(CHECKOUT / "launch" / "demo.launch.py", hand=hand)
        assert set(given.started) == {
            "robot_state_publisher", "ros2_control_node", "spawner", "move_group", "rviz2", "grasp_node",
        }  # fmt: skip
        described = given.parameters("robot_state_publisher")["robot_description"]
        assert f'<child link="{load_spec(hand).root}"' in described
        assert "mock_components/GenericSystem" in described
        moveit = " ".join(given.command("move_group"))
        assert moveit.count("--params-file") >= 5
        assert load_spec(hand).controller in given.command("spawner")
        without = Expanded(CHECKOUT / "launch" / "demo.launch.py", hand=hand, rviz="false", move_group="false")
        assert set(given.started) - set(without.started) == {"move_group", "rviz2"}
