"""The dataset folder: what is written is read, and what is wrong is named."""

import errno
import json
import subprocess

import numpy as np
import pytest
import torch

from maskdex_core.data import GraspDataset, files, write_dataset
from maskdex_core.errors import DatasetError

NAMES = ("j0", "j1", "j2")


def _objects():
    rng = np.random.default_rng(0)
    return {
        name: {
            "points": rng.normal(size=(count, 3)),
            "normals": rng.normal(size=(count, 3)),
            "part_ids": rng.integers(2, size=count),
            "family": name,
            "part_names": ["body", "handle"],
        }
        for name, count in (("mug/1", 30), ("knife", 20), ("spare", 5))
    }


def _rows(count=6):
    rng = np.random.default_rng(1)
    return [
        {
            "object": ("mug/1", "knife")[row % 2],
            "split": "unseen" if row == 5 else "train",
            "tasks": ["lift"],
            "texts": [f"lift {row}", "lift it"],
            "joints": rng.normal(size=3),
            "squeeze": rng.normal(size=3),
            "palm_translation": rng.normal(size=3),
            "palm_rotation": np.linalg.qr(rng.normal(size=(3, 3)))[0],
            "contact_links": ["rh_ffdistal"],
            "fc6": float(row % 2),
            "pen_mm": 1.5,
        }
        for row in range(count)
    ]


def _info(**more):
    return {"joint_names": NAMES, "hand": "shadow", "version": "test-1", **more}


@pytest.fixture
def folder(tmp_path):
    write_dataset(tmp_path / "d", _rows(), _objects(), _info(card="# Six grasps"))
    return tmp_path / "d"


def test_what_is_written_is_read(folder):
    rows, data = _rows(), GraspDataset.load(folder)
    assert len(data) == 6 and data.joint_names == NAMES and data.info["version"] == "test-1"
    assert data.object_names == ("knife", "mug/1")
    for row, grasp in enumerate(rows):
        assert data.object_names[data.object_index[row]] == grasp["object"]
        assert np.allclose(data.joints[row], grasp["joints"], atol=1e-4)
        assert np.allclose(data.palm_rotation[row], grasp["palm_rotation"], atol=1e-4)
        assert np.allclose(data.palm_translation[row], grasp["palm_translation"], atol=1e-4)
        assert data.texts[row] == tuple(grasp["texts"])
        assert data.table["fc6"][row] == grasp["fc6"] and data.table["contact_links"][row] == ["rh_ffdistal"]
    assert np.allclose(data.objects["mug/1"].points, _objects()["mug/1"]["points"], rtol=1e-3)
    assert data.objects["knife"].facts["part_names"] == ["body", "handle"]
    assert (folder / "card.md").read_text() == "# Six grasps"


def test_absent_columns_have_blanks(folder):
    data = GraspDataset.load(folder)
    assert torch.equal(data.joints_as(NAMES, "pregrasp"), data.joints)
    assert not torch.equal(data.joints_as(NAMES, "squeeze"), data.joints)
    assert data.table["family"] == [""] * 6 and np.isnan(data.table["q1"]).all()


def test_columns_and_rows_write_the_same(folder, tmp_path):
    rows = _rows()
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    write_dataset(tmp_path / "c", columns, _objects(), _info())
    assert torch.equal(GraspDataset.load(tmp_path / "c").joints, GraspDataset.load(folder).joints)


def test_split_keeps_its_rows_and_their_objects(folder):
    data = GraspDataset.load(folder)
    train, unseen = data.split("train"), data.split("unseen")
    assert len(train) == 5 and len(unseen) == 1
    assert unseen.object_names == ("knife",) and int(unseen.object_index[0]) == 0
    assert torch.equal(unseen.joints[0], data.joints[5])
    with pytest.raises(DatasetError, match="split 'moon' is unknown; known: train, unseen"):
        data.split("moon")


def test_joints_are_reordered_by_name(folder):
    data = GraspDataset.load(folder)
    assert torch.equal(data.joints_as(("j2", "j0")), data.joints[:, [2, 0]])
    with pytest.raises(DatasetError, match="joint 'j9' is unknown"):
        data.joints_as(("j9",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": [0.0, 1.0]}, "'joints': every row needs 3 numbers"),
        ({"palm_translation": [0.0, np.nan, 0.0]}, "'palm_translation': contains NaN"),
        ({"object": "moon"}, "object 'moon' is unknown; known: knife, mug/1, spare"),
    ],
)
def test_wrong_rows_are_named(tmp_path, change, message):
    rows = _rows()
    rows[2] = {**rows[2], **change}
    with pytest.raises(DatasetError, match=message):
        write_dataset(tmp_path, rows, _objects(), _info())


def test_wrong_columns_are_named(tmp_path):
    with pytest.raises(DatasetError, match="column 'colour' is unknown"):
        write_dataset(tmp_path, [{**row, "colour": "red"} for row in _rows()], _objects(), _info())
    bare = [{key: value for key, value in row.items() if key != "texts"} for row in _rows()]
    with pytest.raises(DatasetError, match="column 'texts' is missing"):
        write_dataset(tmp_path, bare, _objects(), _info())
    with pytest.raises(DatasetError, match="lacks joint_names"):
        write_dataset(tmp_path, _rows(), _objects(), {})


@pytest.mark.parametrize("name", ["grasps.parquet", "objects.safetensors", "objects.json"])
def test_missing_and_cut_files_are_named(folder, name):
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=name.replace(".", r"\.")):
        GraspDataset.load(folder)
    path.unlink()
    with pytest.raises(DatasetError, match=f"lacks {name}"):
        GraspDataset.load(folder)


def test_another_schema_version_names_both(folder):
    content = json.loads((folder / "objects.json").read_text())
    (folder / "objects.json").write_text(json.dumps({**content, "schema_version": 9}))
    with pytest.raises(DatasetError, match="schema version 9, this program reads 2"):
        GraspDataset.load(folder)


def test_a_changed_file_is_noticed(folder):
    with (folder / "card.md").open("a") as card:
        card.write(" and more")
    with pytest.raises(DatasetError, match=r"card\.md: differs from checksums\.sha256"):
        GraspDataset.load(folder)


def test_checksums_are_those_of_sha256sum(folder):
    done = subprocess.run(["sha256sum", "-c", "checksums.sha256"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(": OK") == 4


def test_a_full_disk_leaves_the_dataset_that_was_there(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_surfaces", full)
    with pytest.raises(DatasetError, match="No space left on device"):
        write_dataset(folder, _rows(3), _objects(), _info())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
