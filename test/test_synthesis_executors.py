"""Shards made by several processes and on a Ray cluster that loses a worker on the way."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from maskdex_core.errors import DatasetError
from maskdex_core.synthesis import build as build_module
from maskdex_core.synthesis.build import build_shards
from maskdex_core.synthesis.executors import on_ray, on_this_machine
from maskdex_core.synthesis.jobs import SynthesisJob, procedural_jobs


def _quick_shard(job: SynthesisJob, config: object, folder: Path) -> tuple[SynthesisJob, str]:
    """Stand in for an object's synthesis: the first worker on the second object dies in the middle of it."""
    died = folder / "died"
    if job.seed == 1 and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"{job.shard}.{os.getpid()}").touch()
    return job, json.dumps({"build": {"seed": job.seed, "worker": os.getpid()}, "grasps": []})


@pytest.fixture
def cluster(monkeypatch):
    """Two machines of one worker each, played by processes of this one."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where workers find this file
    ray = pytest.importorskip("ray", reason="no Ray: pip install 'maskdex_ros[ray]'")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_loses_no_shard(cluster, tmp_path: Path, monkeypatch) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setattr(build_module, "make_shard", partial(_quick_shard, folder=marks))
    jobs = procedural_jobs(6, ["can"])
    paths = build_shards(tmp_path / "shards", jobs, on_ray(cluster.address))
    assert (marks / "died").exists()  # one worker was killed
    assert [json.loads(path.read_text())["build"]["seed"] for path in paths] == [0, 1, 2, 3, 4, 5]
    done = [path.name.rsplit(".", 1)[0] for path in marks.glob("*.json.*")]
    assert sorted(set(done)) == sorted(path.name for path in paths)
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
