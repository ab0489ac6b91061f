"""Requests: sentences of a family's tasks, and whether contacts agree with them."""

import numpy as np
import pytest

from maskdex_core.data.tasks import TaskRule, load_tasks
from maskdex_core.metrics.requests import Request, requests_for


@pytest.mark.parametrize("family", sorted(load_tasks().families))
def test_every_family_gets_one_whole_sentence_a_task(family):
    book = load_tasks()
    found = requests_for(family, "thing", np.random.default_rng(0), book)
    assert {request.task for request in found} == {*book.families[family].tasks, "lift", "hold"}
    assert all("{" not in request.text and request.text for request in found)
    # A named part is one that the task is about.
    for request in found:
        assert request.rule == book.rule(family, request.task)


def test_an_unknown_family_is_asked_for_by_its_name():
    found = requests_for("gizmo", "red gizmo", np.random.default_rng(0))
    assert len(found) == 4 and all("red gizmo" in one.text and one.agrees(("body",)) is None for one in found)


@pytest.mark.parametrize(
    ("parts", "agrees"),
    [
        (("handle", "handle", "body"), True),
        (("handle", "body"), False),
        (("handle", "handle", "handle", "blade"), False),
        ((), False),
    ],
)
def test_agreement_is_most_contacts_on_the_part_and_none_on_what_stays_free(parts, agrees):
    request = Request("use it", "use", TaskRule(touch=("handle",), free=("blade",)))
    assert request.agrees(parts) is agrees
