"""`maskdex …`: the command line. Start-up stays quick: commands import what they need when they run."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from maskdex_core import __version__
from maskdex_core.cli.ablate import Ablate
from maskdex_core.cli.bench import Bench
from maskdex_core.cli.bench_retarget import BenchRetarget
from maskdex_core.cli.common import Command, say
from maskdex_core.cli.data_build import Build
from maskdex_core.cli.data_import import Import
from maskdex_core.cli.data_objects import Objects
from maskdex_core.cli.data_stats import Stats
from maskdex_core.cli.data_view import View
from maskdex_core.cli.evaluate import Evaluate
from maskdex_core.cli.grasps import Edit, Sample
from maskdex_core.cli.plan import Plan
from maskdex_core.cli.record import Record
from maskdex_core.cli.replay import Replay
from maskdex_core.cli.ros_env import RosEnv
from maskdex_core.cli.sim import Demo, Sim
from maskdex_core.cli.soak import Soak
from maskdex_core.cli.train import Baseline, Completion, Judge, Tokenizer, Transformer
from maskdex_core.cli.view import ViewPlan
from maskdex_core.errors import MaskdexError

subcommand = tyro.conf.subcommand


@dataclasses.dataclass(frozen=True)
class Data:
    """Build grasp datasets and look into them."""

    command: (
        Annotated[Build, subcommand("build")]
        | Annotated[Import, subcommand("import")]
        | Annotated[Objects, subcommand("objects")]
        | Annotated[Stats, subcommand("stats")]
        | Annotated[View, subcommand("view")]
    )


@dataclasses.dataclass(frozen=True)
class Train:
    """Train one stage of the grasp model (both share --out), or the completion of unseen sides."""

    command: (
        Annotated[Tokenizer, subcommand("tokenizer")]
        | Annotated[Transformer, subcommand("transformer")]
        | Annotated[Judge, subcommand("judge")]
        | Annotated[Completion, subcommand("completion")]
        | Annotated[Baseline, subcommand("baseline")]
    )


AnyCommand = (
    Annotated[Plan, subcommand("plan")]
    | Annotated[Sample, subcommand("sample")]
    | Annotated[Edit, subcommand("edit")]
    | Annotated[Replay, subcommand("replay")]
    | Annotated[Record, subcommand("record")]
    | Annotated[Sim, subcommand("sim")]
    | Annotated[Demo, subcommand("demo")]
    | Annotated[RosEnv, subcommand("ros-env")]
    | Annotated[ViewPlan, subcommand("view")]
    | Annotated[Data, subcommand("data")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Ablate, subcommand("ablate")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[BenchRetarget, subcommand("bench-retarget")]
    | Annotated[Soak, subcommand("soak")]
)
DESCRIPTION = (
    "Part-aware dexterous grasps from a point cloud and a sentence, as checked robot trajectories. "
    "Exit codes: 0 done, 2 usage, 3 bad input, 4 no safe plan. `maskdex --version` prints the version."
)


def parse(arguments: Sequence[str]) -> Command:
    """Return the command that the arguments ask for; SystemExit on help and on usage errors."""
    parsed = tyro.cli(
        AnyCommand,  # type: ignore[arg-type]
        prog="maskdex",
        description=DESCRIPTION,
        args=list(arguments),
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
    )
    return parsed.command if isinstance(parsed, (Data, Train)) else parsed


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. The only place that turns errors into messages."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"]:
        print(f"maskdex {__version__}")
        return 0
    try:
        return parse(arguments).run()
    except MaskdexError as error:
        say(f"maskdex: {' '.join(str(error).split())}")
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; there is nobody to tell
        return 141
    except OSError as error:
        say(f"maskdex: {error.filename or 'system'}: {error.strerror or error}")
        return MaskdexError.exit_code
    except KeyboardInterrupt:
        say("maskdex: interrupted")
        return 130
    except SystemExit as end:  # help, or a usage error that is already explained
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 2
