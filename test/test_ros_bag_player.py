"""The bag player: what lies in a bag, and that it arrives byte for byte, in order and in time."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from beside import SCENES

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_bags import POINTS, START, STATIC, TEXT, write_bag
from ros_support import Client, process

from maskdex_core.errors import CloudError, UsageError
from maskdex_ros.bag import messages, open_bag, summarise
from maskdex_ros.bag_player import offered_qos, parse_arguments
from maskdex_ros.environment import free_domain_id, ros_environment


def player_command(bag: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "maskdex_ros.bag_player", str(bag), *arguments]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_summary_names_topics_text_and_the_chained_camera_pose(tmp_path: Path, storage: str) -> None:
    summary = summarise(write_bag(tmp_path / "bag", storage))
    assert (summary.points_topic, summary.text_topic, summary.camera_frame) == (
        POINTS,
        TEXT,
        "camera_optical",
    )
    # 1 m up and turned by 180 degrees about x, then 0.1 m along x.
    expected = np.diag([1.0, -1.0, -1.0, 1.0])
    expected[:3, 3] = [0.1, 0.0, 1.0]
    np.testing.assert_allclose(summary.base_from_camera, expected, atol=1e-12)


def test_summary_without_transform_or_text_says_so(tmp_path: Path) -> None:
    summary = summarise(write_bag(tmp_path / "bag", transform=False, text=None))
    assert summary.base_from_camera is None
    assert summary.text_topic is None


def test_a_long_record_of_moving_frames_is_no_camera_pose(tmp_path: Path) -> None:
    """The node looks a moving camera up at the cloud's time; static transforms still count."""
    summary = summarise(write_bag(tmp_path / "bag", transform=False, moving=10_100))
    assert summary.base_from_camera is None
    assert summary.transforms_topics == ("/tf",)
    assert summarise(write_bag(tmp_path / "both", moving=10)).base_from_camera is not None


def test_bad_bags_are_refused_in_one_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = write_bag(tmp_path / "broken")
    (broken / "metadata.yaml").write_text("rosbag2_bagfile_information: 3\n", encoding="utf-8")
    cut = write_bag(tmp_path / "cut")
    file = next(cut.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:2000])
    none = write_bag(tmp_path / "none", clouds=0)
    for folder, expected in (
        (tmp_path / "missing", "does not exist"),
        (empty, "no metadata.yaml"),
        (broken, "cannot be read"),
        (cut, "cannot be read"),
        (none, "0 messages"),
    ):
        with pytest.raises(CloudError, match=expected) as caught:
            summarise(folder)
        assert "\n" not in str(caught.value)


def test_everything_arrives_byte_for_byte_and_no_faster_than_recorded(tmp_path: Path) -> None:
    from sensor_msgs.msg import PointCloud2
    from std_msgs.msg import String

    from maskdex_ros.qos import profile

    bag = write_bag(tmp_path / "bag", clouds=3)
    with open_bag(bag) as reader:
        recorded = [bytes(data) for _, _, data in messages(reader, {POINTS})]
    domain_id = free_domain_id()
    client = Client(domain_id)
    heard: list[tuple[float, bytes]] = []
    client.node.create_subscription(
        PointCloud2, "/points", lambda data: heard.append((time.monotonic(), data)), profile(10), raw=True
    )
    client.heard["/maskdex/report"] = []
    client.listen(String, "/task_text")
    options = ("--remap", POINTS, "points", "--wait-for", "points", "task_text")
    try:
        with process(player_command(bag, *options), ros_environment(domain_id)) as child:
            client.spin_until(lambda: len(heard) == 3 and client.heard["/task_text"], what="all messages")
            assert child.wait(10) == 0
            log = child.stdout.read() if child.stdout else ""
    finally:
        client.close()
    # RTPS pads to four bytes and notes that in the four bytes of the header.
    assert [data[4 : len(sent)] for (_, data), sent in zip(heard, recorded, strict=True)] == [
        sent[4:] for sent in recorded
    ]
    assert heard[2][0] - heard[0][0] > 0.15  # recorded 0.2 s apart
    assert client.heard["/task_text"][0].data == "pick up the mug"
    with_tf = importlib.util.find_spec("tf2_msgs") is not None
    assert (f"skipping {STATIC}" in log) != with_tf
    assert f"played {4 + with_tf} messages" in log


def test_full_size_clouds_arrive_best_effort_through_shared_memory() -> None:
    """Without the 64 MB segment none of them does."""
    bag = SCENES / "blue_mug" / "bag"
    if not bag.is_dir():
        pytest.skip("real captures are not beside the checkout")
    from sensor_msgs.msg import PointCloud2

    from maskdex_ros.qos import profile

    domain_id = free_domain_id()
    client = Client(domain_id)
    heard: list[bytes] = []
    points = "/camera/camera/depth/color/points"
    client.node.create_subscription(PointCloud2, "/points", heard.append, profile(5, reliable=False), raw=True)
    client.heard["/maskdex/report"] = []
    options = ("--topics", points, "--remap", points, "points", "--wait-for", "points", "--loop", "3")
    try:
        with process(player_command(bag, *options), ros_environment(domain_id)):
            client.spin_until(lambda: len(heard) == 9, what="9 clouds")
    finally:
        client.close()
    assert {len(data) for data in heard} == {4915353}


def test_the_bags_time_goes_out_on_clock_and_starts_again_with_the_bag(tmp_path: Path) -> None:
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import PointCloud2

    domain_id = free_domain_id()
    client = Client(domain_id)
    client.heard["/maskdex/report"] = []
    times: list[float] = []
    client.node.create_subscription(Clock, "/clock", lambda m: times.append(m.clock.sec + 1e-9 * m.clock.nanosec), 50)
    client.node.create_subscription(PointCloud2, POINTS, lambda _: None, 10, raw=True)
    options = ("--clock", "--loop", "2", "--wait-for", POINTS)
    try:
        with process(
            player_command(write_bag(tmp_path / "bag", clouds=4), *options), ros_environment(domain_id)
        ) as child:
            client.spin_until(lambda: child.poll() is not None, what="the end of the bag")
            client.spin_for(0.3)
    finally:
        client.close()
    start = START * 1e-9
    assert min(times) >= start - 1e-6
    assert max(times) == pytest.approx(start + 0.4, abs=1e-3)
    steps = np.diff(times)
    assert len(times) > 10
    assert np.sum(steps < 0) == 1  # once, where the bag starts again


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [(("missing",), 3, "does not exist"), ((".", "--rate", "0"), 2, "--rate 0.0 is not valid")],
)
def test_command_line_errors_are_one_line_and_an_exit_code(
    arguments: tuple[str, ...], code: int, expected: str
) -> None:
    with process(player_command(Path(arguments[0]), *arguments[1:]), ros_environment(free_domain_id())) as child:
        assert child.wait(15) == code
        log = child.stdout.read() if child.stdout else ""
    assert expected in log
    assert "Traceback" not in log


def test_arguments_are_checked() -> None:
    folder, options = parse_arguments(["bag", "--remap", "/a", "b", "--rate", "2"])
    assert (folder, options.rate, options.remap) == (Path("bag"), 2.0, {"/a": "b"})
    for wrong in (["bag", "--loop", "0"], ["bag", "--rate", "nan"]):
        with pytest.raises(UsageError):
            parse_arguments(wrong)


def test_recorded_qos_is_offered_again(tmp_path: Path) -> None:
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    with open_bag(write_bag(tmp_path / "bag")) as reader:
        by_topic = {connection.topic: offered_qos(connection) for connection in reader.connections}
    assert by_topic[POINTS].reliability == ReliabilityPolicy.RELIABLE
    assert by_topic[STATIC].durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert by_topic[TEXT].durability == DurabilityPolicy.VOLATILE
