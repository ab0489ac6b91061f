"""The life of a node's process: from `rclpy.init` to an exit code, whenever a signal comes."""

from __future__ import annotations

import _thread
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from maskdex_core.errors import MaskdexError

if TYPE_CHECKING:
    from rclpy.task import Future

CLOSING = 5.0  # [s] a running job gets to end
LOOK_EVERY = 0.1  # [s] between two looks whether a signal has come
GRACE = 0.5  # [s] after a signal in which a callback may end by itself

_overdue = threading.Event()


def let_signals_end_ros() -> None:
    """Make Ctrl-C shut ROS down and raise nothing, as SIGTERM does; to be called before `rclpy.init`.

    A KeyboardInterrupt while rclpy makes a message would come out as some RuntimeError, before ROS has heard of the
    signal, and while a bag is written it would cut a record in two.
    """

    def hear(number: int, frame: FrameType | None) -> None:
        if _overdue.is_set():
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hear)  # also where a shell has started us with it ignored


def run_node(make_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """Run a node until its `finished` is done, or SIGINT or SIGTERM comes, and end the process with exit code 0.

    Args:
        make_node: makes a `LifecycleNode` with a future `finished` and a method `close(timeout)`.
        args: of the command line; None takes the process's own.

    Returns:
        The exit code where the node could not be made; otherwise it does not return.

    Raises:
        Exception: what the node raised while ROS was still up; a signal is never the cause.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    let_signals_end_ros()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.ALL)
    node = executor = None
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        _spin(executor, node.finished)
    except MaskdexError as error:
        rclpy.logging.get_logger("maskdex").fatal(str(error))
        return error.exit_code
    except Exception:
        # A signal shuts ROS down wherever the code is just then, and any call may trip over that.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            _close(node)
        rclpy.try_shutdown()
    node = executor = None
    gc.collect()
    rclpy.get_default_context().destroy()
    leave()


def _spin(executor: Any, finished: Future[None]) -> None:
    from rclpy.executors import ExternalShutdownException

    with _interrupted_after_shutdown(executor.context), suppress(KeyboardInterrupt, ExternalShutdownException):
        executor.spin_until_future_complete(finished)


@contextmanager
def _interrupted_after_shutdown(context: Any) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block when it goes on after a signal has shut ROS down.

    rclpy's handler tells only the executor, which hears nothing while a callback loads a model for half a minute.
    """
    left = threading.Event()

    def watch() -> None:
        while context.ok():
            if left.wait(LOOK_EVERY):
                return
        while not left.wait(GRACE):
            _overdue.set()
            _thread.interrupt_main()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        with suppress(KeyboardInterrupt):  # one that was on its way already
            watcher.join()
        _overdue.clear()


def _close(node: Any) -> None:
    import rclpy

    try:
        node.close(timeout=CLOSING)
        node.destroy_node()
    except Exception:
        if rclpy.ok():  # as above
            raise


def leave() -> NoReturn:
    """End the process now: everything is closed, and nothing is left but taking Python apart.

    With torch in it that lasts up to ten seconds on a busy machine, while launch kills after five; and under a
    job that did not stop in time torch's threads can crash at it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
