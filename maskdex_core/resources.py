"""Where the files that travel with the package (URDF, YAML, launch) lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from maskdex_core.errors import ConfigError

PACKAGE_SHARE = Path("share") / "maskdex_ros"


def resource_roots() -> list[Path]:
    """Return the folders searched, in order: the checkout, the environment, the ROS prefixes."""
    checkout = Path(__file__).resolve().parent.parent
    prefixes = [Path(sys.prefix), *map(Path, filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":")))]
    return [checkout, *(prefix / PACKAGE_SHARE for prefix in prefixes)]


def resource_path(relative: str | Path) -> Path:
    """Return the absolute path of a shipped file or folder such as `urdf/shadow_right.urdf`.

    Raises:
        ConfigError: when no search root holds it.
    """
    for root in resource_roots():
        if (root / relative).exists():
            return root / relative
    searched = ", ".join(str(root) for root in resource_roots())
    raise ConfigError(f"shipped file {str(relative)!r} was not found; searched {searched}")
