"""What the command-line tests share: run in process or as a process, meshes, the checkpoint."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from maskdex_core.cli import main

CHECKOUT = Path(__file__).resolve().parent.parent
DEMO_BAG = CHECKOUT / "data" / "demo_scene" / "bag"


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Ended:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Ended(code, out.getvalue(), err.getvalue())


def run_process(*arguments: object, timeout: float = 300.0) -> Ended:
    """Run a command as a person does: a process, without what pytest set up for ROS."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("_ROS_WHEELS")}
    environment.pop("LD_LIBRARY_PATH", None)
    program = [sys.executable, "-c", "import sys; from maskdex_core.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*program, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=timeout
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def fails(ended: Ended, code: int, *words: str) -> None:
    """Check for one sentence that holds all the words, the exit code, and nothing on stdout."""
    lines = [line for line in ended.err.splitlines() if line.startswith("maskdex: ")]
    assert len(lines) == 1, ended.err
    assert ended.code == code, lines[0]
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for word in words:
        assert word in lines[0]


def export_mug(path: Path, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Path:
    """Write the demo's mug, watertight and in metres."""
    from maskdex_core.data.demo_scene import mug_mesh

    mesh = mug_mesh()
    mesh.apply_translation(offset)
    mesh.export(path)
    return path
