"""`maskdex view`."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from maskdex_core.cli.common import Command, say
from maskdex_core.errors import ConfigError, UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewPlan(Command):
    """Show a plan in the browser: cloud, object, robot on its way, and every candidate with its verdict."""

    folder: Annotated[Positional[Path], arg(metavar="PLAN")]
    """Folder that `maskdex plan --out` or `maskdex replay --out` left."""
    hand: Annotated[str | None, arg(metavar="NAME|FILE")] = None
    """Hand of the plan, where it is not a shipped one: the path of its YAML."""
    port: int = 8080
    """TCP port; the next free one when it is in use."""
    host: str = "127.0.0.1"
    """Address to serve on; by default only this machine gets in, 0.0.0.0 lets everyone look."""

    def run(self) -> int:
        """Serve until interrupted."""
        if not 1024 <= self.port <= 65535:
            raise UsageError(f"--port {self.port} is out of range; expected 1024 to 65535")
        from maskdex_core.planning.saved import SavedPlan

        plan = SavedPlan.load(self.folder)
        try:
            import viser  # noqa: F401
        except ImportError as error:
            raise ConfigError("viser is not installed: pip install viser") from error
        from maskdex_core.viewer.browser import PlanBrowser

        # Browsers open connections that they do not use; each would be an error with a traceback.
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
        browser = PlanBrowser(plan, self.host, self.port, self.hand)
        say(f"{browser.address}  (Ctrl-C ends it)")
        try:
            browser.run()
        finally:
            browser.stop()
        return 0
