"""Stands in for an object's synthesis on a cluster: the first worker on the second object dies in the middle of it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from maskdex_core.synthesis.jobs import SynthesisJob


def mortal_work(marks: Path, job: SynthesisJob) -> tuple[SynthesisJob, str]:
    died = marks / "died"
    if job.seed == 1 and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return job, json.dumps({"build": {"seed": job.seed}, "grasps": []})
