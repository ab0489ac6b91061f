"""Where files lie on this machine: those that travel with the package (URDF, YAML, launch), and the cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from maskdex_core.errors import ConfigError

PACKAGE_SHARE = Path("share") / "maskdex_ros"


def resource_roots() -> list[Path]:
    """Return the folders searched, in order: the checkout, where this code is installed, the environment, ROS."""
    code = Path(__file__).resolve().parent.parent
    # PREFIX/lib/pythonX.Y/site-packages: an overlay's files before those of another version below it.
    installed = code.parents[2] if len(code.parents) > 2 else code
    named = map(Path, filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":")))
    return [code, *(prefix / PACKAGE_SHARE for prefix in (installed, Path(sys.prefix), *named))]


def package_share() -> Path:
    """Return the folder that holds `config`, `launch` and `urdf`: the checkout, or the share of an install.

    Raises:
        ConfigError: when no search root holds them.
    """
    return resource_path("config").parent


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
