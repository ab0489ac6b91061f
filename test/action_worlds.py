"""Action servers that do as they are told: small fakes on a clock of their own, and real ones over ROS.

The same tests run in both worlds. The fakes need no message package and no time; the real world needs the
package, which only ROS distributions have, and shows that the fakes behave like rclpy and its servers.
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from rclpy.task import Future

SUCCEEDED, CANCELED, ABORTED = 4, 5, 6


@dataclass
class Server:
    """One action server, and what it should do with a goal.

    Attributes:
        accept: False rejects, None does not answer before `late` is called; fakes only.
        end: succeed, abort, or hold until the goal is cancelled.
        result: fills the result message. feedback: fills a feedback message, sent once, or None.
        there: whether clients find the server.
        goals, cancelled: what came in.
    """

    accept: bool | None = True
    end: str = "succeed"
    result: Callable[[Any], None] = lambda message: None
    feedback: Callable[[Any], None] | None = None
    there: bool = True
    goals: list[Any] = field(default_factory=list)
    cancelled: int = 0
    late: Callable[[], None] = lambda: None
    release: threading.Event = field(default_factory=threading.Event)


class FakeWorld:
    """Node, clock, clients and servers in one; nothing happens before `settle`."""

    real = False

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}
        self.published: dict[str, list[Any]] = {}
        self._pending: list[Callable[[], None]] = []
        self._timers: list[SimpleNamespace] = []
        self.parameters = {"speed_scale": 0.3}
        self.listeners = 1  # on every topic

    # What outputs use of a node

    def create_timer(self, period: float, callback: Callable[[], None], clock: Any = None) -> Any:
        timer = SimpleNamespace(period=period, left=period, callback=callback)
        self._timers.append(timer)
        return timer

    def destroy_timer(self, timer: Any) -> None:
        self._timers.remove(timer)

    def create_lifecycle_publisher(self, kind: Any, topic: str, qos: Any) -> Any:
        return SimpleNamespace(
            publish=self.published.setdefault(topic, []).append,
            topic_name=topic,
            get_subscription_count=lambda: self.listeners,
        )

    def destroy_lifecycle_publisher(self, publisher: Any) -> None:
        assert publisher.topic_name in self.published

    def get_parameter(self, name: str) -> Any:
        return SimpleNamespace(value=self.parameters[name])

    # What tests do

    @property
    def node(self) -> FakeWorld:
        return self

    @property
    def timers(self) -> int:
        return len(self._timers)

    def serve(self, kind: Any, name: str, server: Server) -> Server:
        self.servers[name] = server
        return server

    def client(self, node: Any, kind: Any, name: str) -> FakeClient:
        return FakeClient(self, kind, name)

    def later(self, call: Callable[[], None]) -> None:
        self._pending.append(call)

    def settle(self) -> None:
        while self._pending:
            self._pending.pop(0)()

    def wait(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds / 0.1)):
            self.settle()
            for timer in list(self._timers):
                timer.left -= 0.1
                if timer.left <= 1e-9 and timer in self._timers:
                    timer.left = timer.period
                    timer.callback()
        self.settle()

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        for _ in range(round(seconds / 0.1)):
            self.settle()
            if condition():
                return
            self.wait(0.1)
        raise AssertionError("it did not happen")

    def close(self) -> None:
        assert not self._timers, "a timer is left on the node"


class FakeClient:
    """As much of rclpy's ActionClient as the outputs use."""

    def __init__(self, world: FakeWorld, kind: Any, name: str) -> None:
        self._world, self._kind, self._name = world, kind, name
        self._destroyed = False

    def server_is_ready(self) -> bool:
        assert not self._destroyed, "rclpy raises here"
        server = self._world.servers.get(self._name)
        return server is not None and server.there

    def send_goal_async(self, goal: Any, feedback_callback: Callable[[Any], None]) -> Any:
        if not isinstance(goal, self._kind.Goal):
            raise TypeError(f"{goal!r} is no goal of {self._name}")
        server, future = self._world.servers[self._name], Future()

        def answer() -> None:
            server.goals.append(goal)
            if server.accept is None:
                server.accept, server.late = True, lambda: self._world.later(answer)
                return
            handle = FakeHandle(self._world, self._kind, server)
            future.set_result(handle)
            if handle.accepted and server.feedback is not None:
                message = self._kind.Feedback()
                server.feedback(message)
                self._world.later(lambda: feedback_callback(SimpleNamespace(feedback=message)))
            if handle.accepted:
                self._world.later(handle.run)

        self._world.later(answer)
        return future

    def destroy(self) -> None:
        self._destroyed = True


class FakeHandle:
    """A goal at its server."""

    def __init__(self, world: FakeWorld, kind: Any, server: Server) -> None:
        self.accepted = bool(server.accept)
        self._world, self._kind, self._server = world, kind, server
        self._result = Future()

    def get_result_async(self) -> Any:
        return self._result

    def cancel_goal_async(self) -> Any:
        def cancel() -> None:
            if not self._result.done():
                self._server.cancelled += 1
                self._end(CANCELED)

        self._world.later(cancel)
        return Future()

    def run(self) -> None:
        if self._server.release.is_set():
            self._end(CANCELED)
        elif self._server.end != "hold" and not self._result.done():
            self._end(SUCCEEDED if self._server.end == "succeed" else ABORTED)

    def _end(self, status: int) -> None:
        result = self._kind.Result()
        self._server.result(result)
        self._result.set_result(SimpleNamespace(status=status, result=result))


class RealWorld:
    """A node with real clients, and one with real servers, in a domain of their own; servers have threads."""

    real = True

    def __init__(self, domain_id: int) -> None:
        import rclpy
        from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
        from rclpy.lifecycle import LifecycleNode

        self.context = rclpy.context.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = LifecycleNode("outputs", context=self.context, enable_communication_interface=False)
        self.node.declare_parameter("speed_scale", 0.3)
        self._host = rclpy.create_node("servers", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._others = MultiThreadedExecutor(num_threads=4, context=self.context)
        self._others.add_node(self._host)
        self._thread = threading.Thread(target=self._others.spin, daemon=True)
        self._thread.start()
        self.published: dict[str, list[Any]] = {}
        self._servers: list[tuple[Server, Any]] = []

    def listen(self, kind: Any, topic: str) -> list[Any]:
        heard = self.published.setdefault(topic, [])
        self._host.create_subscription(kind, topic, heard.append, 10)
        return heard

    def serve(self, kind: Any, name: str, server: Server) -> Server:
        from rclpy.action import ActionServer, CancelResponse, GoalResponse
        from rclpy.callback_groups import ReentrantCallbackGroup

        def execute(handle: Any) -> Any:
            if server.feedback is not None:
                message = kind.Feedback()
                server.feedback(message)
                handle.publish_feedback(message)
            while server.end == "hold" and not handle.is_cancel_requested and self.context.ok():
                time.sleep(0.005)
            result = kind.Result()
            server.result(result)
            if handle.is_cancel_requested:
                server.cancelled += 1
                handle.canceled()
            else:
                (handle.succeed if server.end == "succeed" else handle.abort)()
            return result

        def goal(request: Any) -> Any:
            server.goals.append(request)
            return GoalResponse.ACCEPT if server.accept else GoalResponse.REJECT

        if server.there:
            made = ActionServer(
                self._host, kind, name, execute, goal_callback=goal,
                cancel_callback=lambda _: CancelResponse.ACCEPT, callback_group=ReentrantCallbackGroup(),
            )  # fmt: skip
            self._servers.append((server, made))
        return server

    def client(self, node: Any, kind: Any, name: str) -> Any:
        from rclpy.action import ActionClient

        return ActionClient(node, kind, name)

    def settle(self) -> None:
        self._executor.spin_once(timeout_sec=0.02)

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            self.settle()

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.settle()

    def close(self) -> None:
        import rclpy

        for server, _ in self._servers:
            server.end = "succeed"
        self._others.shutdown(timeout_sec=5)
        self.node.destroy_node()
        self._host.destroy_node()
        rclpy.shutdown(context=self.context)


def has_package(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
