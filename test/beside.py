"""What may lie beside the checkout: real captures and meshes. Tests that need them skip without."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(os.environ.get("MASKDEX_SHARED") or Path(__file__).resolve().parents[2] / "shared")
OBJECTS = ROOT / "objects"
SCENES = ROOT / "scenes"
