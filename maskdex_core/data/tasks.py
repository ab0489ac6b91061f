"""Which tasks a grasp truly satisfies, and in which words: read from `config/tasks.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from maskdex_core.config import from_mapping, read_yaml
from maskdex_core.errors import DatasetError, unknown_choice
from maskdex_core.resources import resource_path

MOSTLY = 0.6  # share of contacts that must lie on the parts a task names
WRAPPING_LINKS = 2  # beyond fingertips, that make a grasp more than one of fingertips
ABOVE, SIDE, BELOW = 50.0, 25.0, -25.0  # degrees that the palm lies above its contacts
MANNERED = ("handle-grasp", "twist", "press", "pull", "support", "hold")  # tasks that can be done in a manner
MANNER_SHARE = 0.5  # of the texts that could take a manner get one
DIGITS = {
    "th": "thumb",
    "ff": "index finger",
    "mf": "middle finger",
    "rf": "ring finger",
    "lf": "little finger",
}

COUNTS = ("no", "one", "two", "three", "four", "five")


@dataclass(frozen=True)
class TaskRule:
    """What a task asks of a grasp.

    Attributes:
        touch: parts that must carry most contacts; empty for any.
        free: parts that must not be touched.
        fingers: least number of digits in contact.
        needs: a part that must be touched at all.
        low: contacts lie in the lower half of the object.
        from_above: the palm is above the contacts.
        wraps: palm or inner finger links touch too.
    """

    touch: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    fingers: int = 2
    needs: str = ""
    low: bool = False
    from_above: bool = False
    wraps: bool = False


@dataclass(frozen=True)
class GraspFacts:
    """What decides about tasks.

    Attributes:
        contact_links, contact_parts: in pairs.
        contact_height: of the contacts' middle, as a share of the object's height.
        elevation: degrees, of the palm's middle as seen from the contacts' middle.
    """

    family: str
    contact_links: tuple[str, ...]
    contact_parts: tuple[str, ...]
    contact_height: float
    elevation: float


@dataclass(frozen=True)
class Family:
    """Names, the verb of use, and rules by task."""

    names: tuple[str, ...]
    use: str
    tasks: dict[str, Any] = field(default_factory=dict)


class TaskBook:
    """The tasks, their texts and the families' rules."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.texts: dict[str, list[str]] = content["tasks"]
        self.families = {
            name: from_mapping(Family, data, f"tasks: {name}") for name, data in content["families"].items()
        }
        self._common = {name: from_mapping(TaskRule, rule) for name, rule in content["any_family"].items()}
        self._rules = {name: self._family_rules(name, family) for name, family in self.families.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks."""
        return tuple(self.texts)

    def satisfied(self, facts: GraspFacts) -> tuple[str, ...]:
        """Return the tasks that a grasp satisfies, by its contacts.

        Raises:
            DatasetError: when the family is unknown.
        """
        if facts.family not in self._rules:
            raise DatasetError(unknown_choice("object family", facts.family, self._rules))
        return tuple(task for task, rule in self._rules[facts.family].items() if _fits(rule, facts))

    def rule(self, family: str, task: str) -> TaskRule:
        """Return what a task asks on a family."""
        return self._rules[family][task]

    def rules(self, family: str) -> dict[str, TaskRule]:
        """Return what every task that a family can serve asks on it."""
        return self._rules[family]

    def write(self, facts: GraspFacts, tasks: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
        """Return `count` or fewer different texts for a grasp, over all of its tasks."""
        family = self.families[facts.family]
        lines = {
            self._fill(template, facts, family, task, rng)
            for task in tasks
            for template in self.texts[task]
            if "{free}" not in template or self.rule(facts.family, task).free
        }
        ordered = sorted(lines)
        return [ordered[i] for i in rng.permutation(len(ordered))[:count]]

    def _fill(self, template: str, facts: GraspFacts, family: Family, task: str, rng: np.random.Generator) -> str:
        rule = self.rule(facts.family, task)
        text = template.format(
            object=str(rng.choice(family.names)), part=_named_part(rule, facts),
            digits=digits_text(facts.contact_links), use=family.use, free=rule.free[0] if rule.free else "",
        )  # fmt: skip
        ends_well = template.endswith(("{object}", "{part}")) and "{digits}" not in template
        manners = manners_of(facts) if task in MANNERED and ends_well else []
        if manners and rng.random() < MANNER_SHARE:
            text += f" {rng.choice(manners)}"
        return text

    def _family_rules(self, name: str, family: Family) -> dict[str, TaskRule]:
        for task in family.tasks:
            if task not in self.texts:
                raise DatasetError(f"tasks: {name}: {unknown_choice('task', task, self.texts)}")
        own = {task: from_mapping(TaskRule, rule, f"tasks: {name}") for task, rule in family.tasks.items()}
        return {**self._common, **own}


@lru_cache(maxsize=1)
def load_tasks() -> TaskBook:
    """Return the shipped tasks."""
    return TaskBook(read_yaml(resource_path("config/tasks.yaml")))


def digits_in_contact(contact_links: Sequence[str]) -> list[str]:
    """Return the digits that touch, thumb first."""
    codes = {link.removeprefix("rh_")[:2] for link in contact_links}
    return [name for code, name in DIGITS.items() if code in codes]


def digits_text(contact_links: Sequence[str]) -> str:
    """Return the digits as words: "thumb, index finger and middle finger"."""
    digits = digits_in_contact(contact_links)
    if len(digits) < 2:
        return "".join(digits) or "palm"
    return ", ".join(digits[:-1]) + " and " + digits[-1]


def wraps(facts: GraspFacts) -> bool:
    """Return whether more than fingertips hold the object."""
    inner = [link for link in facts.contact_links if not link.endswith("distal")]
    return len(inner) >= WRAPPING_LINKS


def manners_of(facts: GraspFacts) -> list[str]:
    """Return in which manner the hand holds the object, in words that follow a sentence."""
    found = []
    if facts.elevation > ABOVE:
        found.append("from above")
    elif abs(facts.elevation) < SIDE:
        found.append("from the side")
    elif facts.elevation < BELOW:
        found.append("from below")
    digits = len(digits_in_contact(facts.contact_links))
    if wraps(facts):
        found += ["with a power grasp", "with the whole hand"] if digits >= 4 else ["with a firm grip"]
    elif all(link.endswith("distal") for link in facts.contact_links):
        found += ["with the fingertips", f"with {COUNTS[digits]} fingertips"]
    return found


def _named_part(rule: TaskRule, facts: GraspFacts) -> str:
    """Return the part that a task is about: the one it needs, else the most touched of those it names."""
    if rule.needs:
        return rule.needs
    parts = [part for part in facts.contact_parts if not rule.touch or part in rule.touch]
    return max(sorted(set(parts)), key=parts.count)


def _fits(rule: TaskRule, facts: GraspFacts) -> bool:
    parts = facts.contact_parts
    if not parts or any(part in rule.free for part in parts):
        return False
    on_touch = sum(part in rule.touch for part in parts) / len(parts)
    return (
        (not rule.touch or on_touch >= MOSTLY)
        and len(digits_in_contact(facts.contact_links)) >= rule.fingers
        and (not rule.needs or rule.needs in parts)
        and (not rule.low or facts.contact_height < 0.5)
        and (not rule.from_above or facts.elevation > SIDE)
        and (not rule.wraps or wraps(facts))
    )
