"""The objects of a test."""

import numpy as np
import pytest

from maskdex_core.metrics.meaning import opposite_requests
from maskdex_core.metrics.subjects import drawn, fresh_subjects, spoken_name
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


def test_opposite_requests_name_parts_that_have_nothing_in_common():
    subjects = {subject.family: subject for subject in fresh_subjects(1)}
    first, second = opposite_requests(subjects["mug"].requests(np.random.default_rng(0)))
    assert first.rule.touch and second.rule.touch and not set(first.rule.touch) & set(second.rule.touch)
    assert opposite_requests([first, first]) is None
