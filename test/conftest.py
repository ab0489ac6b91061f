"""Start-up of the test run."""

from __future__ import annotations

import pytest
from ros_support import load_ros_libraries


def pytest_configure(config: pytest.Config) -> None:
    """Prepare this process and those it starts for rclpy, before anything else runs."""
    load_ros_libraries(config)
