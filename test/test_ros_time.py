"""Time as the node and the bag player see it: stamps, jumps, stalls, news."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from maskdex_ros.clock_watch import StampWatch
from maskdex_ros.diagnostics import STAMP_KEY, Health, summary, values
from maskdex_ros.lockstep import Lockstep, stamp_of
from maskdex_ros.waiting import WaitingText


def test_a_stamp_before_the_last_one_is_a_jump_and_jitter_is_none() -> None:
    watch = StampWatch()
    assert watch.last is None
    stamps = ((10, 0), (10, 33_000_000), (10, 0), (7, 500_000_000), (7, 600_000_000))
    backs = [watch.jump_back(SimpleNamespace(sec=sec, nanosec=nano)) for sec, nano in stamps]
    assert backs == [0.0, 0.0, 0.0, pytest.approx(2.5), 0.0]
    assert watch.last == 7_600_000_000


def test_a_stamp_is_read_from_serialized_messages_of_both_byte_orders() -> None:
    assert stamp_of(bytes([0, 1, 0, 0]) + struct.pack("<iI", 5, 7) + b"rest") == 5_000_000_007
    assert stamp_of(bytes([0, 0, 0, 0]) + struct.pack(">iI", 5, 7) + b"rest") == 5_000_000_007


def test_clouds_that_stopped_and_events_are_the_news_when_there_is_no_error() -> None:
    health = Health(state="active", clouds_received=3, cloud_age=6.0, max_cloud_age=5.0, point_publishers=1)
    level, message = summary(health)
    assert level == "warn"
    assert message.startswith("clouds have stopped: the latest on points is 6.0 s old, at most 5.0 s")
    assert summary(dataclasses.replace(health, max_cloud_age=0.0)) == ("ok", "ready")
    health.cloud_age = 0.1
    health.happened("time jumped back")
    assert summary(health) == ("warn", "time jumped back")
    health.last_event_at -= 60.0
    assert summary(health) == ("ok", "ready")
    assert (values(health)["events"], values(health)["last event"]) == ("1", "time jumped back")


def test_a_text_waits_once_and_its_timer_goes_with_it() -> None:
    timers: list[Callable[[], None]] = []
    forgotten: list[Any] = []
    heard: list[str] = []

    def once(_: float, call: Callable[[], None]) -> int:
        timers.append(call)
        return len(timers)

    waiting = WaitingText(once, forgotten.append)
    waiting.begin("first", 2.0, heard.append)
    waiting.begin("second", 2.0, heard.append)
    assert (waiting.there, forgotten) == (True, [1])
    timers[1]()
    assert (heard, waiting.there, waiting.take()) == (["second"], False, "")


class Player:
    """A player whose node echoes what it hears; `lost` clouds never arrive the first time."""

    def __init__(self, only: int | None = None, lost: int = 0) -> None:
        self.sent: list[str] = []
        self.waits = 0
        self._lost, self._subscribed = lost, {}
        node: Any = SimpleNamespace(
            create_subscription=lambda kind, topic, callback, qos: self._subscribed.setdefault(topic, callback),
            get_logger=lambda: SimpleNamespace(warning=self.sent.append),
        )
        self.lockstep = Lockstep(node, "maskdex", self._wait, only)

    def cloud(self, stamp: int) -> int:
        return self.lockstep.cloud(stamp, lambda: self._send(f"cloud {stamp}", stamp))

    def text(self, text: str) -> int:
        return self.lockstep.text(lambda: self._send(text, None))

    def _send(self, what: str, stamp: int | None) -> None:
        self.sent.append(what)
        if stamp is not None and self._lost == 0:
            self._echo = stamp
        self._lost = max(self._lost - 1, 0)

    def _wait(self, _: float) -> bool:
        """The node's word comes after a while."""
        self.waits += 1
        if self.waits % 3 == 0:
            pair = SimpleNamespace(key=STAMP_KEY, value=str(getattr(self, "_echo", "")))
            self._subscribed["/diagnostics"](SimpleNamespace(status=[SimpleNamespace(values=[pair])]))
        if self.waits % 5 == 0:
            self._subscribed["maskdex/stage"](SimpleNamespace(data="cloud"))
        return True


def test_a_text_is_held_until_the_node_has_the_cloud_and_the_next_cloud_until_a_plan_has_begun() -> None:
    player = Player()
    assert (player.cloud(1), player.waits) == (1, 0)
    assert (player.text("hold it"), player.sent) == (1, ["cloud 1", "hold it"])
    assert player.waits >= 5


def test_a_cloud_without_an_echo_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskdex_ros.lockstep.AGAIN_AFTER", 0.0)
    player = Player(lost=2)
    player.cloud(1)
    player.text("hold it")
    assert player.sent[-1] == "hold it"
    assert player.sent[:-1] == ["cloud 1"] * (len(player.sent) - 1)
    assert len(player.sent) >= 4


def test_a_text_before_any_cloud_goes_out_and_the_first_cloud_waits_for_its_plan() -> None:
    player = Player()
    assert (player.text("hold it"), player.waits) == (1, 0)
    assert player.cloud(1) == 1
    assert player.waits >= 5
    assert player.sent == ["hold it", "cloud 1"]


def test_of_a_recording_only_the_planned_cloud_is_played_and_texts_come_after_it() -> None:
    player = Player(only=3)
    counts = [player.cloud(2), player.text("hold it"), player.cloud(3), player.cloud(4)]
    assert counts == [0, 0, 2, 0]
    assert player.sent == ["cloud 3", "hold it"]
