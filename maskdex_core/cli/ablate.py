"""`maskdex ablate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, check_minutes, check_seed, log_to_stderr, output_folder, say
from maskdex_core.cli.evaluate import MAX_OBJECTS, MAX_SAMPLES, OBSERVATIONS
from maskdex_core.errors import UsageError, unknown_choice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ablate(TorchCommand):
    """Train and measure variants of the model and its baselines; print the tables of docs/ablations.md.

    What is done is not done again: stop it and start it as you like."""

    data: Annotated[Path, arg(metavar="DIR")] = Path("data/shadow")
    """Dataset folder."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder of the run: an experiment a trained variant, a row a variant."""
    only: Annotated[tuple[str, ...], arg(metavar="NAME")] = ()
    """Variants of config/ablations.yaml; all by default."""
    config: str = "small"
    """Configuration of the reference: paper, small, or a YAML file."""
    minutes: Annotated[float, arg(metavar="M")] = 30.0
    """Training of each variant that has weights of its own."""
    split: str = "unseen_instance"
    """Split whose procedural objects are grasped; results are reported on another one."""
    observation: str = "full"
    """What is shown of an object: full, noisy, view, view_by_rule or view_by_network."""
    limit: int = 20
    """Objects."""
    samples: int = 16
    """Grasps an object."""
    seed: int = 0
    """Of objects, texts and samples."""
    device: str = "cpu"
    """Where to train: cpu or cuda."""
    table: bool = False
    """Only print what has been measured."""

    def run(self) -> int:
        """Train, measure, print."""
        self._check()
        from maskdex_core.ablations.table import markdown, read_rows
        from maskdex_core.ablations.variants import chosen_variants

        variants = chosen_variants(self.only)
        if not self.table:
            self.set_threads()
            self._measure(variants)
        print(markdown(read_rows(self.out, tuple(variants))))
        return 0

    def _check(self) -> None:
        check_seed(self.seed)
        check_minutes(self.minutes)
        if self.observation not in OBSERVATIONS:
            raise UsageError(unknown_choice("--observation", self.observation, OBSERVATIONS))
        for option, value, most in (("limit", self.limit, MAX_OBJECTS), ("samples", self.samples, MAX_SAMPLES)):
            if not 1 <= value <= most:
                raise UsageError(f"--{option} {value} is out of range; expected 1 to {most}")

    def _measure(self, variants: dict) -> None:
        from maskdex_core.ablations.run import Ablation, Protocol
        from maskdex_core.training.config import load_experiment

        experiment = load_experiment(self.config)
        output_folder(self.out)
        log_to_stderr()
        protocol = Protocol(
            self.config, self.minutes, self.split, self.observation, self.limit, self.samples, self.seed
        )
        for name, row in Ablation(self.data, self.out, experiment, protocol, self.device).run(variants):
            say(f"{name}: top-1 FC6 {row['table']['top1']['mean']:.2f}")
