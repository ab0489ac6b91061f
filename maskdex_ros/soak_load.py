"""The commands and faults that `maskdex soak` puts a node through, and what it sees meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskdex_ros.children import ChildError
from maskdex_ros.client import ClientTimeout, GraspClient

SAMPLE_EVERY = 2.0  # [s] between two looks at the node's memory
STAGES = ("cloud", "text", "segment", "complete", "sample", "refine", "retarget", "motion")
ANSWERED = ("ok", "rejected", "error")
PLANNED = ("ok", "rejected")
FLOOD, FLOOD_RATE = 1000, 1000.0  # texts, and in a second
AGAIN = 20.0  # [s] after which a text is said again: it may have been lost while the node began to listen


@dataclass
class Seen:
    """What was observed, sample by sample."""

    memory: list[tuple[float, float]] = field(default_factory=list)  # (s, MiB)
    clouds: list[tuple[float, int]] = field(default_factory=list)  # (s, received so far)
    ages: list[float] = field(default_factory=list)  # s from stamp to use, one a plan
    answers: list[float] = field(default_factory=list)  # s that a service took while a plan ran
    asked: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # what a fault did that it must not
    outcomes: Counter[str] = field(default_factory=Counter)


class Load:
    """Gives one command after the other and watches the node meanwhile."""

    def __init__(self, client: GraspClient, node: int, camera: int, check: Callable[[], None], patience: float) -> None:
        """Watch from now on.

        Args:
            client: speaks to the node. node, camera: their process ids.
            check: called while waiting; may raise to give up.
            patience: s that a command may take until it counts as lost.
        """
        from diagnostic_msgs.msg import DiagnosticArray

        self.seen = Seen()
        self._client, self._guard, self._patience = client, check, patience
        self._pid, self._camera = node, camera
        self._news, self._values = "", dict[str, str]()
        self._begun, self._looked = time.monotonic(), -SAMPLE_EVERY
        client.listen(DiagnosticArray, "/diagnostics", self._on_diagnostics)

    def run(self, seconds: float, say: Callable[[str], None]) -> None:
        """Give commands for some seconds."""
        everyday = (self._text, self._plan, self._cancel, self._second_request, self._resample)
        faults = (self._deactivation, self._stalled_camera, self._stamps_that_jump_back, self._flood)
        cycle, number = [command for fault in faults for command in (*everyday, fault)], 0
        while self._now() < seconds:
            command = cycle[number % len(cycle)]
            name = command.__name__.strip("_")
            try:
                command(self.seen.asked[name])
            except ClientTimeout as error:
                self.seen.lost.append(f"{name} {number}: {error}")
            self.seen.asked[name] += 1
            number += 1
            say(f"{self._now():6.0f} s  {number} commands, {len(self.seen.lost)} lost, {self._memory():.0f} MiB")

    def look(self) -> None:
        """Check that the node lives and sample its memory; called all the time while something is waited for."""
        self._guard()
        now = self._now()
        if now - self._looked >= SAMPLE_EVERY:
            self._looked = now
            self.seen.memory.append((now, self._memory()))

    def _text(self, index: int) -> None:
        self._client.send_text(f"hold the mug, number {index}", self._patience, self.look)
        self._hear()

    def _plan(self, index: int) -> None:
        self._count_answer(self._trigger("plan"))

    def _cancel(self, index: int) -> None:
        """Cancel in each stage in turn."""
        self._client.send_text("drink from the mug", self._patience, self.look)
        if self._client.wait_stage(STAGES[index % len(STAGES)], self._patience, self.look):
            begun = time.monotonic()
            self._trigger("cancel")
            self.seen.answers.append(time.monotonic() - begun)
        self._hear()

    def _second_request(self, index: int) -> None:
        """Ask while a plan runs: that is refused at once, and the first goes on."""
        self._client.send_text("drink from the mug", self._patience, self.look)
        if self._client.wait_stage("segment", self._patience, self.look):
            begun = time.monotonic()
            success, reason = self._trigger("plan")
            if not success and reason.startswith("busy"):
                self.seen.answers.append(time.monotonic() - begun)
                self.seen.outcomes["busy"] += 1
            else:
                self._count_answer((success, reason))
        self._hear()

    def _resample(self, index: int) -> None:
        self._count_answer(self._trigger("resample"))

    def _deactivation(self, index: int) -> None:
        """Deactivate in each stage in turn: nothing can be executed then, and the node works again afterwards."""
        self._client.send_text("drink from the mug", self._patience, self.look)
        self._client.wait_stage(STAGES[index % len(STAGES)], self._patience, self.look)
        self._expect(self._client.change_state("deactivate", self._patience, self.look), "deactivation")
        self._hear()
        self._expect(not self._trigger("execute")[0], "a plan executed after deactivation")
        self._expect(self._client.change_state("activate", self._patience, self.look), "activation")
        self._works_again()

    def _stalled_camera(self, index: int) -> None:
        """Hold the camera's process until its last cloud is too old to plan on."""
        os.kill(self._camera, signal.SIGSTOP)
        try:
            self._hear_until(lambda: "clouds have stopped" in self._news, "the stall on /diagnostics")
            self._client.send_text("drink from the mug", self._patience, self.look)
            self._expect("s old; at most" in self._answer()["reason"], "a plan on the cloud of a stalled camera")
        finally:
            os.kill(self._camera, signal.SIGCONT)
        self._works_again()

    def _stamps_that_jump_back(self, index: int) -> None:
        """Have the camera's clock set back, and forward again."""
        events = int(self._values.get("events", 0))
        os.kill(self._camera, signal.SIGUSR1)
        self._hear_until(lambda: int(self._values.get("events", 0)) > events, "the jump on /diagnostics")
        self._works_again()
        os.kill(self._camera, signal.SIGUSR1)
        self._works_again()

    def _flood(self, index: int) -> None:
        """Say a thousand texts in a second, then cancel."""
        begun = time.monotonic()
        for number in range(FLOOD):
            self._client.send_text(f"hold the mug, flood {number}", self._patience, self.look)
            time.sleep(max(0.0, begun + (number + 1) / FLOOD_RATE - time.monotonic()))
        self._trigger("cancel")
        self._works_again()

    def _works_again(self) -> None:
        """Say a text until it is planned; others may still be in the way."""
        text, end = "hold the mug again", self._now() + self._patience
        while self._now() < end:
            self._client.send_text(text, self._patience, self.look)
            try:
                report = self._client.wait_report(AGAIN, self.look)
            except ClientTimeout:
                continue
            if report["text"] == text and report["status"] in PLANNED:
                return
        raise ClientTimeout(f"no plan within {self._patience:.0f} s after a fault")

    def _expect(self, kept: bool, what: str) -> None:
        if not kept:
            self.seen.broken.append(f"{what}: {self._client.report.get('reason', 'no report')}")

    def _hear_until(self, heard: Callable[[], bool], what: str) -> None:
        self._client.wait_until(heard, self._patience, what, self.look)

    def _trigger(self, service: str) -> tuple[bool, str]:
        return self._client.trigger(service, self._patience, self.look)

    def _hear(self) -> None:
        report = self._answer()
        cancelled = "cancelled" in report["reason"]
        self.seen.outcomes["cancelled" if cancelled else report["status"]] += 1
        used = report.get("cloud")
        if used:
            self.seen.ages.append(used["lag"] + used["age"])

    def _answer(self) -> dict[str, Any]:
        """Return what became of the text said last, which may have been heard already."""
        report = self._client.report
        return report if report.get("status") in ANSWERED else self._client.wait_report(self._patience, self.look)

    def _count_answer(self, answer: tuple[bool, str]) -> None:
        success, _ = answer
        self.seen.outcomes["ok" if success else "not ok"] += 1

    def _on_diagnostics(self, message: Any) -> None:
        self._news = message.status[0].message
        self._values = {pair.key: pair.value for pair in message.status[0].values}
        self.seen.clouds.append((self._now(), int(self._values.get("clouds received", 0))))

    def _memory(self) -> float:
        for line in Path(f"/proc/{self._pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise ChildError(f"the node's process {self._pid} has no memory: it is gone")

    def _now(self) -> float:
        return time.monotonic() - self._begun
