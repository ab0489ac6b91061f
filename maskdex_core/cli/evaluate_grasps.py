"""`maskdex evaluate` without --lift: grasps of the Shadow hand in the hold tests."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskdex_core.cli.common import hand_over, output_file, say
from maskdex_core.cli.evaluate_objects import ChosenObjects, LeftOut

if TYPE_CHECKING:
    from maskdex_core.metrics.success import ObjectTrial

PROTOCOL = (
    "FC6 in MuJoCo (maskdex_core/physics/hold_test.py); 95 % bootstrap intervals over objects; top1 is the best of "
    "`samples`, and of as many more up to twice while its chance to hold where the text wants it is below one half "
    "(drawn: how many on average), by the full protocols; top1_by_holding: of the same, ranked as the baseline is, "
    "without the text, by the quick FC6; raw: as drawn, closed by the solved squeeze, hard and paper-like over the "
    "first 4 draws an object; confidence: the network's own, before any refinement; "
    "each object and text has a camera and draws of its own; "
    "baseline: antipodal starts, same refinement and ranking, as many as samples, more while time is left; timely: a "
    "random share of them, in the same time, averaged over all such shares"
)


@dataclass(frozen=True)
class GraspOptions:
    """What `maskdex evaluate` was asked for; see there."""

    chosen: ChosenObjects
    observation: str
    checkpoint: Path | None
    samples: int
    texts: int
    limit: int | None
    seed: int
    out: Path | None
    json: bool


def evaluate_grasps(options: GraspOptions) -> int:
    """Grasp every object, test in physics, print the table, write FILE.

    Raises:
        MaskdexError: on unusable data, objects or checkpoint.
    """
    out = None if options.out is None else output_file(options.out, ".json")
    from maskdex_core.baselines.kinds import load_sampler
    from maskdex_core.metrics.evaluation import as_json, evaluate, summary

    subjects = options.chosen.subjects()
    model = load_sampler(options.checkpoint)
    trials, left_out = [], LeftOut()
    for trial in evaluate(
        model, subjects, options.observation, options.samples, options.limit, options.seed, options.texts, left_out
    ):
        trials.append(trial)
        say(f"{trial.name}: “{trial.request.text}” {'held' if trial.top.fc6 else 'lost'}")
    options.chosen.check_tested(trials, left_out)
    table = summary(trials)
    content = {
        "objects": options.chosen.where, "observation": options.observation, "samples": options.samples,
        "seed": options.seed,
        "protocol": PROTOCOL, "model": {key: str(model.info.get(key, "")) for key in ("name", "data", "commit")},
        **as_json(table), "left_out": left_out, "trials": [_row(trial) for trial in trials],
    }  # fmt: skip
    if hand_over(content, out, options.json):
        return 0
    for name, value in table.items():
        print(f"{name:24s} {value if not isinstance(value, float) else f'{value:.3f}'}")
    return 0


def _row(trial: ObjectTrial) -> dict[str, Any]:
    return {
        "object": trial.name, "text": trial.request.text, "task": trial.request.task,
        "raw": int(trial.raw.fc6.sum()), "refined": int(trial.refined.fc6.sum()), "of": len(trial.raw.fc6),
        **dataclasses.asdict(trial.top), "chance": round(trial.top_chance, 3), "drawn": trial.drawn,
        "firmest": trial.firmest_fc6,
        "baseline": int(trial.baseline_fc6.sum()), "baseline_of": len(trial.baseline_fc6),
        "baseline_top1": trial.baseline_top1, "baseline_timely_top1": trial.baseline_timely_top1,
    }  # fmt: skip
