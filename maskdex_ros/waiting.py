"""A task text that came before any cloud: it waits a while, because cameras start slower than people type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class WaitingText:
    """At most one text, and the timer that ends its patience."""

    def __init__(self, once: Callable[[float, Callable[[], None]], Any], forget_timer: Callable[[Any], Any]) -> None:
        """Take what starts a one-shot timer and what destroys it."""
        self._once, self._forget_timer = once, forget_timer
        self._text: str | None = None
        self._timer: Any = None

    @property
    def there(self) -> bool:
        """Whether a text waits."""
        return self._text is not None

    def begin(self, text: str, patience: float, on_end: Callable[[str], Any]) -> None:
        """Let a text wait for `patience` (s); then `on_end` gets it."""
        self.take()
        self._text = text
        self._timer = self._once(patience, lambda: on_end(self.take()))

    def take(self) -> str:
        """Return the text, which waits no longer; empty when there was none."""
        text, self._text = self._text or "", None
        if self._timer is not None:
            self._forget_timer(self._timer)
            self._timer = None
        return text
