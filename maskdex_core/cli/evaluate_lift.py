"""`maskdex evaluate --lift`: the whole path in simulation, object by object."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskdex_core.cli.common import output_file, print_json, say
from maskdex_core.cli.evaluate_objects import ChosenObjects, LeftOut


@dataclass(frozen=True)
class LiftOptions:
    """What `evaluate --lift` was asked: see `Evaluate`."""

    chosen: ChosenObjects
    hand: str
    checkpoint: Path | None
    samples: int
    texts: int
    limit: int | None
    seed: int
    out: Path | None
    json: bool


def evaluate_lift(options: LiftOptions) -> int:
    """Run the trials, and keep the file up to date after each.

    Raises:
        MaskdexError: when objects, hand or checkpoint cannot be used.
    """
    out = None if options.out is None else output_file(options.out, ".json")
    from maskdex_core.metrics.lift import LiftBench, lift_summary, lift_trials
    from maskdex_core.metrics.lift_objects import lift_objects
    from maskdex_core.planner import PlannerConfig

    objects = lift_objects(options.chosen.subjects(), options.texts, options.limit, options.seed)
    checkpoint = None if options.checkpoint is None else str(options.checkpoint)
    bench = LiftBench(PlannerConfig(hand=options.hand, checkpoint=checkpoint, samples=options.samples))
    left_out, trials = LeftOut(), []
    summary = {**lift_summary([], options.hand), "left_out": left_out}
    for trial in lift_trials(bench, objects, options.seed, left_out):
        trials.append(trial)
        say(f"{trial.object}: “{trial.text}” {trial.outcome}{f' ({trial.reason})' if trial.reason else ''}")
        summary = {**lift_summary(trials, options.hand), "left_out": left_out}
        if out is not None:  # after every trial: a benchmark that is stopped leaves what it found
            out.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    if options.json:
        print_json(summary)
    else:
        _print(summary)
    return 0


def _print(summary: dict[str, Any]) -> None:
    """Print rates and the histogram of outcomes."""
    for what, found in (("0.1 kg", summary), ("typical mass", summary["typical_mass"])):
        low, high = found["interval"]
        print(f"LIFT {summary['hand']}, {what}: {found['success_rate']:.2f} [{low:.2f}, {high:.2f}]", end="")
        print(f" (n {summary['n']}, objects {summary['objects']})")
        for outcome, count in found["histogram"].items():
            print(f"  {outcome:12s} {count:4d} {'#' * count}")
    touched = summary["part_agreement"]
    low, high = touched["interval"]
    print(f"touches what the text names: {touched['rate']:.2f} [{low:.2f}, {high:.2f}] (n {touched['n']})")
