"""The node's parts without a ROS graph: worker, joints, inputs, parameters, diagnostics, environment."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from ros_support import CHECKOUT

from maskdex_core.errors import CloudError, ConfigError, RobotError, TextError
from maskdex_ros.diagnostics import Health, summary, values
from maskdex_ros.environment import WHEELS_MARK, free_domain_id, ros_environment, wheels_installed
from maskdex_ros.inputs import Inputs
from maskdex_ros.joint_states import JointStateStore
from maskdex_ros.parameters import NodeParameters, problem, ros_name, table
from maskdex_ros.planning import check_frame, failure
from maskdex_ros.qos import all_reliable, profile
from maskdex_ros.worker import InferenceWorker


def joint_state(**positions: float) -> SimpleNamespace:
    return SimpleNamespace(name=list(positions), position=list(positions.values()))


class TestWorker:
    def test_one_job_at_a_time_and_the_slot_is_free_when_the_end_is_heard(self) -> None:
        worker, release, heard = InferenceWorker(), threading.Event(), []

        def done(result: object, error: object) -> None:
            heard.append((result, error, worker.busy))

        assert worker.submit(lambda _: release.wait(5) and 42, done, "first")
        assert not worker.submit(lambda _: 0, done, "second")
        assert worker.running == "first"
        release.set()
        assert worker.wait_idle(5)
        assert worker.submit(lambda _: 1 // 0, done, "third")
        assert worker.close(5)
        assert heard[0] == (42, None, False)
        assert isinstance(heard[1][1], ZeroDivisionError)
        assert not worker.submit(lambda _: 0, done)

    def test_cancel_reaches_the_running_job_and_not_the_next(self) -> None:
        worker, seen = InferenceWorker(), []

        def job(should_cancel) -> None:
            end = time.monotonic() + 5.0
            while not should_cancel() and time.monotonic() < end:
                time.sleep(0.005)
            seen.append(should_cancel())

        assert not worker.cancel()
        assert worker.submit(job, lambda *_: None)
        assert worker.cancel()
        assert worker.wait_idle(5)
        assert worker.submit(lambda should_cancel: seen.append(should_cancel()), lambda *_: None)
        assert worker.wait_idle(5)
        assert worker.close(5)
        assert seen == [True, False]


class TestJointStates:
    def test_publishers_are_merged_by_name(self) -> None:
        store = JointStateStore()
        store.update(joint_state(a=0.1, b=0.2))
        store.update(joint_state(c=0.3, a=0.4))
        assert store.positions(("c", "a"), 1.0) == {"c": 0.3, "a": 0.4}

    def test_missing_old_and_not_finite_positions_are_refused(self) -> None:
        now = [0.0]
        store = JointStateStore(lambda: now[0])
        with pytest.raises(RobotError, match="no joint_states"):
            store.positions(("a",), 1.0)
        store.update(joint_state(a=0.1, b=float("nan")))
        with pytest.raises(RobotError, match="lack b; received: a"):
            store.positions(("a", "b"), 1.0)
        now[0] = 1.5
        with pytest.raises(RobotError, match=r"a is 1\.5 s old"):
            store.positions(("a",), 1.0)


def test_inputs_know_the_age_of_the_cloud() -> None:
    inputs = Inputs()
    with pytest.raises(CloudError, match="no cloud received yet"):
        inputs.cloud(1.0)
    with pytest.raises(TextError, match="no task text"):
        inputs.last_text()
    inputs.take_cloud("message")
    assert inputs.cloud(60.0) == "message"
    time.sleep(0.02)
    with pytest.raises(CloudError, match="s old"):
        inputs.cloud(0.001)
    assert inputs.cloud(0.0) == "message"
    inputs.forget()
    assert inputs.cloud_age is None


def test_a_failure_report_is_one_sentence_and_never_the_whole_text() -> None:
    report = failure(TextError("too long"), "x" * 5000).report()
    assert (report["status"], report["reason"], report["error"]) == ("error", "too long", "TextError")
    assert len(report["text"]) == 1000
    assert failure(KeyError("k"), "").report()["reason"].startswith("internal error: KeyError")


class TestParameters:
    def test_shipped_yaml_holds_exactly_the_defaults(self) -> None:
        shipped = yaml.safe_load((CHECKOUT / "config" / "grasp_node.yaml").read_text())["/**/maskdex"][
            "ros__parameters"
        ]
        flat = {}
        for key, value in shipped.items():
            nested = value if isinstance(value, dict) else {"": value}
            flat.update({f"{key}.{leaf}".rstrip("."): item for leaf, item in nested.items()})
        defaults = {name: default for name, _, default, _ in table() if default != ()}
        assert {name: tuple(v) if isinstance(v, list) else v for name, v in flat.items()} == defaults

    def test_defaults_fit_their_own_bounds_and_have_a_description(self) -> None:
        for field in dataclasses.fields(NodeParameters):
            default = getattr(NodeParameters(), field.name)
            assert problem(field, default) is None, ros_name(field)
            assert field.metadata["doc"].endswith(".")

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("samples", 0, "valid: 1 to 256"),
            ("speed_scale", 1.5, "valid: 0.01 to 1.0"),
            ("object_near", (0.1, 0.2), "2 elements; valid: 0 or 3"),
            ("edit_parts", ("ring", "toe"), "'toe' is unknown; known: index"),
            ("edit_parts", (), "is empty"),
        ],
    )
    def test_values_out_of_bounds_are_named_with_the_choices(self, name: str, value, expected: str) -> None:
        field = next(field for field in dataclasses.fields(NodeParameters) if field.name == name)
        assert expected in (problem(field, value) or "")


class TestDiagnostics:
    def test_a_silent_publisher_points_to_the_shared_memory_profile(self) -> None:
        health = Health(state="active", point_publishers=1, active_for=10.0)
        level, message = summary(health)
        assert level == "warn"
        assert "fastdds_shm.xml" in message
        assert "fastdds_shm" not in summary(dataclasses.replace(health, clouds_received=1))[1]
        assert "fastdds_shm" not in summary(dataclasses.replace(health, active_for=1.0))[1]

    def test_the_last_error_is_the_summary_until_it_is_gone(self) -> None:
        health = Health(state="active", clouds_received=3, last_error="the task text is empty", cloud_age=0.5)
        assert summary(health) == ("error", "the task text is empty")
        assert summary(dataclasses.replace(health, last_error="")) == ("ok", "ready")
        assert values(health)["age of the cloud [s]"] == "0.50"


def test_a_base_frame_that_is_not_the_arms_is_refused() -> None:
    planner = SimpleNamespace(base_frame="link_base")
    check_frame(planner, NodeParameters())
    with pytest.raises(ConfigError, match="'base_frame' is 'world'; valid: 'link_base'"):
        check_frame(planner, NodeParameters(base_frame="world"))


class TestEnvironment:
    def test_a_child_gets_both_wheel_variables_or_neither(self) -> None:
        base = {WHEELS_MARK: "1", "PATH": "/bin"}
        if not wheels_installed():
            pytest.skip("rclpy comes from a ROS distribution")
        assert WHEELS_MARK not in ros_environment(base=base)
        both = {**base, "LD_LIBRARY_PATH": f"/x:{sys.prefix}/lib"}
        assert ros_environment(base=both)[WHEELS_MARK] == "1"

    def test_a_child_can_import_rclpy_whatever_it_inherits(self) -> None:
        for drop in ((), ("LD_LIBRARY_PATH",), ("LD_LIBRARY_PATH", WHEELS_MARK)):
            base = {name: value for name, value in os.environ.items() if name not in drop}
            command = [
                sys.executable,
                "-c",
                "import rclpy; rclpy.init(); rclpy.create_node('n'); print('alive')",
            ]
            environment = ros_environment(free_domain_id(), base)
            found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
            assert found.stdout.strip() == "alive", found.stderr

    def test_the_users_own_settings_win(self) -> None:
        own = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"}
        environment = ros_environment(7, own)
        assert {key: environment[key] for key in own} == own
        assert environment["ROS_DOMAIN_ID"] == "7"

    def test_a_domain_in_use_is_not_given_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("maskdex_ros.environment.DOMAIN_IDS", range(77, 78))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("0.0.0.0", 7400 + 250 * 77 + 10))
            with pytest.raises(ConfigError, match="in use"):
                free_domain_id()
        assert free_domain_id() == 77


def test_the_shipped_profile_has_a_64_mb_segment() -> None:
    root = ElementTree.parse(CHECKOUT / "config" / "fastdds_shm.xml").getroot()
    space = {"d": "http://www.eprosima.com"}
    assert int(root.find(".//d:segment_size", space).text) == 64 * 2**20


def test_auto_reliability_is_reliable_only_if_every_publisher_is() -> None:
    reliable, best_effort = (SimpleNamespace(qos_profile=profile(reliable=flag)) for flag in (True, False))
    assert all_reliable([reliable, reliable])
    assert not all_reliable([reliable, best_effort])
    assert not all_reliable([])
