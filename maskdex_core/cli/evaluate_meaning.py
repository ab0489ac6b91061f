"""`maskdex evaluate --meaning`: do grasps follow the words, do edits stay where they belong, what do tokens keep?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskdex_core.cli.common import hand_over, output_file, say
from maskdex_core.cli.evaluate_grasps import GraspOptions
from maskdex_core.cli.evaluate_objects import LeftOut

if TYPE_CHECKING:
    from maskdex_core.grasp.model import GraspModel
    from maskdex_core.metrics.subjects import Subject

PROTOCOL = (
    "text_swap: two tasks that name different parts, one observation, top-1 of each must touch what its task names "
    "(others are drawn while it is unlikely to hold there); "
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
    subjects = options.chosen.subjects()
    tokens = _tokens(model, options)  # first: it is soon done, and needs a dataset whatever is grasped
    content = {"protocol": PROTOCOL, "seed": options.seed, **_swaps(model, subjects, options), "tokens": tokens}
    if hand_over(content, out, options.json):
        return 0
    for name in ("text_swap", "part_of_first", "part_of_second", "edit_joints_deg", "edit_palm_mm"):
        print(f"{name:24s} {content[name]}")
    for name, value in content["tokens"].items():
        print(f"{'token ' + name:24s} {value:.3f}")
    return 0


def _swaps(model: GraspModel, subjects: list[Subject], options: GraspOptions) -> dict[str, Any]:
    import numpy as np

    from maskdex_core.metrics.meaning import meaning_trials
    from maskdex_core.metrics.rates import rate

    trials, rows, left_out = [], [], LeftOut()
    for trial in meaning_trials(
        model, subjects, options.observation, options.samples, options.limit, options.seed, left_out
    ):
        first, second = (request.text for request in trial.requests)
        found = trial.swap
        trials.append(trial)
        rows.append({"object": trial.name, "texts": [first, second], "as_asked": [found.first, found.second]})
        say(f"{trial.name}: “{first}” / “{second}” {found.first} {found.second}")
    if not trials:
        raise _no_pairs(options)
    share = {
        "text_swap": [t.swap.differs_as_asked for t in trials], "part_of_first": [t.swap.first for t in trials],
        "part_of_second": [t.swap.second for t in trials],
    }  # fmt: skip
    rates = {name: str(rate([np.array([value]) for value in values])) for name, values in share.items()}
    moved = {
        "edit_joints_deg": max(float(np.degrees(t.edit.joints)) for t in trials),
        "edit_palm_mm": max(1e3 * t.edit.palm_translation for t in trials),
    }
    return {**rates, **moved, "observation": options.observation, "pairs": rows, "left_out": left_out}


def _tokens(model: GraspModel, options: GraspOptions) -> dict[str, float]:
    from maskdex_core.hands.model import HandModel
    from maskdex_core.metrics.reconstruction import reconstruction
    from maskdex_core.metrics.subjects import UNSEEN

    return reconstruction(model.tokenizer, HandModel.load("shadow"), options.chosen.dataset().split(UNSEEN))


def _no_pairs(options: GraspOptions) -> Exception:
    from maskdex_core.errors import DatasetError

    where = options.chosen.folder or options.chosen.split
    return DatasetError(f"no object of {str(where)!r} has two tasks that name different parts")
