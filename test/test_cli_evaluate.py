"""`maskdex evaluate`: numbers out of range and what is not there, named before anything is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_support import fails, run

from maskdex_core.data.files import write_dataset


@pytest.mark.parametrize(
    ("option", "value", "most"),
    [
        ("--limit", "0", "10000"),
        ("--limit", "-1", "10000"),
        ("--limit", "10001", "10000"),
        ("--samples", "0", "256"),
        ("--samples", "-3", "256"),
        ("--samples", "257", "256"),
        ("--seed", "-1", "2147483647"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, option: str, value: str, most: str):
    fails(run("evaluate", "--data", tmp_path / "gone", option, value), 2, option, value, most)


def test_a_dataset_that_is_not_there(tmp_path: Path):
    fails(run("evaluate", "--data", tmp_path / "gone"), 3, "gone")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    ball = {"points": rng.normal(size=(9, 3)), "normals": rng.normal(size=(9, 3)), "part_ids": np.zeros(9, int)}
    rows = [
        {"object": "ball", "split": split, "tasks": ["lift"], "texts": ["lift it"], "joints": np.zeros(2),
         "squeeze": np.zeros(2), "palm_translation": np.zeros(3), "palm_rotation": np.eye(3)}
        for split in ("train", "unseen_instance")
    ]  # fmt: skip
    facts = {"family": "ball", "part_names": ["body"]}
    write_dataset(tmp_path / "set", rows, {"ball": {**ball, **facts}}, {"joint_names": ("a", "b"), "hand": "shadow"})
    return tmp_path / "set"


def test_an_unknown_split_names_the_known_ones(dataset: Path):
    fails(run("evaluate", "--data", dataset, "--split", "val"), 3, "split 'val'", "train", "unseen_instance")
