"""The capture the demo plays: there, small, as a driver would record it, and segmentable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from perception_scenes import signed_distance

from maskdex_core.data.bag_writer import TOPICS
from maskdex_core.data.demo_scene import MUG_POSITION, TEXT, main, mug_mesh, scene_meshes
from maskdex_core.perception.completion import close_geometry
from maskdex_core.perception.files import load_cloud
from maskdex_core.perception.segment import segment

SHIPPED = Path(__file__).resolve().parent.parent / "data" / "demo_scene" / "bag"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert main([str(folder)]) == 0
    return folder / "bag"


def test_mug_is_closed_and_of_its_size():
    mug = mug_mesh()
    assert mug.is_watertight and mug.body_count == 1
    assert mug.bounds[0, 2] == pytest.approx(0.0, abs=1e-6)
    assert mug.bounds[1, 2] == pytest.approx(0.095, abs=1e-4)
    cavity = np.array([[0.0, 0.0, z] for z in (0.02, 0.05, 0.08)])
    assert (signed_distance(mug, cavity) > 0.01).all()


def test_shipped_bag_is_what_the_module_writes(written: Path):
    shipped, fresh = load_cloud(SHIPPED), load_cloud(written)
    # Ray casting may differ in the last bit between machines; the capture may not.
    assert (shipped.valid_mask == fresh.valid_mask).mean() > 0.999
    both = shipped.valid_mask & fresh.valid_mask
    assert np.median(np.abs(shipped.points[both] - fresh.points[both])) < 1e-4
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 3_000_000


def test_topics_types_and_frames_are_a_drivers(written: Path):
    from rosbags.highlevel import AnyReader

    with AnyReader([written]) as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == TOPICS
        counts = {c.topic: c.msgcount for c in reader.connections}
        cloud = next(c for c in reader.connections if c.topic.endswith("points"))
        times = [time for _, time, _ in reader.messages(connections=[cloud])]
        _, _, raw = next(reader.messages(connections=[cloud]))
        message = reader.deserialize(raw, cloud.msgtype)
    assert counts["/tf_static"] == counts["/task_text"] == 1
    assert counts["/camera/camera/depth/color/points"] == 3
    assert np.array_equal(np.diff(times), [200_000_000] * 2)
    assert [field.name for field in message.fields] == ["x", "y", "z", "rgb"]
    assert (message.height, message.width) == (240, 424)
    assert message.header.frame_id == "camera_color_optical_frame"


def test_the_mug_is_found_where_it_stands():
    cloud = load_cloud(SHIPPED)
    assert cloud.text == TEXT
    assert 0.02 < 1 - cloud.valid_mask.mean() < 0.3
    scene = segment(cloud)
    truth = scene_meshes()[0]
    assert abs(scene.table_height) < 0.003
    low, high = scene.object_points.min(axis=0), scene.object_points.max(axis=0)
    assert np.abs(high - truth.bounds[1]).max() < 0.008
    assert np.abs(low[:2] - truth.bounds[0, :2]).max() < 0.008
    closed = close_geometry(scene)
    inside = np.array([[*MUG_POSITION[:2], 0.09]])
    assert closed.distance(inside)[0] > 0.005
