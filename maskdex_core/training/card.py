"""What a checkpoint says of itself: facts for its config and the text of its card."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.training.config import ExperimentConfig


def checkpoint_facts(data: GraspDataset, hand: str, name: str) -> dict[str, Any]:
    """Return name, hand, data version, number of training grasps and the commit that trained."""
    return {
        "name": name,
        "hand": hand,
        "data": str(data.info.get("version", "unnamed")),
        "grasps": len(data),
        "commit": _commit(),
    }


def checkpoint_card(facts: dict[str, Any], config: ExperimentConfig, logs: dict[str, Path]) -> str:
    """Return the card (markdown): data, sizes, settings, and the last line of each stage's log.

    Args:
        facts: of `checkpoint_facts`. config: of the run. logs: stage → its log.jsonl.
    """
    tokenizer, transformer, sampling = config.model.tokenizer, config.model.transformer, config.model.sampling
    lines = [
        f"# {facts['name']}",
        "",
        f"A MaskDexGrasp model for the hand `{facts['hand']}`, trained on {facts['grasps']} grasps of data"
        f" `{facts['data']}` at commit `{facts['commit']}`.",
        "",
        f"- tokenizer: {tokenizer.codes} codes of {tokenizer.code_dim}, {tokenizer.hand_points} hand points",
        f"- transformer: {transformer.layers} layers, {transformer.heads} heads, width {transformer.width},"
        f" text `{transformer.text_encoder}`",
        f"- sampling: T {sampling.steps}, s {sampling.guidance}, temperature {sampling.temperature}",
        "",
        "Last numbers of the training logs:",
        "",
    ]
    for stage, path in logs.items():
        for kind, row in sorted(_last_rows(path).items()):
            numbers = ", ".join(f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float))
            lines.append(f"- {stage}, {kind}, step {row.get('step', '?')}: {numbers}")
    return "\n".join([*lines, ""])


def _last_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the last row of each kind (train, held-out) in a log; nothing when there is no log."""
    if not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {str(row.get("kind", "train")): row for row in rows}


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
