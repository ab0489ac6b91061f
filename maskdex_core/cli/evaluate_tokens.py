"""`maskdex evaluate --tokens`: what encoding, decoding and refinement do to grasps that hold."""

from __future__ import annotations

import dataclasses

from maskdex_core.cli.common import hand_over, output_file, say
from maskdex_core.cli.evaluate_grasps import GraspOptions
from maskdex_core.cli.evaluate_objects import LeftOut

PROTOCOL = (
    "grasps of the dataset, which hold, tested in FC6 as stored, refined, decoded from their tokens (closed by the "
    "solved squeeze), decoded and refined; stays_valid: refined, of those that hold as stored; 95 % bootstrap "
    "intervals over objects"
)


def evaluate_tokens(options: GraspOptions) -> int:
    """Test grasps of the dataset before and after their tokens; print the table, write FILE.

    Raises:
        MaskdexError: on unusable data, objects or checkpoint.
    """
    out = None if options.out is None else output_file(options.out, ".json")
    from maskdex_core.grasp.model import GraspModel
    from maskdex_core.metrics.subjects import in_split
    from maskdex_core.metrics.token_grasps import by_tip_error, token_summary, token_trials

    data = options.chosen.dataset()
    subjects = in_split(options.chosen.subjects(), data, options.chosen.split)
    model, trials, left_out = GraspModel.load(options.checkpoint), [], LeftOut()
    for trial in token_trials(
        model.tokenizer, data, subjects, options.samples, options.limit, options.seed, options.observation, left_out
    ):
        trials.append(trial)
        decoded, refined = int(trial.decoded.sum()), int(trial.decoded_refined.sum())
        say(f"{trial.name}: {decoded} decoded, {refined} refined of {len(trial.stored)}")
    options.chosen.check_tested(trials, left_out)
    table, groups = token_summary(trials), by_tip_error(trials)
    content = {
        "protocol": PROTOCOL, "objects": options.chosen.where, "observation": options.observation,
        "seed": options.seed, **{name: dataclasses.asdict(value) for name, value in table.items()},
        "by_tip_error": groups, "left_out": left_out,
    }  # fmt: skip
    if hand_over(content, out, options.json):
        return 0
    for name, value in table.items():
        print(f"{name:24s} {value}")
    for group in groups:
        low, high = group["tips_mm"]
        print(f"tips {low:5.2f} to {high:5.2f} mm    decoded {group['decoded']:.2f}", end="")
        print(f", refined {group['decoded_refined']:.2f} (n {group['grasps']})")
    return 0
