"""Whether a window can open, asked before anything slow is begun."""

from __future__ import annotations

import os

from maskdex_core.errors import UsageError


def check_display() -> None:
    """Make sure that there is a display.

    Raises:
        UsageError: when neither an X server nor a Wayland compositor is named.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("the viewer needs a display, and DISPLAY is not set; leave --viewer out")
