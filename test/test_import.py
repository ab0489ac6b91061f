"""`maskdex data import`: poses and scales arrive, unsafe and damaged files are refused and run nothing."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import trimesh
from cli_support import fails, run

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.data.dexgraspnet_import import category, import_dexgraspnet, read_grasps, read_object_array
from maskdex_core.errors import DatasetError, UsageError
from maskdex_core.hands import HandModel
from maskdex_core.hands.dexgraspnet import JOINT_NAMES, to_dexgraspnet

CODE = "core-bottle-0123456789abcdef0123456789abcdef"
OTHER = "mujoco-Some_Toy"
SIDES = np.array([0.5, 0.7, 1.1])  # of the mesh, in its units
NUMPY_1 = b"numpy.core.multiarray"


def poses(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints (n, 22) inside the limits, rotations (n, 3, 3), translations (n, 3)."""
    rng, hand = np.random.default_rng(seed), HandModel.load("shadow")
    joints = rng.uniform(hand.lower.numpy(), hand.upper.numpy(), (count, 22))
    rotation = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    rotation *= np.linalg.det(rotation)[:, None, None]
    return joints, rotation, rng.uniform(-0.1, 0.1, (count, 3))


def entries(count: int = 3, scale: float = 0.08) -> list[dict]:
    return [{"qpos": to_dexgraspnet(*pose), "scale": scale} for pose in zip(*poses(count), strict=True)]


def object_array(items: list) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def save(path: Path, content: object) -> Path:
    """Write an object array; bytes are taken as its pickle."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": (3,)})
    whole = stream.getvalue() + (content if isinstance(content, bytes) else pickle.dumps(content, 4))
    path.write_bytes(whole)
    return path


def read(path: Path):
    return read_grasps(path, HandModel.load("shadow"))


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """One mesh in each of the two places."""
    folder = tmp_path / "meshes"
    (folder / CODE / "coacd").mkdir(parents=True)
    trimesh.creation.box(SIDES).export(folder / CODE / "coacd" / "decomposed.obj")
    trimesh.creation.icosphere(radius=0.5).export(folder / f"{OTHER}.obj")
    return folder


# ---------------------------------------------------------------------- what is right arrives
def test_grasps_objects_and_words_arrive(tmp_path: Path, meshes: Path):
    source = tmp_path / "source"
    source.mkdir()
    np.save(source / f"{CODE}.npy", object_array([*entries(3, 0.08), *entries(2, np.float32(0.12))]), allow_pickle=True)
    np.save(source / f"{OTHER}.npy", object_array(entries(1, 0.1)), allow_pickle=True)
    ended = run("data", "import", source, "--meshes", meshes, "--out", tmp_path / "set")
    assert ended.code == 0, ended.err
    assert "6 grasps on 3 objects" in ended.err
    data = GraspDataset.load(tmp_path / "set")
    assert data.object_names == (f"{CODE}_0.08", f"{CODE}_0.12", f"{OTHER}_0.1")
    joints, rotation, translation = poses(3)
    assert np.allclose(data.joints_as(JOINT_NAMES)[:3], joints, atol=1e-4)
    assert np.allclose(data.palm_rotation[:3], rotation, atol=1e-4)
    assert np.allclose(data.palm_translation[:3], translation, atol=1e-5)
    assert data.texts[0] == ("hold the bottle",) and data.texts[5] == ("hold the object",)
    assert set(data.table["split"]) == {"train"} and data.table["family"][5] == ""
    assert np.isnan(data.table["fc6"]).all() and not any(data.table["tasks"])  # neither was tested
    small, large = (data.objects[f"{CODE}_{scale}"].points.numpy() for scale in ("0.08", "0.12"))
    assert np.allclose(np.ptp(small, axis=0), 0.08 * SIDES, atol=1e-3)
    assert np.allclose(large, 1.5 * small, atol=1e-4)
    assert "fc6`, `fc1`, `pen_mm` and `q1` are NaN" in (tmp_path / "set" / "card.md").read_text()


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("core", [b"numpy._core.multiarray", NUMPY_1])
def test_files_of_old_and_new_numpy_are_read(tmp_path: Path, protocol: int, core: bytes):
    rows = [{**entry, "scale": np.float64(0.08), "plan": np.arange(4.0)} for entry in entries()]
    content = pickle.dumps(object_array(rows), protocol)
    here = np.empty(0).__reduce__()[0].__module__.encode()
    if protocol < 4:
        content = content.replace(b"c" + here + b"\n", b"c" + core + b"\n")
        assert b"c" + core + b"\n" in content
    else:
        content = content.replace(bytes([len(here)]) + here, bytes([len(core)]) + core)
        content = content[:2] + content[content.index(b"\x8c") :]  # the frame's length has changed
    found = read(save(tmp_path / "a.npy", content))
    assert found.scale.tolist() == [0.08] * 3
    assert np.allclose(found.joints, poses(3)[0])


def test_names_come_from_the_code_alone():
    assert category(CODE) == "bottle"
    assert category("sem-WineGlass-0123456789abcdef0123456789abcdef") == "wine glass"
    assert category("mujoco-Bottle") == category("ddg-gd_bottle_001") == category("core-bottle") == ""


# ---------------------------------------------------------------------- what is unsafe is refused
class _Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_a_pickle_that_runs_a_program_runs_nothing(tmp_path: Path):
    marker = tmp_path / "marker"
    for function, argument in ((os.system, f"touch {marker}"), (eval, f"open({str(marker)!r}, 'w')")):
        rows = [{**entries(1)[0], "plan": _Calls(function, argument)}]
        path = save(tmp_path / "evil.npy", object_array(rows))
        with pytest.raises(DatasetError, match=rf"evil.npy: unsafe, it asks for '\w+\.{function.__name__}'"):
            read_object_array(path)
        assert not marker.exists()
        np.load(path, allow_pickle=True)  # it would have run
        assert marker.exists()
        marker.unlink()


@pytest.mark.parametrize(
    "name",
    ["numpy.fromfile", "numpy._core.multiarray.fromfile", "builtins.getattr", "numpy.f2py.os.system", "torch.load"],
)
def test_other_names_are_refused(tmp_path: Path, name: str):
    module, _, function = name.rpartition(".")
    path = save(tmp_path / "a.npy", b"c" + module.encode() + b"\n" + function.encode() + b"\n.")
    with pytest.raises(DatasetError, match=f"asks for '{name}'"):
        read_object_array(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"N" + b"r\xff\xff\xff\x7f" + b".", "memo of 2 billion entries"),
        (b"\x96\x00\x00\x00\x00\x10\x00\x00\x00", "byte array of 64 GB"),
        (b"\x8e\x00\x00\x00\x00\x10\x00\x00\x00", "bytes of 64 GB"),
        (b"(" * 100_000, "marks"),
        (b"]" + b"]q\x01a" * 3 + b".", "a list, no array"),
        (b"cnumpy\nndarray\n}(X\x05\x00\x00\x00itemsK\x01ub.", "changes the reader's own class"),
        (pickle.dumps(np.zeros((2, 2)), 3), "numbers"),
        (pickle.dumps({"qpos": 1}, 4), "a dict"),
    ],
)
def test_hostile_and_wrong_pickles_are_refused(tmp_path: Path, content: bytes, why: str):
    with pytest.raises(DatasetError, match=r"a\.npy: (damaged|holds)"):
        read_object_array(save(tmp_path / "a.npy", content))


def test_no_damage_gets_past_the_reader(tmp_path: Path):
    whole = save(tmp_path / "a.npy", object_array(entries(1))).read_bytes()
    path, rng = tmp_path / "b.npy", np.random.default_rng(0)
    for cut in range(1, len(whole), 29):
        path.write_bytes(whole[:cut])
        with pytest.raises(DatasetError, match=r"b\.npy: "):
            read(path)
    refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), 2):
            changed[at] = rng.integers(256)
        path.write_bytes(changed)
        try:
            assert np.isfinite(read(path).joints).all()
        except DatasetError as error:
            refused += str(path) in str(error)
    assert refused > 150


# ---------------------------------------------------------------------- what is wrong is named
def changed(**values: object) -> object:
    entry = entries(1)[0]
    qpos = {**entry["qpos"], **{key: value for key, value in values.items() if key in entry["qpos"]}}
    return object_array([{**entry, "qpos": qpos, **{k: v for k, v in values.items() if k not in qpos}}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (object_array([{"trans": 1, "rot": 2, "joint_angles": 3}]), "grasp 0: lacks 'qpos', has joint_angles, rot"),
        (object_array([{"qpos": {}}]), "grasp 0: lacks 'scale', has qpos"),
        (object_array([{"qpos": {}, "scale": 0.1}]), "grasp 0: .*FFJ3' is missing"),
        (object_array([{"qpos": np.zeros(28), "scale": 0.1}]), "'qpos' is an array of numbers; expected a dict"),
        (object_array([{"qpos": {1: 2}, "scale": 0.1}]), "'qpos' is a dict of nothing; expected a dict of named"),
        (object_array(["text"]), "grasp 0: is a str; expected"),
        (object_array([]), "holds no grasps"),
        (changed(scale=0), "'scale' is 0.*; expected above 0"),
        (changed(scale=float("nan")), "'scale' is nan; expected a finite number"),
        (changed(scale=[1]), "'scale' is a list; expected a number"),
        (changed(WRJTx=float("nan")), "'WRJTx' is nan; expected a finite number"),
        (changed(WRJTx=10**400), "'WRJTx' is an integer beyond 1e9; expected a finite number"),
        (changed(WRJTx="0.1"), "'WRJTx' is a str; expected a number"),
        (changed(WRJTx=45.0), "palm is 45 m off the object"),
        (changed(**{"robot0:FFJ2": 45.0}), "joint FFJ3 is 45; expected .* rad"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, content: np.ndarray, message: str):
    np.save(tmp_path / "a.npy", content, allow_pickle=True)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path / "a.npy")


def test_an_unknown_joint_is_named(tmp_path: Path):
    entry = entries(1)[0]
    entry["qpos"]["robot0:XXJ9"] = 0.0
    np.save(tmp_path / "a.npy", object_array([entry]), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"grasp 0: .*joint 'robot0:XXJ9' is unknown"):
        read(tmp_path / "a.npy")


def test_other_formats_say_what_is_accepted(tmp_path: Path):
    (tmp_path / "empty.npy").touch()
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "numbers.npy", np.zeros((3, 28)))
    (tmp_path / "grasps.parquet").write_bytes(b"PAR1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "grasps.npz").touch()
    for name, message in (
        ("empty.npy", "is empty (0 bytes)"),
        ("text.npy", "not a numpy file; expected DexGraspNet's <object code>.npy"),
        ("numbers.npy", "is an array of float64 of shape (3, 28); expected"),
        ("grasps.parquet", "kind '.parquet' is not accepted; expected DexGraspNet's <object code>.npy"),
        ("folder", "holds no .npy file but .npz; expected"),
        ("moon", "does not exist"),
    ):
        fails(run("data", "import", tmp_path / name, "--out", tmp_path / "set"), 3, name, message)
    assert not list((tmp_path / "set").iterdir())


def test_missing_and_wrong_meshes_are_named(tmp_path: Path, meshes: Path):
    source, out = tmp_path / "source", tmp_path / "set"
    source.mkdir()
    for code in (CODE, OTHER):
        np.save(source / f"{code}.npy", object_array(entries(1)), allow_pickle=True)
    with pytest.raises(DatasetError, match=f"hold no object surfaces: give --meshes DIR .*2 object codes .*{CODE}"):
        import_dexgraspnet(source, out, None)
    (meshes / f"{OTHER}.obj").rename(meshes / "another.obj")
    with pytest.raises(DatasetError, match=f"lacks 1 of 2 objects, the first is '{OTHER}'; expected <object code>/"):
        import_dexgraspnet(source, out, meshes)
    trimesh.creation.icosphere(radius=500.0).export(meshes / f"{OTHER}.obj")
    fails(run("data", "import", source, "--meshes", meshes, "--out", out), 3, OTHER, "at scale 0.08", "above 1 m")
    assert not list(out.iterdir())  # nothing half done


def test_a_dataset_is_never_written_over(tmp_path: Path, meshes: Path):
    np.save(tmp_path / f"{OTHER}.npy", object_array(entries(1)), allow_pickle=True)
    assert import_dexgraspnet(tmp_path / f"{OTHER}.npy", tmp_path / "set", meshes) == (1, 1)
    before = (tmp_path / "set" / "grasps.parquet").read_bytes()
    with pytest.raises(UsageError, match="already holds a dataset"):
        import_dexgraspnet(tmp_path / f"{OTHER}.npy", tmp_path / "set", meshes)
    assert (tmp_path / "set" / "grasps.parquet").read_bytes() == before


def test_joints_a_little_beyond_the_limits_are_set_to_them(tmp_path: Path):
    hand = HandModel.load("shadow")
    upper = float(hand.upper[JOINT_NAMES.index("FFJ3")])
    found = read(save(tmp_path / "a.npy", changed(**{"robot0:FFJ2": upper + 0.5})))
    assert found.joints[0, JOINT_NAMES.index("FFJ3")] == pytest.approx(upper)
