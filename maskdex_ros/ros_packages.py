"""Message packages that exist only in a ROS distribution, or a sentence that says where they come from."""

from __future__ import annotations

import importlib
import os
from typing import Any

from maskdex_core.errors import ConfigError


def required(module: str, needed_by: str) -> Any:
    """Import a module such as `control_msgs.action`.

    Raises:
        ConfigError: when its package is not installed; names the Debian package that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        distro = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
        debian = f"ros-{distro}-{package.replace('_', '-')}"
        raise ConfigError(
            f"{needed_by} needs {package}, which is not installed: sudo apt install {debian} "
            "(part of ROS 2 distributions only; PyPI has no wheel of it)"
        ) from error


def available(module: str) -> Any:
    """Import a module, or return None when its package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
