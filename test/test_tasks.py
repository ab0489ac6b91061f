"""Tasks follow from contacts, texts say only what is true, and the shipped YAML is consistent."""

import numpy as np
import pytest
from held_grasps import held_grasps

from maskdex_core.config import read_yaml
from maskdex_core.data.tasks import (
    DIGITS,
    GraspFacts,
    TaskBook,
    digits_in_contact,
    digits_text,
    load_tasks,
)
from maskdex_core.errors import ConfigError, DatasetError
from maskdex_core.objects.meshes.part_regions import read_annotations
from maskdex_core.objects.procedural import FAMILIES, make_object
from maskdex_core.resources import resource_path

TASKS = {
    "handle-grasp",
    "wrap-grasp",
    "twist",
    "press",
    "pull",
    "lever",
    "support",
    "lift",
    "use",
    "hold",
    "hand-over",
}
PINCH = ("rh_thdistal", "rh_ffdistal")
ALL = ("rh_thdistal", "rh_ffdistal", "rh_mfdistal", "rh_rfdistal", "rh_lfdistal")


def _facts(family, parts, links=None, elevation=60.0, contact=0.6):
    links = links or (PINCH if len(parts) == 2 else ALL[: len(parts)])
    return GraspFacts(family, tuple(links), tuple(parts), contact, elevation)


def _tasks(*args, **kwargs):
    return set(load_tasks().satisfied(_facts(*args, **kwargs)))


# ------------------------------------------------------------------ which tasks
def test_a_grasp_on_the_blade_is_for_handing_over():
    tasks = _tasks("knife", ("blade", "blade"))
    assert "hand-over" in tasks and not tasks & {"handle-grasp", "use", "lever"}


def test_a_grasp_on_the_handle_is_for_use():
    tasks = _tasks("knife", ("handle", "handle"))
    assert {"handle-grasp", "use", "lever"} <= tasks and "hand-over" not in tasks


def test_one_finger_on_a_part_to_keep_free_is_one_too_many():
    mostly_handle = ("handle",) * 4 + ("blade",)
    assert not _tasks("knife", mostly_handle) & {"handle-grasp", "use", "lever", "hand-over"}
    assert {"hold", "lift"} <= _tasks("knife", mostly_handle)


def test_most_contacts_must_lie_on_the_part_named():
    assert "handle-grasp" in _tasks("mug", ("handle", "handle", "handle", "body", "body"))  # 60 %
    assert "handle-grasp" not in _tasks("mug", ("handle", "handle", "body", "body"))


def test_wrapping_takes_four_digits_and_more_than_their_tips():
    assert "wrap-grasp" in _tasks("can", ("body",) * 6, (*ALL[:4], "rh_palm", "rh_ffmiddle"))
    assert "wrap-grasp" not in _tasks("can", ("body",) * 5, (*ALL[:3], "rh_palm", "rh_ffmiddle"))
    assert "wrap-grasp" not in _tasks("can", ("body",) * 5)
    # Many links of two digits are still two digits.
    links = ("rh_thdistal", "rh_thmiddle", "rh_ffdistal", "rh_ffmiddle", "rh_ffproximal")
    assert "wrap-grasp" not in _tasks("can", ("body",) * 5, links)


def test_the_palm_is_no_digit():
    assert _tasks("can", ("body", "body"), ("rh_palm", "rh_ffdistal")) == set()


def test_pressing_needs_the_button():
    assert "press" not in _tasks("torch", ("handle", "handle"))
    assert "press" in _tasks("torch", ("handle", "button"))


def test_supporting_is_low_and_lifting_from_above():
    assert "support" in _tasks("mug", ("body", "body"), contact=0.3)
    assert "support" not in _tasks("mug", ("body", "body"), contact=0.7)
    assert "lift" in _tasks("mug", ("body", "body"), elevation=40.0)
    assert "lift" not in _tasks("mug", ("body", "body"), elevation=10.0)


def test_without_contacts_there_is_no_task():
    assert load_tasks().satisfied(GraspFacts("mug", (), (), 0.5, 60.0)) == ()


def test_unknown_family_lists_the_known_ones():
    with pytest.raises(DatasetError, match=r"object family 'teapot' is unknown; known: airplane, ball.*wine_glass"):
        load_tasks().satisfied(_facts("teapot", ("body", "body")))


# ------------------------------------------------------------------ texts
def test_digits_are_named_thumb_first_and_once():
    links = ("rh_mfdistal", "rh_mfmiddle", "rh_thdistal", "rh_palm")
    assert digits_in_contact(links) == ["thumb", "middle finger"]
    assert digits_text(links) == "thumb and middle finger"
    assert digits_text(ALL) == "thumb, index finger, middle finger, ring finger and little finger"
    assert digits_text(("rh_palm",)) == "palm"


def _random_facts(rng):
    family = str(rng.choice(list(FAMILIES)))
    names = make_object(family, 0).part_names
    digits = rng.choice(5, size=rng.integers(2, 6), replace=False)
    inner = rng.choice(["rh_palm", "rh_ffmiddle", "rh_mfproximal"], size=rng.integers(0, 4), replace=False)
    links = (*(ALL[digit] for digit in sorted(digits)), *map(str, inner))
    favourite = str(rng.choice(names))
    parts = tuple(favourite if rng.uniform() < 0.8 else str(rng.choice(names)) for _ in links)
    return GraspFacts(family, links, parts, rng.uniform(0, 1), rng.uniform(-60, 90))


@pytest.fixture(scope="module")
def written():
    """(facts, tasks, texts) of 400 random grasps that satisfy a task."""
    rng, book, found = np.random.default_rng(0), load_tasks(), []
    while len(found) < 400:
        facts = _random_facts(rng)
        tasks = book.satisfied(facts)
        if tasks:
            found.append((facts, tasks, book.write(facts, tasks, 5, rng)))
    return found


def test_texts_never_name_digits_that_do_not_touch(written):
    for facts, _, texts in written:
        for digit in set(DIGITS.values()) - set(digits_in_contact(facts.contact_links)):
            assert not [text for text in texts if digit in text], (facts, digit)


def test_texts_never_say_to_take_what_is_to_stay_free(written):
    for facts, _, texts in written:
        for text in texts:
            if "free" in text:
                free = text.split("leaving its ")[1].split(" free")[0]
                assert free not in facts.contact_parts, (facts, text)


def test_texts_say_how_only_as_the_geometry_bears_out(written):
    said = set()
    for facts, _, texts in written:
        for text in texts:
            if "fingertips" in text:
                assert all(link.endswith("distal") for link in facts.contact_links), (facts, text)
                said.add("fingertips")
            if any(words in text for words in ("power grasp", "whole hand", "all fingers", "embrace", "wrap")):
                assert len([link for link in facts.contact_links if not link.endswith("distal")]) >= 2, (facts, text)
                said.add("power")
            if "from above" in text:
                assert facts.elevation > 25, (facts, text)
                said.add("above")
            if "from the side" in text:
                assert abs(facts.elevation) < 25, (facts, text)
                said.add("side")
            if "press the" in text:
                assert not [
                    f
                    for f in ("press the handle", "press the body")
                    if f in text and facts.family in ("torch", "remote")
                ]
    assert said == {"fingertips", "power", "above", "side"}


def test_texts_name_a_part_that_is_touched_and_that_the_task_is_about():
    facts = _facts("torch", ("handle", "handle", "button"), ALL[:3])
    texts = load_tasks().write(facts, ("press",), 8, np.random.default_rng(0))
    assert texts and all("handle" not in text for text in texts) and any("button" in text for text in texts)


def test_there_are_at_least_four_different_texts(written):
    for facts, tasks, texts in written:
        assert len(set(texts)) == len(texts) >= 4, (facts, tasks, texts)
        assert all(text.strip() == text and text and "{" not in text and "  " not in text for text in texts)


def test_every_task_gets_written_about_sometime(written):
    assert {task for _, tasks, _ in written for task in tasks} == TASKS


def test_writing_repeats_with_its_seed():
    facts, book = _facts("mug", ("handle", "handle")), load_tasks()
    first = book.write(facts, book.satisfied(facts), 5, np.random.default_rng(1))
    assert first == book.write(facts, book.satisfied(facts), 5, np.random.default_rng(1))
    assert any(
        first != book.write(facts, book.satisfied(facts), 5, np.random.default_rng(seed)) for seed in range(2, 6)
    )


def test_stored_grasps_satisfy_tasks():
    book = load_tasks()
    for family, grasp in held_grasps().items():
        tasks = book.satisfied(GraspFacts(family, grasp.contact_links, grasp.contact_parts, 0.5, 60.0))
        assert "hold" in tasks, family


# ------------------------------------------------------------------ the YAML
def test_eleven_tasks_with_four_templates_each():
    book = load_tasks()
    assert set(book.names) == TASKS and len(book.names) == 11
    for task, templates in book.texts.items():
        assert len(set(templates)) == len(templates) >= 4, task


def _parts_by_family():
    """Return every part that an object of a family has, procedural or annotated."""
    parts = {family: set(make_object(family, 0).part_names) for family in FAMILIES}
    for annotation in read_annotations().values():
        parts.setdefault(annotation.family, set()).update(annotation.part_names)
    return parts


def test_families_name_parts_that_exist():
    book, parts = load_tasks(), _parts_by_family()
    assert set(book.families) == set(parts)
    for family in book.families:
        for task in book.families[family].tasks:
            rule = book.rule(family, task)
            named = {*rule.touch, *rule.free, *([rule.needs] if rule.needs else [])}
            assert named <= parts[family], (family, task, named - parts[family])
            assert not set(rule.touch) & set(rule.free), (family, task)


def test_every_family_can_be_used_and_those_of_several_parts_handed_over():
    parts = _parts_by_family()
    for family, facts in load_tasks().families.items():
        assert "use" in facts.tasks, family
        assert "hand-over" in facts.tasks or len(parts[family]) == 1, family


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"juggle": {}}, DatasetError, "tasks: mug: task 'juggle' is unknown; known: hand-over"),
        ({"twist": {"thumb": True}}, ConfigError, "tasks: mug: key 'thumb' is unknown"),
    ],
)
def test_wrong_yaml_is_named(change, error, message):
    content = read_yaml(resource_path("config/tasks.yaml"))
    content["families"]["mug"]["tasks"] |= change
    with pytest.raises(error, match=message):
        TaskBook(content)
