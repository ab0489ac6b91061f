"""The transform buffer of our own: chains, time, and the reason when two frames cannot be related."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.time import Time
from scipy.spatial.transform import Rotation

from maskdex_ros.frames import CACHE, MOST_FRAMES, FrameBuffer, UnknownTransform

SECOND = 10**9


def stamped(parent: str, child: str, matrix: np.ndarray, time: float = 0.0) -> TransformStamped:
    x, y, z = (float(value) for value in matrix[:3, 3])
    qx, qy, qz, qw = (float(value) for value in Rotation.from_matrix(matrix[:3, :3]).as_quat())
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = Time(nanoseconds=round(time * 1e9)).to_msg()
    message.transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    return message


def rigid(rng: np.random.Generator) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 31))).as_matrix()
    matrix[:3, 3] = rng.uniform(-1.0, 1.0, 3)
    return matrix


def moved(x: float, angle: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", angle).as_matrix()
    matrix[0, 3] = x
    return matrix


def moving(*samples: tuple[float, np.ndarray], tolerance: float = 0.05) -> FrameBuffer:
    buffer = FrameBuffer(tolerance)
    buffer.take([stamped("base", "camera", matrix, time) for time, matrix in samples], static=False)
    return buffer


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31 - 1), st.integers(1, 6), st.integers(1, 6))
def test_any_two_frames_of_a_tree_are_related_through_their_common_ancestor(seed: int, up: int, down: int) -> None:
    rng = np.random.default_rng(seed)
    buffer, root_from = FrameBuffer(0.05), {"root": np.eye(4)}
    for branch, length in (("a", up), ("b", down)):
        parent = "root"
        for number in range(length):
            child, step = f"{branch}{number}", rigid(rng)
            buffer.take([stamped(parent, child, step)], static=bool(rng.integers(2)))
            root_from[child] = root_from[parent] @ step
            parent = child
    first, second = f"a{up - 1}", f"b{down - 1}"
    expected = np.linalg.inv(root_from[first]) @ root_from[second]
    assert buffer.lookup(first, second, 0) == pytest.approx(expected, abs=1e-9)
    assert buffer.lookup("root", second, 0) == pytest.approx(root_from[second], abs=1e-9)
    assert buffer.lookup(first, first, 0) == pytest.approx(np.eye(4))


def test_between_samples_a_frame_moves_on_a_line_and_turns_on_an_arc() -> None:
    buffer = moving((10.0, moved(0.0)), (10.2, moved(0.4, 1.0)))
    found = buffer.lookup("base", "camera", round(10.05 * SECOND))
    assert found == pytest.approx(moved(0.1, 0.25), abs=1e-9)
    assert buffer.lookup("base", "camera", 0) == pytest.approx(moved(0.4, 1.0)), "0 asks for the newest"


@pytest.mark.parametrize(
    ("time", "expected"),
    [(9.96, None), (10.24, None), (9.9, "oldest .* 0.10 s newer"), (11.2, "newest .* 1.00 s older")],
)
def test_beyond_its_samples_a_frame_is_known_for_the_tolerance_only(time: float, expected: str | None) -> None:
    buffer = moving((10.0, moved(0.0)), (10.2, moved(0.4)))
    if expected is None:
        assert buffer.lookup("base", "camera", round(time * SECOND))[0, 3] in (0.0, 0.4)
        return
    with pytest.raises(UnknownTransform, match=f"{expected}.*at most 0.05 s"):
        buffer.lookup("base", "camera", round(time * SECOND))


def test_static_transforms_hold_at_any_time_and_the_last_one_counts() -> None:
    buffer = FrameBuffer(0.05)
    for x in (1.0, 2.0):
        buffer.take([stamped("base", "camera", moved(x), 5.0)], static=True)
    for time in (0, 1, 10**18):
        assert buffer.lookup("base", "camera", time)[0, 3] == 2.0


def test_unknown_and_unconnected_frames_are_named() -> None:
    buffer = FrameBuffer(0.05)
    with pytest.raises(UnknownTransform, match="'base' was never heard on tf; heard: none"):
        buffer.lookup("base", "camera", 0)
    buffer.take([stamped("base", "arm", moved(1.0)), stamped("mount", "camera", moved(1.0))], static=True)
    with pytest.raises(UnknownTransform, match="'base' and 'camera' are not connected"):
        buffer.lookup("base", "camera", 0)
    with pytest.raises(UnknownTransform, match="'kamera' was never heard on tf; heard: arm, base, camera, mount"):
        buffer.lookup("base", "kamera", 0)


def test_a_loop_and_nonsense_do_no_harm() -> None:
    buffer = FrameBuffer(0.05)
    bad = stamped("base", "broken", moved(1.0))
    bad.transform.rotation.w = 7.0
    nan = stamped("base", "nan", moved(1.0))
    nan.transform.translation.x = float("nan")
    nameless = stamped("", "x", moved(1.0))
    own = stamped("x", "x", moved(1.0))
    loop = [stamped("a", "b", moved(1.0)), stamped("b", "a", moved(1.0))]
    buffer.take([bad, nan, nameless, own, *loop], static=True)
    with pytest.raises(UnknownTransform, match="never heard"):
        buffer.lookup("base", "a", 0)
    assert abs(buffer.lookup("a", "b", 0)[0, 3]) == 1.0, "a loop has no right answer, but an end"


def test_slashes_before_names_of_old_drivers_do_not_matter() -> None:
    buffer = FrameBuffer(0.05)
    buffer.take([stamped("/base", "/camera", moved(1.0))], static=True)
    assert buffer.lookup("base", "camera", 0)[0, 3] == 1.0


def test_time_that_was_set_back_begins_anew() -> None:
    buffer = moving((100.0, moved(1.0)), (100.1, moved(1.0)))
    buffer.take([stamped("base", "camera", moved(3.0), 50.0)], static=False)
    assert buffer.lookup("base", "camera", 50 * SECOND)[0, 3] == 3.0
    with pytest.raises(UnknownTransform, match="older"):
        buffer.lookup("base", "camera", 100 * SECOND)


def test_samples_out_of_order_are_sorted_and_old_ones_dropped() -> None:
    buffer = moving((10.0, moved(0.0)), (10.2, moved(0.2)), (10.1, moved(0.9)))
    assert buffer.lookup("base", "camera", round(10.1 * SECOND))[0, 3] == pytest.approx(0.9)
    for step in range(2000):
        buffer.take([stamped("base", "camera", moved(0.0), 11.0 + 0.02 * step)], static=False)
    (edge,) = buffer._edges.values()
    assert len(edge.times) == len(edge.matrices) <= CACHE / (0.02 * SECOND) + 1


def test_frames_without_number_do_not_fill_the_memory() -> None:
    buffer = FrameBuffer(0.05)
    for number in range(MOST_FRAMES + 50):
        buffer.take([stamped("base", f"frame{number}", np.eye(4))], static=True)
    assert len(buffer._edges) == MOST_FRAMES
    with pytest.raises(UnknownTransform, match=f"and {MOST_FRAMES + 1 - 20} more"):
        buffer.lookup("base", "camera", 0)
