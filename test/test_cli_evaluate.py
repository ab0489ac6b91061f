"""`maskdex evaluate`: numbers out of range and what is not there, named before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import trimesh
from cli_support import fails, run
from grasp_model_support import PALM_FRAME, FakeEncoder, tiny_model
from small_datasets import write_cans, write_splits

from maskdex_core.errors import CloudError, DatasetError


@pytest.mark.parametrize(
    ("option", "value", "most"),
    [
        ("--limit", "0", "10000"),
        ("--limit", "-1", "10000"),
        ("--limit", "10001", "10000"),
        ("--samples", "0", "256"),
        ("--samples", "-3", "256"),
        ("--samples", "257", "256"),
        ("--texts", "12", "11"),
        ("--seed", "-1", "2147483647"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, option: str, value: str, most: str):
    fails(run("evaluate", "--data", tmp_path / "gone", option, value), 2, option, value, most)


def test_a_dataset_that_is_not_there(tmp_path: Path):
    fails(run("evaluate", "--data", tmp_path / "gone"), 3, "gone")


def test_an_unknown_split_names_the_known_ones(tmp_path: Path):
    data = write_splits(tmp_path / "set", {"ball": "train", "egg": "unseen_instance"})
    fails(run("evaluate", "--data", data, "--split", "val"), 3, "split 'val'", "train", "unseen_instance")


@pytest.mark.parametrize(
    "options",
    [
        ("--lift", "--observation", "full"),
        ("--meaning", "--texts", "2"),
        ("--hand", "leap"),
        ("--split", "fresh", "--objects", "anywhere"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options: tuple[str, ...]):
    fails(run("evaluate", *options), 2, *(option for option in options if option.startswith("--")))


@pytest.fixture
def tins(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with three tins, and a dataset of their grasps in which one is unseen and one unknown."""
    folder = tmp_path / "meshes"
    folder.mkdir()
    rows = [{"source": "mine", "name": name, "mesh": f"{name}.obj"} for name in ("old_tin", "new_tin", "other_tin")]
    for index, row in enumerate(rows):
        trimesh.creation.cylinder(0.03, 0.08 + 0.01 * index).export(folder / row["mesh"])
    (folder / "index.json").write_text(json.dumps(rows))
    splits = {"mine/old_tin": "train", "mine/new_tin": "unseen_instance"}
    return folder, write_splits(tmp_path / "data", splits)


@pytest.mark.parametrize(("split", "names"), [(None, 3), ("unseen", 1), ("train", 1)])
def test_lift_trials_take_the_objects_of_the_split_and_all_texts(tins, monkeypatch, split: str | None, names: int):
    """What reaches the trials; the trials themselves are in test_metrics_lift.py."""
    from maskdex_core.metrics import lift

    asked = []
    monkeypatch.setattr(lift, "LiftBench", lambda config: config)
    monkeypatch.setattr(lift, "lift_trials", lambda bench, objects, *_: iter(asked.extend(objects) or ()))
    folder, data = tins
    chosen = () if split is None else ("--split", split)
    ended = run("evaluate", "--lift", "--objects", folder, "--data", data, "--texts", 2, *chosen)
    assert ended.code == 0, ended.err
    assert len(asked) == names and all(len(item.requests) == 2 for item in asked)
    assert ("1 of 3 objects are in split" in ended.err) == (split is not None)
    if split == "unseen":
        assert asked[0].name == "mine/new_tin"


def test_a_split_that_holds_nothing_of_the_folder_is_named(tins, tmp_path: Path):
    folder, _ = tins
    data = write_splits(tmp_path / "other", {"yours/tin": "unseen_instance", "mine/old_tin": "train"})
    for mode in ((), ("--meaning",), ("--lift",)):
        ended = run("evaluate", *mode, "--objects", folder, "--data", data, "--split", "unseen_instance")
        fails(ended, 3, "none of the 3 objects", "'unseen_instance'")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch) -> Path:
    """A checkpoint with random weights, and an encoder of words in the place of the one that it lacks."""
    torch.set_num_threads(1)
    monkeypatch.setattr("maskdex_core.grasp.model.load_encoder", lambda name: FakeEncoder())
    tiny_model(tokenizer=PALM_FRAME).save(tmp_path / "model")
    return tmp_path / "model"


def test_the_table_of_grasps_on_one_can(tiny: Path, tmp_path: Path):
    data, out = write_cans(tmp_path / "data"), tmp_path / "table.json"
    ended = run(
        "evaluate", "--data", data, "--split", "unseen", "--checkpoint", tiny, "--samples", "2", "--texts", "2",
        "--out", out, "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    content = json.loads(out.read_text())
    assert json.loads(ended.out) == content
    assert (content["objects"], content["observation"], content["samples"]) == ("unseen", "full", 2)
    assert [trial["object"] for trial in content["trials"]] == ["can_001"] * 2 and "can_001" in ended.err
    assert len({trial["text"] for trial in content["trials"]}) == 2
    assert content["raw"]["grasps"] == content["refined"]["grasps"] == 4 and content["top1"]["grasps"] == 2
    raw = sum(trial["raw"] for trial in content["trials"])
    assert content["raw"]["mean"] == raw / 4 <= content["raw_fc1"]["mean"]
    assert content["refined"]["mean"] <= content["best_of_k"]["mean"]


def test_meshes_of_a_folder_that_are_unseen(tiny: Path, tins):
    folder, data = tins
    ended = run(
        "evaluate", "--objects", folder, "--data", data, "--split", "unseen", "--checkpoint", tiny, "--samples", "1",
        "--observation", "view",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "1 of 3 objects are in split 'unseen'" in ended.err
    assert "mine/new_tin" in ended.err and "old_tin" not in ended.err.replace("1 of 3", "")
    table = dict(line.split(maxsplit=1) for line in ended.out.splitlines())
    assert table["raw"].endswith("(n 1, objects 1)") and float(table["seconds"]) > 0


def test_meaning_on_one_mug(tiny: Path, tmp_path: Path):
    data = write_cans(tmp_path / "data", family="mug")
    ended = run("evaluate", "--meaning", "--data", data, "--checkpoint", tiny, "--samples", "2", "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    (pair,) = content["pairs"]
    assert pair["object"] == "mug_001" and len(set(pair["texts"])) == 2
    assert content["edit_joints_deg"] == pytest.approx(0.0, abs=0.1)  # whatever was drawn, edits are local
    assert content["tokens"]["tips_mm"] > 0


@pytest.mark.parametrize(
    ("mode", "place", "said"),
    [
        ((), "success", "can_001: too dark"),
        (("--tokens",), "token_grasps", "can_001: too dark"),
        (("--meaning",), "meaning", "two tasks"),
    ],
)
def test_objects_that_no_camera_sees_are_left_out_and_a_table_of_none_is_refused(
    tiny: Path, tmp_path: Path, monkeypatch, mode: tuple[str, ...], place: str, said: str
):
    def blind(*_: object) -> None:
        raise CloudError("too dark")

    monkeypatch.setattr(f"maskdex_core.metrics.{place}.observe", blind)
    data = write_cans(tmp_path / "data", family="mug")
    ended = run("evaluate", *mode, "--data", data, "--checkpoint", tiny, "--observation", "view")
    fails(ended, DatasetError.exit_code, said.replace("can", "mug"))
    assert "mug_001 is left out: too dark" in ended.err


def test_a_damaged_mesh_is_left_out_and_the_others_are_measured(tiny: Path, tins, tmp_path: Path):
    folder, _ = tins
    (folder / "old_tin.obj").write_text("v 0 0 0\nv 0.05 0 0\nv 0 0.05 0\nv 0 0 0.05\nf 1 2 3\nf 1 2 4\n")
    out = tmp_path / "table.json"
    ended = run("evaluate", "--objects", folder, "--checkpoint", tiny, "--samples", "1", "--limit", "2", "--out", out)
    assert ended.code == 0, ended.err
    content = json.loads(out.read_text())
    assert set(content["left_out"]) == {"mine/old_tin"} and "solid" in content["left_out"]["mine/old_tin"]
    assert "mine/old_tin" not in [trial["object"] for trial in content["trials"]] != []
