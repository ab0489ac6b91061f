"""What the node shows of itself: diagnostics, and what RViz draws."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_support import CHECKOUT, Client, cloud_message
from running_node import active_node, diagnostic_values


@pytest.fixture
def node() -> Iterator[Client]:
    with active_node() as client:
        yield client


def test_diagnostics_count_reports_and_say_what_is_wrong(node: Client) -> None:
    node.spin_until(lambda: _level(node) == ("maskdex", b"\x01"), what="a warning without clouds")
    node.publish(cloud_message(), "/points")
    node.next_report(lambda: node.say(""))
    node.spin_until(lambda: "task text is empty" in node.heard["/diagnostics"][-1].status[0].message)
    node.next_report(lambda: node.say("pick up the mug"))
    node.spin_until(lambda: node.heard["/diagnostics"][-1].status[0].message == "ready")
    counts = diagnostic_values(node)
    assert (counts["clouds received"], counts["reports ok"], counts["reports error"]) == ("1", "1", "1")


RVIZ_TYPES = {
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/PoseArray": "geometry_msgs/msg/PoseArray",
}


def test_rviz_listens_to_topics_that_the_node_publishes_with_types_and_qos_that_fit(node: Client) -> None:
    displays = yaml.safe_load((CHECKOUT / "config" / "rviz" / "maskdex.rviz").read_text())["Visualization Manager"]
    ours = [d for d in displays["Displays"] if d.get("Topic", {}).get("Value", "").startswith("/maskdex/")]
    assert {display["Topic"]["Value"].rsplit("/", 1)[-1] for display in ours} == {
        "markers", "state_markers", "object_points", "grasp_poses"
    }  # fmt: skip
    for display in ours:
        topic = display["Topic"]
        (publisher,) = node.node.get_publishers_info_by_topic(topic["Value"])
        assert publisher.topic_type == RVIZ_TYPES[display["Class"]]
        assert publisher.qos_profile.durability.name == topic["Durability Policy"].upper().replace(" ", "_")
        assert publisher.qos_profile.reliability.name == topic["Reliability Policy"].upper()


def test_what_rviz_shows_goes_with_its_plan_and_the_state_stays(node: Client) -> None:
    from visualization_msgs.msg import Marker, MarkerArray

    node.listen(MarkerArray, "/maskdex/state_markers", latched=True)
    node.publish(cloud_message(), "/points")
    node.next_report(lambda: node.say("pick up the mug"))
    markers, clouds = node.heard["/maskdex/markers"], node.heard["/maskdex/object_points"]
    node.spin_until(lambda: markers and clouds, what="the plan's markers")
    assert len(markers[-1].markers) > 1
    assert clouds[-1].width == 5
    node.next_report(lambda: node.say("crash"))
    node.spin_until(lambda: [marker.action for marker in markers[-1].markers] == [Marker.DELETEALL], what="removal")
    node.spin_until(lambda: clouds[-1].width == 0, what="an empty cloud")
    states = node.heard["/maskdex/state_markers"]
    node.spin_until(lambda: states and "nobody foresaw" in states[-1].markers[-1].text, what="the state in words")


def _level(node: Client) -> tuple[str, bytes] | None:
    heard = node.heard["/diagnostics"]
    return (heard[-1].status[0].hardware_id, heard[-1].status[0].level) if heard else None
