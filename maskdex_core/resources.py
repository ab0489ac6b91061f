"""Where files lie on this machine: those that travel with the package (URDF, YAML, launch), and the cache."""

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


def cache_folder() -> Path:
    """Return the folder of what can be computed again; `XDG_CACHE_HOME` moves it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maskdex"


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
