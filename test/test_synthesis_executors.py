"""Shards made by several processes and on a Ray cluster that loses a worker on the way."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from mortal_work import mortal_work

from maskdex_core.errors import DatasetError
from maskdex_core.synthesis import build as build_module
from maskdex_core.synthesis.build import build_shards
from maskdex_core.synthesis.executors import on_ray, on_this_machine
from maskdex_core.synthesis.jobs import procedural_jobs


@pytest.fixture
def cluster(monkeypatch):
    """Two machines of one worker each, played by processes of this one."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where workers find `mortal_work`
    ray = pytest.importorskip("ray", reason="no Ray: pip install 'maskdex_ros[ray]'")
    from ray.cluster_utils import Cluster

    here = {"num_cpus": 1, "node_ip_address": "127.0.0.2"}  # on loopback, and not what Ray replaces by its own
    made = Cluster(initialize_head=True, head_node_args={**here, "include_dashboard": False})
    made.add_node(**here)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_loses_no_shard(cluster, tmp_path: Path) -> None:
    marks, jobs = tmp_path / "marks", procedural_jobs(6, ["can"])
    marks.mkdir()
    elsewhere = on_ray(cluster.address)
    paths = build_shards(
        tmp_path / "shards", jobs, lambda work, missing: elsewhere(partial(mortal_work, marks), missing)
    )
    assert (marks / "died").exists()  # one worker was killed
    assert [json.loads(path.read_text())["build"]["seed"] for path in paths] == [0, 1, 2, 3, 4, 5]
    assert not list((tmp_path / "shards").glob("*.part"))


def test_a_cluster_that_is_not_there_is_named() -> None:
    pytest.importorskip("ray", reason="no Ray: pip install 'maskdex_ros[ray]'")
    with pytest.raises(DatasetError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        on_ray("127.0.0.1:1")


def test_several_processes_make_every_shard_once(tmp_path: Path) -> None:
    jobs = procedural_jobs(2, ["carton", "can"])
    seen: list[None] = []
    few = build_module.SynthesisConfig(candidates=2, fewest=2)
    paths = build_shards(tmp_path, jobs, on_this_machine(2), few, on_shard=lambda: seen.append(None))
    assert [path.name for path in paths] == ["carton_000.json", "can_000.json"] and len(seen) == 2
    assert all(json.loads(path.read_text())["build"]["tried"] > 0 for path in paths)
