"""Where jobs run: processes of this machine, or a Ray cluster. Both yield results as they come."""

from __future__ import annotations

import logging
import multiprocessing
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from maskdex_core.errors import DatasetError
from maskdex_core.synthesis.jobs import SynthesisJob

log = logging.getLogger(__name__)

Result = tuple[SynthesisJob, str]
Work = Callable[[SynthesisJob], Result]
Executor = Callable[[Work, Sequence[SynthesisJob]], Iterable[Result]]

TASKS_A_PROCESS = 16  # fresh processes return what libraries keep
KNOCK = 5.0  # s
ATTEMPTS = 4  # a lost worker's job is done again by another


def on_this_machine(workers: int) -> Executor:
    """Return an executor with processes of this machine; 1 works in this process."""

    def execute(work: Work, jobs: Sequence[SynthesisJob]) -> Iterator[Result]:
        if workers == 1:
            yield from map(work, jobs)
            return
        with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=TASKS_A_PROCESS) as pool:
            yield from pool.imap_unordered(work, jobs)

    return execute


def on_ray(address: str) -> Executor:
    """Return an executor on a Ray cluster; jobs of workers that die are done again elsewhere.

    Args:
        address: of the cluster's head, as Ray takes it ("auto" finds a running one).

    Raises:
        DatasetError: when Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise DatasetError("building on a cluster needs Ray; install it with `pip install maskdex_ros[ray]`") from error
    library: Any = ray
    try:
        _knock(address)
        library.init(address=address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
    except (OSError, ValueError) as error:
        raise DatasetError(f"no Ray cluster at {address!r} ({error})") from error

    def execute(work: Work, jobs: Sequence[SynthesisJob]) -> Iterator[Result]:
        def task(job: SynthesisJob) -> Result:  # Ray takes functions, not every callable
            return work(job)

        remote = library.remote(num_cpus=1, max_retries=ATTEMPTS, max_calls=TASKS_A_PROCESS)(task)
        waiting = [remote.remote(job) for job in jobs]
        while waiting:
            done, waiting = library.wait(waiting, num_returns=1)
            yield library.get(done[0])

    return execute


def _knock(address: str) -> None:
    """Raise OSError when nobody listens at host:port: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK).close()
