"""Playback that waits for the node round a task text, so that a bag gives the same plan every time.

A text may overtake the cloud before it, and the cloud after it may overtake the text. So the text is held back
until the node says on /diagnostics that it has the cloud, and the next messages until a plan has begun.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maskdex_ros.diagnostics import STAMP_KEY

if TYPE_CHECKING:
    from rclpy.node import Node

PATIENCE = 60.0  # [s] until playback goes on without the node's word
AGAIN_AFTER = 3.0  # [s] a cloud without an echo is sent again: best effort may have lost it
Publish = Callable[[], Any]
Wait = Callable[[float], bool]


def stamp_of(cdr: bytes) -> int:
    """Return the header's stamp (ns) of a serialized message that begins with a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from("<iI" if cdr[1] & 1 else ">iI", cdr, 4)
    return seconds * 10**9 + nanoseconds


class Lockstep:
    """Decides when clouds and texts of a bag go out.

    With `only` (ns) no other cloud than the one with that stamp is played, and texts wait for it: the cloud that
    a recorded plan was made on.
    """

    def __init__(self, node: Node, target: str, wait: Wait, only: int | None = None) -> None:
        """Listen to a node.

        Args:
            node: of the player. target: name of the node that plans.
            wait: lets seconds pass while `node` is spun; false once a signal has come.
        """
        from diagnostic_msgs.msg import DiagnosticArray
        from std_msgs.msg import String

        from maskdex_ros.qos import profile

        self._wait, self._only, self._log = wait, only, node.get_logger()
        self._echoed: str = ""
        self._begun = False
        self._cloud: tuple[int, Publish] | None = None
        self._texts: list[Publish] = []
        self._text_sent = False
        self._subscriptions = [
            node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, profile()),
            node.create_subscription(String, f"{target}/stage", self._on_begun, profile(10)),
            node.create_subscription(String, f"{target}/report", self._on_begun, profile(10)),
        ]

    def cloud(self, stamp: int, publish: Publish) -> int:
        """Play a cloud; return how many messages went out."""
        if self._only is not None and stamp != self._only:
            return 0
        self._cloud = (stamp, publish)
        self._begun = False
        publish()
        if self._text_sent:  # a text was waiting for its first cloud
            self._until(lambda: self._begun, "a plan to begin", publish)
            self._text_sent = False
            return 1
        return 1 + sum(self.text(text) for text in self._take_texts())

    def text(self, publish: Publish) -> int:
        """Play a text; return how many messages went out."""
        if self._cloud is None:
            if self._only is not None:
                self._texts.append(publish)
                return 0
            self._text_sent = True
            publish()
            return 1
        stamp, again = self._cloud
        self._until(lambda: self._echoed == str(stamp), "the node to have the cloud", again)
        self._begun = False
        publish()
        self._until(lambda: self._begun, "a plan to begin", None)
        return 1

    def _take_texts(self) -> list[Publish]:
        texts, self._texts = self._texts, []
        return texts

    def _until(self, condition: Callable[[], bool], what: str, again: Publish | None) -> None:
        started = sent = time.monotonic()
        while not condition():
            now = time.monotonic()
            if now - started > PATIENCE:
                self._log.warning(f"waited {PATIENCE:.0f} s for {what}; playing on")
                return
            if again is not None and now - sent > AGAIN_AFTER:
                again()
                sent = now
            if not self._wait(0.02):
                return

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            for pair in status.values:
                if pair.key == STAMP_KEY:
                    self._echoed = pair.value

    def _on_begun(self, _: Any) -> None:
        self._begun = True
