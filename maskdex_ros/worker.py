"""One inference thread with one slot: a job runs, or the answer is "busy"."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Job = Callable[[Callable[[], bool]], Any]
Done = Callable[[Any, BaseException | None], None]


class InferenceWorker:
    """Runs one job at a time on a thread of its own, so that the executor never waits for a plan."""

    def __init__(self, name: str = "inference") -> None:
        """Start the thread; it is a daemon, so a hung job cannot keep a process alive."""
        self._condition = threading.Condition()
        self._cancelled = threading.Event()
        self._slot: tuple[Job, Done, str] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job, done: Done, label: str = "") -> bool:
        """Start a job unless one runs.

        Args:
            job: called with `should_cancel()`, which turns true on `cancel`.
            done: called on the worker's thread with (result, None) or (None, exception). The slot
                is free by then: whoever hears of the end may submit again.
            label: says what the job is; see `running`.

        Returns:
            False when busy or closed.
        """
        with self._condition:
            if self._slot is not None or self._closing:
                return False
            self._cancelled.clear()
            self._slot = (job, done, label)
            self._condition.notify_all()
            return True

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._slot is not None

    @property
    def running(self) -> str:
        """The label of the running job, or the empty string."""
        slot = self._slot
        return slot[2] if slot is not None else ""

    def cancel(self) -> bool:
        """Ask the running job to stop; return whether there was one."""
        with self._condition:
            if self._slot is None:
                return False
            self._cancelled.set()
            return True

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no job runs; return False when `timeout` (s) passes first."""
        with self._condition:
            return self._condition.wait_for(lambda: self._slot is None, timeout)

    def close(self, timeout: float) -> bool:
        """Cancel, take no more jobs and end the thread; return False when it did not end in `timeout` (s)."""
        with self._condition:
            self._closing = True
            self._cancelled.set()
            self._condition.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._slot is not None or self._closing)
                if self._slot is None:
                    return
                job, done, _ = self._slot
            result, error = None, None
            try:
                result = job(self._cancelled.is_set)
            except BaseException as caught:  # the thread must outlive any job
                error = caught
            with self._condition:
                self._slot = None
                self._condition.notify_all()
            done(result, error)
