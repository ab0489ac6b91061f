"""What lift trials are about: objects to load one by one, and what is said about each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.data.tasks import load_tasks
from maskdex_core.errors import DatasetError
from maskdex_core.objects.meshes.annotated_mesh import load_objects
from maskdex_core.objects.meshes.part_regions import Annotation
from maskdex_core.objects.procedural import make_object
from maskdex_core.objects.target_object import TargetObject

UNSEEN = "unseen"  # splits of the dataset whose names begin with it
UNKNOWN = Annotation(family="object", rest="body")
PLAIN_TEXTS = ("pick up the {object}", "hold the {object}", "lift the {object}", "hand over the {object}")
TOUCHING = ("handle-grasp", "wrap-grasp", "use", "hand-over", "support", "lift", "hold")  # done by lifting


@dataclass(frozen=True)
class LiftObject:
    """One object: its name, how to load it, and the texts to try on it."""

    name: str
    load: Callable[[], TargetObject]
    texts: tuple[str, ...]


def folder_objects(folder: Path, texts: int, limit: int | None, seed: int) -> list[LiftObject]:
    """Return the objects of a folder with an `index.json`, annotated or not, `texts` sentences each.

    Raises:
        DatasetError: when the index is missing or damaged, or names no usable object.
    """
    rng = np.random.default_rng(seed)
    entries = list(load_objects(folder, otherwise=UNKNOWN).values())
    chosen = entries if limit is None else [entries[i] for i in rng.permutation(len(entries))[:limit]]
    return [
        LiftObject(entry.name, entry.load, _drawn(_texts_of(entry.name, entry.annotation.family), texts, rng))
        for entry in chosen
    ]


def unseen_objects(data: GraspDataset, texts: int, limit: int | None, seed: int) -> list[LiftObject]:
    """Return procedural objects of the dataset's unseen splits, with `texts` of the dataset's own sentences each.

    Raises:
        DatasetError: when there are none.
    """
    rng = np.random.default_rng(seed)
    found: list[LiftObject] = []
    for split in sorted({str(name) for name in data.table["split"]}):
        if not split.startswith(UNSEEN):
            continue
        part = data.split(split)
        owners = [str(owner) for owner in part.table["object"]]
        for name in part.object_names:
            facts = part.objects[name].facts
            if "seed" not in facts:
                continue
            rows = [row for row, owner in enumerate(owners) if owner == name]
            said = sorted({text for row in rows for text in part.texts[row]})
            found.append(LiftObject(name, _maker(facts["family"], int(facts["seed"])), _drawn(said, texts, rng)))
    if not found:
        raise DatasetError("the dataset has no procedural object in an unseen split: others cannot be built again")
    chosen = rng.permutation(len(found))[:limit]
    return [found[i] for i in chosen]


def _maker(family: str, seed: int) -> Callable[[], TargetObject]:
    return lambda: make_object(family, seed)


def _drawn(sentences: Sequence[str], count: int, rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(sentences[int(i)] for i in rng.permutation(len(sentences))[:count])


def _texts_of(name: str, family: str) -> list[str]:
    """Return sentences for an object: of its family's tasks where it has one, else plain ones with its name."""
    book, called = load_tasks(), spoken_name(name)
    if family not in book.families:
        return [text.format(object=called) for text in PLAIN_TEXTS]
    sentences = []
    for task in TOUCHING:
        if task not in book.families[family].tasks and task not in ("lift", "hold"):
            continue
        rule = book.rule(family, task)
        for template in book.texts[task]:
            fields = {"object": called, "use": book.families[family].use}
            if rule.touch:
                fields["part"] = rule.touch[0]
            if rule.free:
                fields["free"] = rule.free[0]
            if set(re.findall(r"{(\w+)}", template)) <= set(fields):
                sentences.append(template.format(**fields))
    return sentences


def spoken_name(name: str) -> str:
    """Return an object's name as a person says it: `ycb/006_mustard_bottle` is a mustard bottle."""
    return re.sub(r"^[\d\W_]+", "", name.rsplit("/", 1)[-1]).replace("_", " ").replace("-", " ").strip() or "object"
