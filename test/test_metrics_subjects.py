"""The objects of a test."""

import numpy as np
import pytest
from small_datasets import write_splits

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.errors import DatasetError, MeshError
from maskdex_core.metrics.meaning import opposite_requests
from maskdex_core.metrics.subjects import (
    Subject,
    drawn,
    fresh_subjects,
    in_split,
    left_out,
    loaded,
    split_subjects,
    spoken_name,
    trial_seed,
)
from maskdex_core.objects.procedural import FAMILIES


def test_fresh_objects_are_of_every_family_and_of_no_seed_that_datasets_use():
    subjects = fresh_subjects(2)
    assert {subject.family for subject in subjects} == set(FAMILIES) and len(subjects) == 2 * len(FAMILIES)
    assert len({subject.name for subject in subjects}) == len(subjects)
    assert all(int(subject.name.rsplit("_", 1)[1]) >= 1_000_000 for subject in subjects)
    mug = next(subject for subject in subjects if subject.family == "mug").load()
    assert mug.family == "mug" and len(mug.sample_surface(50)[0]) == 50


def test_objects_are_drawn_without_repetition_and_by_seed():
    subjects = fresh_subjects(1)
    first, again, other = (drawn(subjects, 7, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert [s.name for s in first] == [s.name for s in again] != [s.name for s in other]
    assert len({subject.name for subject in first}) == 7


@pytest.mark.parametrize(("name", "spoken"), [("ycb/006_mustard_bottle", "mustard bottle"), ("12", "object")])
def test_names_are_said_as_people_say_them(name, spoken):
    assert spoken_name(name) == spoken


def test_unseen_stands_for_every_unseen_split_and_no_other(tmp_path):
    splits = {"a": "train", "b": "unseen_instance", "c": "unseen_category", "x/ball": "unseen_category"}
    data = GraspDataset.load(write_splits(tmp_path / "set", splits, {"a": 1, "b": 2, "c": 3}))
    assert [s.name for s in split_subjects(data, "unseen")] == ["c", "b"]
    assert [s.name for s in split_subjects(data, "unseen_instance")] == ["b"]
    assert set(data.split("unseen").object_names) == {"b", "c", "x/ball"}
    with pytest.raises(DatasetError, match="split 'unsee' is unknown; known: train, unseen_category, unseen_instance"):
        data.split("unsee")


def test_objects_of_a_folder_are_looked_up_in_a_split_by_name(tmp_path):
    data = GraspDataset.load(write_splits(tmp_path / "set", {"x/ball": "unseen_instance", "y/ball": "train"}))
    folder = [Subject(name, "can", lambda: None) for name in ("x/ball", "y/ball", "z/ball")]
    assert [s.name for s in in_split(folder, data, "unseen")] == ["x/ball"]
    assert [s.name for s in in_split(folder, data, "train")] == ["y/ball"]
    with pytest.raises(DatasetError, match="none of the 1 objects is in split 'unseen'"):
        in_split(folder[1:2], data, "unseen")


def test_opposite_requests_name_parts_that_have_nothing_in_common():
    subjects = {subject.family: subject for subject in fresh_subjects(1)}
    first, second = opposite_requests(subjects["mug"].requests(np.random.default_rng(0)))
    assert first.rule.touch and second.rule.touch and not set(first.rule.touch) & set(second.rule.touch)
    assert opposite_requests([first, first]) is None


def test_each_object_and_text_has_a_seed_of_its_own_that_stays():
    seeds = {trial_seed(*of) for of in ((0, "a"), (0, "b"), (1, "a"), (0, "a", "lift it"), (0, "a", "hold it"))}
    assert len(seeds) == 5 and trial_seed(0, "a") in seeds


def test_objects_that_cannot_be_read_are_left_out_and_told(caplog):
    def broken() -> None:
        raise MeshError("not watertight")

    subjects = [Subject("bad", "can", broken), Subject("good", "can", lambda: "loaded")]
    told = {}
    kept = list(loaded(subjects, lambda name, error: told.update({name: str(error)})))
    assert kept == [(subjects[1], "loaded")] and told == {"bad": "not watertight"}
    assert len(list(loaded(subjects, left_out))) == 1
    assert "bad is left out: not watertight" in caplog.text
