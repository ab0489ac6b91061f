"""Every kind of cloud file is read, and every damaged one gives one clear sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from perception_scenes import CAPTURES, real_capture

from maskdex_core.data.bag_writer import Capture, write_bag
from maskdex_core.errors import CloudError
from maskdex_core.perception.files import load_cloud, points_from_depth

K = np.array([[100.0, 0, 20], [0, 100.0, 15], [0, 0, 1]])
BASE_FROM_CAMERA = np.array([[0, 0, 1.0, 0.1], [-1, 0, 0, 0.2], [0, -1, 0, 0.3], [0, 0, 0, 1]])


def small_capture(text: str = "hold the can") -> Capture:
    rng = np.random.default_rng(0)
    depth = rng.integers(400, 600, (30, 40)).astype(np.float32) / 1000
    depth[4, 5] = np.nan
    return Capture(depth, rng.integers(0, 255, (30, 40, 3), dtype=np.uint8), K, BASE_FROM_CAMERA, text)


def good_points() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.8, (400, 3)).astype(np.float32)


def test_depth_back_projects_by_the_pinhole_model():
    depth = np.zeros((30, 40))
    depth[15, 20], depth[15, 30] = 0.5, 0.5
    points = points_from_depth(depth, K).reshape(30, 40, 3)
    assert np.allclose(points[15, 20], (0, 0, 0.5))
    assert np.allclose(points[15, 30], (0.05, 0, 0.5))
    assert np.isnan(points[0, 0]).all()


def test_npz_npy_ply_and_pcd_agree(tmp_path: Path):
    import open3d

    points = good_points()
    np.savez(tmp_path / "c.npz", points=points)
    np.save(tmp_path / "c.npy", points)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(float)))
    for kind in ("ply", "pcd"):
        open3d.io.write_point_cloud(str(tmp_path / f"c.{kind}"), cloud)
    for kind in ("npz", "npy", "ply", "pcd"):
        assert np.abs(load_cloud(tmp_path / f"c.{kind}").points - points).max() < 1e-6, kind


def test_depth_npz_and_bag_of_one_capture_agree(tmp_path: Path):
    capture = small_capture()
    millimetres = np.round(np.nan_to_num(capture.depth) * 1000).astype(np.uint16)
    np.savez(tmp_path / "c.npz", depth_mm=millimetres, K=K, rgb=capture.rgb)
    write_bag(tmp_path / "bag", [capture] * 2)
    one, two = load_cloud(tmp_path / "c.npz"), load_cloud(tmp_path / "bag")
    assert np.array_equal(one.valid_mask, two.valid_mask)
    assert np.abs(one.valid_points() - two.valid_points()).max() < 1e-6
    assert np.abs(one.colors - two.colors).max() < 1e-6
    assert (two.text, two.frame) == ("hold the can", "camera_color_optical_frame")
    assert np.abs(two.base_from_camera - BASE_FROM_CAMERA).max() < 1e-9
    assert np.array_equal(load_cloud(tmp_path / "bag" / "bag.mcap").valid_mask, two.valid_mask)


def test_sqlite_bag_is_read(tmp_path: Path):
    from rosbags.highlevel import AnyReader
    from rosbags.rosbag2 import StoragePlugin, Writer

    write_bag(tmp_path / "bag", [small_capture()])
    with (
        AnyReader([tmp_path / "bag"]) as reader,
        Writer(tmp_path / "sqlite", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer,
    ):
        made = {
            c.topic: writer.add_connection(c.topic, c.msgtype, typestore=reader.typestore) for c in reader.connections
        }
        for connection, time, raw in reader.messages():
            writer.write(made[connection.topic], time, raw)
    assert np.array_equal(load_cloud(tmp_path / "sqlite").valid_points(), load_cloud(tmp_path / "bag").valid_points())


@pytest.mark.parametrize("name", CAPTURES)
def test_real_bag_equals_real_depth(name: str):
    folder = real_capture(name)
    bag, depth = load_cloud(folder / "bag"), load_cloud(folder / "scene.npz")
    assert np.abs(bag.valid_points() - depth.valid_points()).max() < 1e-6
    assert bag.text and bag.base_from_camera is not None and depth.base_from_camera is None


def damaged_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Write one file of each kind of damage; returns name → (path, words of the error)."""
    import open3d

    points = good_points()
    np.savez_compressed(folder / "good.npz", points=points)
    np.save(folder / "good.npy", points)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(float)))
    for kind in ("ply", "pcd"):
        open3d.io.write_point_cloud(str(folder / f"good.{kind}"), cloud)
    cases = {}
    for kind, words in {"npz": "not a readable .npz", "npy": ".npy", "ply": "PLY", "pcd": "PCD"}.items():
        data = (folder / f"good.{kind}").read_bytes()
        for name, part in {
            "half": data[: len(data) // 2],
            "start": data[:20],
            "noise": b"\x00\xff" * 200,
        }.items():
            path = folder / f"{name}.{kind}"
            path.write_bytes(part)
            cases[f"{name}.{kind}"] = (path, words)
        (folder / f"empty.{kind}").touch()
        cases[f"empty.{kind}"] = (folder / f"empty.{kind}", "empty")
    header = (folder / "good.pcd").read_bytes().split(b"DATA binary\n")[0]
    (folder / "bare.pcd").write_bytes(header + b"DATA binary\n" + b"\x00" * 40)
    cases["bare.pcd"] = (folder / "bare.pcd", "400 points need 400 bytes and it holds 40")
    flipped = bytearray((folder / "good.npz").read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    (folder / "flipped.npz").write_bytes(flipped)
    cases["flipped.npz"] = (folder / "flipped.npz", "npz archive")
    np.savez(folder / "keys.npz", depth=np.ones((4, 4)), other=1)
    cases["keys.npz"] = (folder / "keys.npz", "found: depth, other")
    np.savez(folder / "object.npz", points=np.array([{}], dtype=object))
    cases["object.npz"] = (folder / "object.npz", "not a readable .npz")
    np.savez(folder / "K.npz", depth_mm=np.ones((20, 20), np.uint16), K=np.eye(2))
    cases["K.npz"] = (folder / "K.npz", r"K has shape \(2, 2\)")
    np.save(folder / "flat.npy", points[:, :2])
    cases["flat.npy"] = (folder / "flat.npy", r"shape \(400, 2\)")
    (folder / "mesh.obj").write_text("v 0 0 0")
    cases["mesh.obj"] = (folder / "mesh.obj", "kind '.obj' is unknown; accepted: .npz")
    cases["missing"] = (folder / "missing.npz", "no such file")
    (folder / "no_bag").mkdir()
    cases["no_bag"] = (folder / "no_bag", "no metadata.yaml; found nothing")
    return cases


def test_damaged_files_are_named_one_by_one(tmp_path: Path):
    for name, (path, words) in damaged_files(tmp_path).items():
        with pytest.raises(CloudError, match=words) as caught:
            load_cloud(path)
        message = str(caught.value)
        assert message.startswith(str(path)), name
        assert "\n" not in message, name


def test_damaged_bags_are_named(tmp_path: Path):
    write_bag(tmp_path / "bag", [small_capture()])
    data = (tmp_path / "bag" / "bag.mcap").read_bytes()
    yaml = (tmp_path / "bag" / "metadata.yaml").read_text()
    cases = {"cut": data[: len(data) // 2], "noise": b"\x07" * 500, "empty": b""}
    for name, content in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "bag.mcap").write_bytes(content)
        (folder / "metadata.yaml").write_text(yaml)
        with pytest.raises(CloudError, match="the bag cannot be read") as caught:
            load_cloud(folder)
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "metadata.yaml").write_text(yaml)
    with pytest.raises(CloudError, match="the bag cannot be read"):
        load_cloud(tmp_path / "gone")


def test_bag_without_a_cloud_names_its_topics(tmp_path: Path):
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_KILTED)
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kind = "std_msgs/msg/String"
        connection = writer.add_connection("/task_text", kind, typestore=store)
        writer.write(connection, 1, store.serialize_cdr(store.types[kind](data="hold"), kind))
    with pytest.raises(CloudError, match=r"holds no sensor_msgs/msg/PointCloud2; its topics: /task_text"):
        load_cloud(tmp_path / "bag")
