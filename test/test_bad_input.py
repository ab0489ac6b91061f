"""Every bad input at the command line: one sentence, the right exit code, no result printed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from cli_support import DEMO_BAG, export_mug, fails, run, run_process
from perception_scenes import K, box, camera, capture, placed, table

from maskdex_core.grasp.checkpoint import DEFAULT_FOLDER
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands import known_hands


def plan(cloud: Path, *more: object):
    return run("plan", "--cloud", cloud, *(more or ("--text", "hold it")))


def saved(path: Path, points: np.ndarray) -> Path:
    np.savez(path, points=points.astype(np.float32))
    return path


# ---------------------------------------------------------------- files
def test_missing_cloud_in_a_real_process(tmp_path: Path):
    fails(run_process("plan", "--cloud", tmp_path / "no.npz", "--text", "hold it"), 3, "no.npz", "no such file")


def test_empty_cloud_file(tmp_path: Path):
    (tmp_path / "c.ply").touch()
    fails(plan(tmp_path / "c.ply"), 3, "c.ply", "empty (0 bytes)")


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_truncated_cloud_file(tmp_path: Path, kind: str):
    points = np.random.default_rng(0).uniform(0.2, 0.8, (400, 3)).astype(np.float32)
    path = tmp_path / f"c.{kind}"
    np.savez(path, points=points) if kind == "npz" else np.save(path, points)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    fails(plan(path), 3, f"c.{kind}", "not a readable")


def test_cloud_of_another_kind(tmp_path: Path):
    (tmp_path / "c.txt").write_text("0 0 0")
    fails(plan(tmp_path / "c.txt"), 3, "'.txt'", ".npz", ".pcd", "bag")


def test_cloud_with_a_wrong_content(tmp_path: Path):
    (tmp_path / "c.npz").write_text("this is no archive")
    fails(plan(tmp_path / "c.npz"), 3, "c.npz", "not a readable .npz")


def test_folder_that_is_no_bag(tmp_path: Path):
    fails(plan(tmp_path), 3, "not a ROS 2 bag", "metadata.yaml")


def test_truncated_bag(tmp_path: Path):
    shutil.copytree(DEMO_BAG, tmp_path / "bag")
    path = tmp_path / "bag" / "bag.mcap"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    fails(plan(tmp_path / "bag"), 3, "bag")


# ---------------------------------------------------------------- clouds
@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((0, 3)), ("0 points",)),
        (np.full((500, 3), np.nan), ("none is valid", "NaN")),
        (np.array([[0.1, 0.1, 0.5]]), ("1 valid points", "100")),
        (np.random.default_rng(0).uniform(200, 900, (500, 3)), ("must be in metres",)),
    ],
    ids=["0 points", "all NaN", "1 point", "millimetres"],
)
def test_unusable_points(tmp_path: Path, points: np.ndarray, words: tuple[str, ...]):
    fails(plan(saved(tmp_path / "c.npz", points)), 3, *words)


def test_no_table(tmp_path: Path):
    ball = np.random.default_rng(0).normal(size=(4000, 3))
    ball = 0.2 * ball / np.linalg.norm(ball, axis=1, keepdims=True) + [0, 0, 0.6]
    fails(plan(saved(tmp_path / "c.npz", ball)), 3, "no table", "points")


def test_two_objects_name_both_and_how_to_choose(tmp_path: Path):
    left, right = placed(box(), y=-0.12), placed(box(), y=0.14)
    cloud, _ = capture([left, right, table()], camera(45))
    path = tmp_path / "c.npz"
    np.savez(path, points=cloud.points, base_from_camera=cloud.base_from_camera)
    fails(plan(path), 3, "2 objects", "object_near", "--object-near X Y Z")


# ---------------------------------------------------------------- texts
@pytest.mark.parametrize(
    ("text", "words"),
    [("", ("empty",)), (" \n\t", ("empty",)), ("grasp " * 2000, ("12000 characters", "1000"))],
    ids=["nothing", "white space", "10000 characters"],
)
def test_unusable_text(text: str, words: tuple[str, ...]):
    fails(plan(DEMO_BAG, "--text", text), 3, "task text", *words)


def test_no_text_anywhere(tmp_path: Path):
    points = np.random.default_rng(0).uniform(0.2, 0.8, (400, 3))
    path = saved(tmp_path / "c.npz", points)
    fails(run("plan", "--cloud", path), 2, "c.npz", "--text")


# ---------------------------------------------------------------- robots and options
def test_unknown_hand_names_the_known_ones():
    fails(plan(DEMO_BAG, "--hand", "freedom_v9"), 3, "'freedom_v9'", *known_hands())


def test_unknown_arm():
    fails(plan(DEMO_BAG, "--arm", "ur5"), 3, "'ur5'", "xarm7")


def test_camera_pose_that_is_no_rotation():
    pose = ("--base-from-camera", 0, 0, 0, 0, 0, 0, 0.5)
    fails(plan(DEMO_BAG, *pose), 2, "quaternion", "0.500")


def test_output_that_is_a_file(tmp_path: Path):
    (tmp_path / "out").touch()
    fails(plan(DEMO_BAG, "--out", tmp_path / "out"), 2, "--out")


# ---------------------------------------------------------------- checkpoints
@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT_FOLDER, tmp_path / "model"))


def test_missing_checkpoint(tmp_path: Path):
    fails(plan(DEMO_BAG, "--checkpoint", tmp_path / "gone"), 3, "gone", "does not exist")


def test_truncated_weights(checkpoint: Path):
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    fails(plan(DEMO_BAG, "--checkpoint", checkpoint), 3, "model.safetensors", "not a readable")


def test_garbage_configuration(checkpoint: Path):
    (checkpoint / "config.json").write_text("{garbage")
    fails(plan(DEMO_BAG, "--checkpoint", checkpoint), 3, "config.json", "not valid JSON")


def test_checkpoint_of_another_version(checkpoint: Path):
    content = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**content, "format_version": 99}))
    fails(plan(DEMO_BAG, "--checkpoint", checkpoint), 3, "version 99", "reads 2")


def test_weights_of_another_model(checkpoint: Path):
    content = json.loads((checkpoint / "config.json").read_text())
    content["model"]["transformer"]["layers"] += 1
    (checkpoint / "config.json").write_text(json.dumps(content))
    fails(plan(DEMO_BAG, "--checkpoint", checkpoint), 3, "does not fit")


# ---------------------------------------------------------------- meshes and grasps
def sample(mesh: Path, *more: object):
    return run("sample", "--mesh", mesh, "--text", "hold it", "--out", mesh.with_name("g.npz"), *more)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.obj", None, ("gone.obj", "No such file")),
        ("m.obj", b"", ("m.obj", "empty (0 bytes)")),
        ("m.stl", b"no mesh at all", ("m.stl",)),
        ("m.ply", b"ply\nformat ascii 1.0\nelement vertex 9\n", ("m.ply", "not a readable PLY")),
        ("m.step", b"ISO-10303", ("'.step'", ".obj", ".stl")),
    ],
)
def test_unreadable_mesh(tmp_path: Path, name: str, content: bytes | None, words: tuple[str, ...]):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    fails(sample(tmp_path / name), 3, *words)
    assert not (tmp_path / "g.npz").exists()


def test_mesh_with_a_hole_and_in_millimetres(tmp_path: Path):
    mesh = trimesh.creation.cylinder(0.03, 0.1)
    mesh.update_faces(mesh.face_normals[:, 2] < 0.5)  # no lid
    mesh.export(tmp_path / "open.obj")
    fails(sample(tmp_path / "open.obj"), 3, "not watertight", "open edges", "close it")
    mesh = trimesh.creation.box((60, 80, 100))
    mesh.export(tmp_path / "big.obj")
    fails(sample(tmp_path / "big.obj"), 3, "60 x 80 x 100 m", "millimetres")


@pytest.mark.parametrize("n", ["0", "-3", "1000000"])
def test_number_of_grasps_out_of_range(tmp_path: Path, n: str):
    fails(sample(tmp_path / "m.obj", "--n", n), 2, n, "10000")


def test_edit_of_unknown_parts_and_of_no_grasps(tmp_path: Path):
    mesh = export_mug(tmp_path / "m.stl")
    (tmp_path / "bad.npz").write_bytes(b"PK")

    def edit(grasps: str, parts: str):
        common = ("--text", "hold it", "--mesh", mesh, "--out", tmp_path / "e.npz")
        return run("edit", "--grasps", tmp_path / grasps, "--parts", parts, *common)

    fails(edit("g.npz", "ring,pinky"), 2, "'pinky'", "thumb", "little")
    fails(edit("g.npz", ","), 2, "thumb")
    fails(edit("g.npz", "ring"), 3, "g.npz", "does not exist")
    fails(edit("bad.npz", "ring"), 3, "bad.npz", "not a readable .npz")


def test_edit_of_another_hand_s_grasps(tmp_path: Path):
    import torch

    other = GraspBatch(("a", "b"), torch.zeros(1, 2), torch.eye(3)[None], torch.zeros(1, 3))
    other.to_npz(tmp_path / "g.npz")
    mesh = export_mug(tmp_path / "m.stl")
    ended = run(
        "edit", "--grasps", tmp_path / "g.npz", "--parts", "ring", "--text", "hold it", "--mesh", mesh,
        "--out", tmp_path / "e.npz",
    )  # fmt: skip
    fails(ended, 3, "joints", "FFJ1")


# ---------------------------------------------------------------- data and training
@pytest.mark.parametrize("command", [("data", "stats"), ("train", "tokenizer", "--out", "unused", "--data")])
def test_missing_and_foreign_datasets(tmp_path: Path, monkeypatch, command: tuple[str, ...]):
    monkeypatch.chdir(tmp_path)
    fails(run(*command, tmp_path / "gone"), 3, "gone")
    (tmp_path / "other").mkdir()
    fails(run(*command, tmp_path / "other"), 3, "other", "lacks")


def test_unknown_family_configuration_and_device(tmp_path: Path):
    fails(run("data", "build", "--out", tmp_path / "d", "--families", "mug", "teapot"), 2, "'teapot'", "bowl")
    train = ("train", "tokenizer", "--data", tmp_path, "--out", tmp_path / "o")
    fails(run(*train, "--config", "huge"), 3, "'huge'", "paper", "small")
    fails(run(*train, "--device", "warp"), 2, "'warp'")
    fails(run(*train, "--minutes", "0"), 2, "0.0")


def test_a_camera_matrix_that_is_none(tmp_path: Path):
    np.savez(tmp_path / "c.npz", depth_mm=np.full((20, 20), 500, np.uint16), K=0 * K)
    fails(plan(tmp_path / "c.npz"), 3, "pinhole")
