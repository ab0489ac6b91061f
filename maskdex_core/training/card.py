"""What a checkpoint says of itself: facts for its config and the text of its card."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.training.config import ExperimentConfig
from maskdex_core.training.curves import CURVES, StageCurves, read_curves

TABLE_ROWS = 8


def checkpoint_facts(data: GraspDataset, hand: str, name: str, config: ExperimentConfig) -> dict[str, Any]:
    """Return name, hand, data version, number of training grasps, seeds and the commit that trained."""
    return {
        "name": name,
        "hand": hand,
        "data": str(data.info.get("version", "unnamed")),
        "grasps": len(data),
        "seeds": {"tokenizer": config.tokenizer_training.seed, "transformer": config.transformer_training.seed},
        "commit": _commit(),
    }


def checkpoint_card(facts: dict[str, Any], config: ExperimentConfig, stages: list[Path]) -> str:
    """Return the card (markdown): data, commit, seeds, sizes, settings, and the curves of each stage as a table.

    Args:
        facts: of `checkpoint_facts`.
        config: of the run.
        stages: folder of each stage, with its states and log.
    """
    tokenizer, transformer, sampling = config.model.tokenizer, config.model.transformer, config.model.sampling
    seeds = ", ".join(f"{stage} {seed}" for stage, seed in facts["seeds"].items())
    lines = [
        f"# {facts['name']}",
        "",
        f"A MaskDexGrasp model for the hand `{facts['hand']}`, trained on {facts['grasps']} grasps of data"
        f" `{facts['data']}` at commit `{facts['commit']}`; seeds: {seeds}.",
        "",
        f"- tokenizer: frame of the fingers `{tokenizer.finger_frame}`, {tokenizer.palm_levels} codes for the palm and"
        f" {tokenizer.finger_levels} a finger, of {tokenizer.codes}; code size {tokenizer.code_dim}",
        f"- transformer: {transformer.layers} layers, {transformer.heads} heads, width {transformer.width},"
        f" text `{transformer.text_encoder}`",
        f"- sampling: T {sampling.steps}, s {sampling.guidance}, temperature {sampling.temperature}",
        "",
        "## Training",
        "",
        f"![loss by step]({CURVES})",
        "",
    ]
    for folder in stages:
        curves = read_curves(folder)
        if curves.held_out:
            lines += [*_stage_lines(curves), ""]
    return "\n".join(lines)


def _stage_lines(curves: StageCurves) -> list[str]:
    """Return the paragraph and table of one stage."""
    rows = curves.held_out
    names = [name for name in rows[-1] if name not in ("step", "minutes", "kind")]
    table = [
        f"| step | minutes | train loss | {' | '.join(names)} |",
        "|---" * (3 + len(names)) + "|",
    ]
    for row in _spread(rows, curves.kept_step):
        step = f"{row['step']} (kept)" if row["step"] == curves.kept_step else str(row["step"])
        cells = [_number(row.get(name)) for name in names]
        table.append(f"| {step} | {row['minutes']} | {_number(curves.train_loss(row['step']))} | {' | '.join(cells)} |")
    if curves.criterion:
        kept = (
            f"of {len(rows)} evaluations on unseen objects (no test set any more) step {curves.kept_step} has the"
            f" lowest `{curves.criterion}` and is kept"
        )
    else:
        kept = f"the last state is kept, of step {curves.kept_step}; nothing was held out"
    counted = "1 process" if curves.processes == 1 else f"{curves.processes} processes"
    return [f"{curves.stage}, {counted}: {kept}.", "", *table]


def _spread(rows: list[dict[str, Any]], kept_step: int) -> list[dict[str, Any]]:
    """Return at most `TABLE_ROWS` rows spread evenly, the last one among them, and the kept one."""
    last, most = len(rows) - 1, min(len(rows), TABLE_ROWS)
    chosen = {round(last * index / max(1, most - 1)) for index in range(most)} | {last}
    return [row for index, row in enumerate(rows) if index in chosen or row["step"] == kept_step]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else ""


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
