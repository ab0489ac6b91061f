"""What is written from the code says what the code does: pages, YAML, policy, and a running node beside the table."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_support import CAMERA_POSE, CHECKOUT, Client, node_command, process

from maskdex_ros.environment import free_domain_id, ros_environment
from maskdex_ros.outputs import OUTPUTS
from maskdex_ros.parameters import NodeParameters, ros_name
from maskdex_ros.reference import __main__ as reference
from maskdex_ros.reference.interface import (
    PUBLISHED,
    REQUESTED,
    SERVED,
    SUBSCRIBED,
    Endpoint,
    endpoints,
    output_choices,
    resolved,
)
from maskdex_ros.reference.security_policy import RULES, security_policy

TEXTS = reference.text_files()


@pytest.mark.parametrize("path", sorted(TEXTS))
def test_the_written_file_is_up_to_date(path: str) -> None:
    message = "run `make reference`"
    assert (CHECKOUT / path).read_text(encoding="utf-8") == TEXTS[path], message


def test_a_stale_a_missing_and_a_superfluous_file_are_found(tmp_path: Path) -> None:
    files = {"docs/a.md": "new", "config/moveit/arm_hand/robot.srdf": "same", "docs/b.md": "x"}
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("old")
    for folder in ("arm_hand", "arm_gone"):
        (tmp_path / "config/moveit" / folder).mkdir(parents=True)
    (tmp_path / "config/moveit/arm_hand/robot.srdf").write_text("same")
    assert reference.stale(files, tmp_path) == ["docs/a.md", "docs/b.md"]
    assert reference.orphans(files, tmp_path) == ["config/moveit/arm_gone"]


class TestParameters:
    def test_the_page_has_one_row_for_each_parameter_with_its_default(self) -> None:
        rows = [line for line in TEXTS["docs/parameters.md"].splitlines() if line.startswith("| `")]
        names = [row.split("`")[1] for row in rows]
        assert names == [ros_name(field) for field in dataclasses.fields(NodeParameters)]
        by_name = dict(zip(names, rows, strict=True))
        assert "| double | `0.3` | 0.01 to 1.0 |" in by_name["speed_scale"]
        assert "at configure" in by_name["hand"]

    def test_the_yaml_holds_every_parameter_or_its_commented_form(self) -> None:
        text = TEXTS["config/grasp_node.yaml"]
        for field in dataclasses.fields(NodeParameters):
            assert f"{ros_name(field).rpartition('.')[2]}: " in text, ros_name(field)
        uncommented = yaml.safe_load(
            text.replace("# base_from_camera:", "base_from_camera:").replace("# object", "object")
        )
        assert uncommented["/**/maskdex"]["ros__parameters"]["object_near"] == [0.4, 0.0, 0.05]


class TestPolicy:
    @pytest.mark.parametrize("output", output_choices())
    def test_it_allows_exactly_what_the_table_names(self, output: str) -> None:
        root = ElementTree.fromstring(TEXTS[f"config/sros2/maskdex_{output}.policy.xml"])
        profile = root.find("./enclaves/enclave[@path='/maskdex']/profiles/profile")
        assert (profile.get("ns"), profile.get("node")) == ("/", "maskdex")
        for kind, (group, attribute, entry) in RULES.items():
            allowed = [
                e.text for rule in profile.findall(f"{group}[@{attribute}='ALLOW']") for e in rule.findall(entry)
            ]
            named = [e.name for e in endpoints(output) if e.kind == kind]
            assert sorted(allowed) == sorted(reference.LAUNCHED_AS.get(name) or resolved(name) for name in named)
        assert all(value == "ALLOW" for rule in profile for value in rule.attrib.values())
        assert not any("*" in (e.text or "") for e in profile.iter())

    def test_a_name_that_is_not_xml_is_written_as_xml(self) -> None:
        text = security_policy("joint_trajectory", {"points": "/a<b&c"})
        assert "/a<b&c" in [element.text for element in ElementTree.fromstring(text).iter("topic")]


def test_every_output_is_described() -> None:
    assert output_choices() == OUTPUTS


def test_names_resolve_as_ros_resolves_them() -> None:
    assert [resolved(name, "n", "/left") for name in ("~/plan", "points", "/diagnostics")] == [
        "/left/n/plan",
        "/left/points",
        "/diagnostics",
    ]


def found(client: Client, kind: str) -> set[tuple[str, str]]:
    """What the graph knows of the node: (name, type)."""
    if "maskdex" not in client.node.get_node_names():
        return set()
    ask = {
        SUBSCRIBED: client.node.get_subscriber_names_and_types_by_node,
        PUBLISHED: client.node.get_publisher_names_and_types_by_node,
        SERVED: client.node.get_service_names_and_types_by_node,
        REQUESTED: client.node.get_client_names_and_types_by_node,
    }[kind]
    return {(name, type_name) for name, types in ask("maskdex", "/") for type_name in types}


def described(kind: str) -> list[Endpoint]:
    return [endpoint for endpoint in endpoints("joint_trajectory") if endpoint.kind == kind]


@pytest.fixture(scope="module")
def watcher() -> Iterator[Client]:
    """A participant beside an active node."""
    domain_id = free_domain_id()
    with process(node_command(*CAMERA_POSE, "autostart:=true"), ros_environment(domain_id)):
        client = Client(domain_id)
        try:
            client.listen_to_node()
            points = ("/points", "sensor_msgs/msg/PointCloud2")  # tf is heard before the node is active
            client.spin_until(lambda: points in found(client, SUBSCRIBED), 40.0, "the node to listen")
            yield client
        finally:
            client.close()


class TestRunningNode:
    """The node, active with the trajectory topics, against the table."""

    @pytest.mark.parametrize("kind", [SUBSCRIBED, PUBLISHED, SERVED, REQUESTED])
    def test_it_has_what_the_table_says_and_nothing_else(self, watcher: Client, kind: str) -> None:
        always = {(resolved(e.name), e.type) for e in described(kind) if not e.condition}
        allowed = {(resolved(e.name), e.type) for e in described(kind)}
        watcher.spin_until(lambda: always <= found(watcher, kind), 10.0, f"{kind}: all of {always}")
        assert found(watcher, kind) <= allowed

    def test_the_quality_of_service_is_the_tables(self, watcher: Client) -> None:
        from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

        ask = {
            SUBSCRIBED: watcher.node.get_subscriptions_info_by_topic,
            PUBLISHED: watcher.node.get_publishers_info_by_topic,
        }
        compared = [e for kind in ask for e in described(kind) if e.quality is not None and not e.condition]
        for endpoint in compared:
            name = resolved(endpoint.name)
            mine = [info.qos_profile for info in ask[endpoint.kind](name) if info.node_name == "maskdex"]
            assert len(mine) == 1, name
            assert (mine[0].durability == DurabilityPolicy.TRANSIENT_LOCAL) == endpoint.quality.latched, name
            if endpoint.quality.reliable is not None:
                assert (mine[0].reliability == ReliabilityPolicy.RELIABLE) == endpoint.quality.reliable, name
        assert len(compared) >= 10
