"""What tests ask for on an object: sentences of its family's tasks, and the parts that each task names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskdex_core.data.tasks import TaskBook, TaskRule, load_tasks

PLAIN = ("pick up the {object}", "hold the {object}", "lift the {object}", "hand over the {object}")


@dataclass(frozen=True)
class Request:
    """A sentence; the task it comes from and what that asks, where the object's family has tasks."""

    text: str
    task: str = ""
    rule: TaskRule | None = None

    def agrees(self, parts: Sequence[str]) -> bool | None:
        """Return whether contacts on `parts` lie mostly on what the task names, none on what it keeps free.

        None when the task names no part, so that there is nothing to agree with.
        """
        if self.rule is None or not (self.rule.touch or self.rule.free):
            return None
        if not parts or any(part in self.rule.free for part in parts):
            return False
        return not self.rule.touch or sum(part in self.rule.touch for part in parts) > len(parts) / 2


def requests_for(family: str, name: str, rng: np.random.Generator, book: TaskBook | None = None) -> list[Request]:
    """Return one sentence for each task of a family, in random order; plain sentences for an unknown family.

    Args:
        family: of `config/tasks.yaml`. name: of the object, as spoken, for an unknown family.
        rng: chooses among a task's templates and the family's names.
    """
    book = book or load_tasks()
    if family not in book.families:
        return [Request(PLAIN[i].format(object=name)) for i in rng.permutation(len(PLAIN))]
    found = [_request(book, family, task, rng) for task in sorted({*book.families[family].tasks, "lift", "hold"})]
    return [found[i] for i in rng.permutation(len(found))]


def _request(book: TaskBook, family: str, task: str, rng: np.random.Generator) -> Request:
    rule = book.rule(family, task)
    fields = {"object": str(rng.choice(book.families[family].names)), "use": book.families[family].use}
    parts = (rule.needs,) if rule.needs else rule.touch
    if parts:
        fields["part"] = str(rng.choice(parts))
    if rule.free:
        fields["free"] = rule.free[0]
    usable = [text for text in book.texts[task] if set(re.findall(r"{(\w+)}", text)) <= set(fields)]
    return Request(str(rng.choice(usable)).format(**fields), task, rule)
