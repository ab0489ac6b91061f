"""`maskdex sample` and `maskdex edit`: grasps on a mesh, without a robot."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, check_seed, output_file, say
from maskdex_core.errors import UsageError, unknown_choice
from maskdex_core.hands.parts import PART_NAMES

if TYPE_CHECKING:
    import torch

    from maskdex_core.grasp.types import GraspBatch
    from maskdex_core.planning.geometry import ObjectGeometry

MAX_GRASPS = 10_000
CHUNK = 64  # grasps refined at once: memory stays small and progress shows
