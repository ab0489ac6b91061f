"""`maskdex evaluate --meaning`: do grasps follow the words, do edits stay where they belong, what do tokens keep?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskdex_core.cli.common import hand_over, output_file, say
from maskdex_core.cli.evaluate_grasps import GraspOptions

if TYPE_CHECKING:
    from maskdex_core.grasp.model import GraspModel

PROTOCOL = (
    "text_swap: two tasks that name different parts, one observation, top-1 of each must touch what its task names; "
    "edit: ring and little finger drawn anew under the second text, largest move of anything else; "
    "tokens: unseen grasps of the dataset, encoded and decoded"
)


def evaluate_meaning(options: GraspOptions) -> int:
    """Swap texts and edit grasps on every object that has two opposite tasks; print the table, write FILE.

    Raises:
        MaskdexError: on unusable data, objects or checkpoint.
    """
    out = None if options.out is None else output_file(options.out, ".json")
    from maskdex_core.grasp.model import GraspModel

    model = GraspModel.load(options.checkpoint)
    content = {"protocol": PROTOCOL, "seed": options.seed, **_swaps(model, options), "tokens": _tokens(model, options)}
    if hand_over(content, out, options.json):
        return 0
    for name in ("text_swap", "part_of_first", "part_of_second", "edit_joints_deg", "edit_palm_mm"):
        print(f"{name:24s} {content[name]}")
    for name, value in content["tokens"].items():
        print(f"{'token ' + name:24s} {value:.3f}")
    return 0


def _swaps(model: GraspModel, options: GraspOptions) -> dict[str, Any]:
    import numpy as np

    from maskdex_core.hands.model import HandModel
    from maskdex_core.metrics.meaning import edit_locality, opposite_requests, swap_texts
    from maskdex_core.metrics.observation import observe
    from maskdex_core.metrics.rates import rate
    from maskdex_core.metrics.subjects import drawn

    hand, rng = HandModel.load("shadow"), np.random.default_rng(options.seed)
    swaps, joints, palm, rows = [], [], [], []
    subjects = options.chosen.subjects()
    for subject in drawn(subjects, len(subjects), rng):  # in random order: a list begins with one family
        pair = opposite_requests(subject.requests(rng))
        if pair is None:
            continue
        target = subject.load()
        found = swap_texts(model, hand, target, pair, options.observation, options.samples, options.seed)
        geometry = observe(target, options.observation, np.random.default_rng([options.seed, 3]))
        first, second = (request.text for request in pair)
        moved = edit_locality(model, hand, geometry, first, second, options.samples, options.seed)
        swaps.append(found)
        joints.append(float(np.degrees(moved.joints)))
        palm.append(1e3 * moved.palm_translation)
        rows.append({"object": subject.name, "texts": [first, second], "as_asked": [found.first, found.second]})
        say(f"{subject.name}: “{first}” / “{second}” {found.first} {found.second}")
        if len(rows) == options.limit:
            break
    if not rows:
        raise _no_pairs(options)
    share = {
        "text_swap": [s.differs_as_asked for s in swaps], "part_of_first": [s.first for s in swaps],
        "part_of_second": [s.second for s in swaps],
    }  # fmt: skip
    rates = {name: str(rate([np.array([value]) for value in values])) for name, values in share.items()}
    return {**rates, "edit_joints_deg": max(joints), "edit_palm_mm": max(palm), "observation": options.observation,
            "pairs": rows}  # fmt: skip


def _tokens(model: GraspModel, options: GraspOptions) -> dict[str, float]:
    from maskdex_core.hands.model import HandModel
    from maskdex_core.metrics.reconstruction import reconstruction
    from maskdex_core.metrics.subjects import UNSEEN

    return reconstruction(model.tokenizer, HandModel.load("shadow"), options.chosen.dataset().split(UNSEEN))


def _no_pairs(options: GraspOptions) -> Exception:
    from maskdex_core.errors import DatasetError

    where = options.chosen.folder or options.chosen.split
    return DatasetError(f"no object of {str(where)!r} has two tasks that name different parts")
