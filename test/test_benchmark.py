"""The benchmark measures what it names."""

from __future__ import annotations

import time

import pytest
from grasp_model_support import FakeEncoder, tiny_model

from maskdex_core.benchmark import WARM_UP, StageTime, machine, table, time_network, time_text
from maskdex_core.errors import UsageError


def test_median_and_95th_percentile():
    row = StageTime.of("shipped", 16, "decode", [float(value) for value in range(1, 102)])
    assert (row.median_ms, row.p95_ms, row.calls) == (51.0, 96.0, 101)


def test_text_is_timed_without_the_cache():
    seen: list[str] = []

    class Slow(FakeEncoder):
        def encode(self, texts):
            seen.extend(texts)
            time.sleep(0.005)
            return super().encode(texts)

    model = tiny_model()
    model._encoder = Slow()
    row = time_text("shipped", model, 4)
    assert len(set(seen)) == len(seen) == 4 + WARM_UP
    assert row.median_ms >= 5.0


def test_network_stages_add_up():
    rows = {row.stage.split(" (")[0]: row for row in time_network("shipped", tiny_model(), 4, 5)}
    assert list(rows) == ["object encoder", "decode", "network total"]
    parts = sum(rows[name].median_ms for name in ("object encoder", "decode"))
    assert rows["network total"].median_ms > 0.5 * parts
    lines = table(list(rows.values())).splitlines()
    assert len(lines) == 4
    assert "decode" in lines[2]


def test_no_calls_are_refused_and_threads_are_named():
    with pytest.raises(UsageError, match="number of calls 0"):
        list(time_network("shipped", tiny_model(), 1, 0))
    assert machine()["threads"] >= 1
