"""The variants of `config/ablations.yaml`: how each differs from the reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskdex_core.baselines.kinds import KINDS
from maskdex_core.config import from_mapping, read_yaml
from maskdex_core.errors import ConfigError, UsageError, unknown_choice
from maskdex_core.metrics.observation import OBSERVATIONS
from maskdex_core.resources import resource_path
from maskdex_core.training.config import ExperimentConfig

REFERENCE, MODEL = "reference", "model"
HANDS = ("parts", "whole")


@dataclass(frozen=True)
class Variant:
    """One row of a table. What differs in sampling or observation alone is not trained: it is the reference, asked
    otherwise."""

    group: str
    """The table it stands in."""
    kind: str = MODEL
    """"model", or a baseline."""
    hand: str = "parts"
    """"parts", or "whole": the tokenizer sees the hand as one part."""
    text: bool = True
    """Whether the task is told."""
    change: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the experiment's configuration before training."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the checkpoint's sampling settings."""
    samples: int = 0
    """Grasps an object K; 0 is as many as the others."""
    observation: str = ""
    """What is shown of an object (`observe`); "" is what the others see."""

    def __post_init__(self) -> None:
        for name, choices in (("kind", (MODEL, *KINDS)), ("hand", HANDS)):
            if getattr(self, name) not in choices:
                raise ConfigError(unknown_choice(name, getattr(self, name), choices))
        if self.observation not in ("", *OBSERVATIONS):
            raise ConfigError(unknown_choice("observation", self.observation, OBSERVATIONS))
        if self.kind != MODEL and (self.hand != "parts" or self.sampling):
            raise ConfigError(f"a {self.kind!r} has neither a tokenizer's hand nor sampling settings")

    @property
    def trained(self) -> bool:
        """Whether it has weights of its own."""
        return self.kind != MODEL or self.hand != "parts" or not self.text or bool(self.change)

    @property
    def own_tokenizer(self) -> bool:
        """Whether its tokens differ from the reference's."""
        changed = "tokenizer_training" in self.change or "tokenizer" in self.change.get("model", {})
        return changed or self.hand != "parts"

    def experiment(self, reference: ExperimentConfig) -> ExperimentConfig:
        """Return the reference's configuration with this variant's change.

        Raises:
            ConfigError: when the change does not fit.
        """
        return from_mapping(ExperimentConfig, _laid_over(dataclasses.asdict(reference), self.change), "change")


def load_variants(path: Path | None = None) -> dict[str, Variant]:
    """Read the variants by name, the reference first; None are those that ship.

    Raises:
        ConfigError: when the file does not fit.
    """
    path = path or resource_path(Path("config") / "ablations.yaml")
    content = read_yaml(path)
    if not isinstance(content, Mapping) or REFERENCE not in content:
        raise ConfigError(f"{path}: expected variants by name, {REFERENCE!r} among them")
    found = {name: from_mapping(Variant, values, f"{path}: {name}") for name, values in content.items()}
    reference = found.pop(REFERENCE)
    if reference != Variant(reference.group):
        raise ConfigError(f"{path}: {REFERENCE}: differs from itself")
    return {REFERENCE: reference, **found}


def chosen_variants(names: Sequence[str], path: Path | None = None) -> dict[str, Variant]:
    """Return the named variants in the file's order; no name is all of them.

    Raises:
        UsageError: when a name is unknown. ConfigError: as `load_variants`.
    """
    known = load_variants(path)
    for name in names:
        if name not in known:
            raise UsageError(unknown_choice("variant", name, known))
    return {name: variant for name, variant in known.items() if not names or name in names}


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _laid_over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged
