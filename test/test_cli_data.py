"""`maskdex data` and `maskdex train`: counts that are known, resumed builds and resumed training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from cli_support import fails, run
from grasp_model_support import shadow
from held_grasps import held_grasps

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.data.files import write_dataset
from maskdex_core.synthesis import build
from maskdex_core.synthesis.jobs import procedural_jobs
from maskdex_core.synthesis.made_grasp import MadeGrasp
from maskdex_core.training.random_data import random_dataset

TINY = {
    "model": {
        "tokenizer": {
            "codes": 16,
            "code_dim": 16,
            "hand_points": 48,
            "encoder_widths": [8, 16],
            "decoder_width": 32,
        },
        "transformer": {"layers": 1, "heads": 2, "width": 16, "object_points": 32, "object_widths": [8]},
    },
    "tokenizer_training": {"epochs": 4, "batch": 8, "log_every": 1, "warmup_steps": 1},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """24 random grasps, the last two twins; two tasks; one object that is real."""
    folder = tmp_path_factory.mktemp("data") / "set"
    made = random_dataset(shadow(), 24, points=64, objects=3)
    rows = [{column: values[row] for column, values in made.table.items() if values} for row in range(24)]
    for column in ("joints", "pregrasp", "squeeze", "palm_translation", "palm_rotation", "object"):
        if column in rows[22]:
            rows[23][column] = rows[22][column]
    for number, row in enumerate(rows):
        row["tasks"] = ["hold", "lift"] if number % 2 else ["hold"]
        row["fc6"], row["pen_mm"] = float(number >= 4), number / 10
        row["source"] = "ycb_sim" if row["object"] == "ellipsoid_1" else "procedural"
    objects = {
        name: {"points": surface.points, "normals": surface.normals, "part_ids": surface.part_ids}
        for name, surface in made.objects.items()
    }
    objects = {name: {key: value.numpy() for key, value in object_.items()} for name, object_ in objects.items()}
    write_dataset(folder, rows, objects, {"joint_names": list(made.joint_names), "hand": "shadow"})
    return folder


def test_stats_count_what_is_there(dataset: Path):
    ended = run("data", "stats", dataset, "--json")
    assert ended.code == 0, ended.err
    numbers = json.loads(ended.out)
    assert (numbers["grasps"], numbers["fc6"], numbers["objects"], numbers["real_objects"]) == (24, 20, 3, 1)
    assert numbers["tasks"] == {"hold": 24, "lift": 12}
    assert numbers["pen_mm_median"] == pytest.approx(1.15, abs=1e-3)
    assert numbers["duplicates"] == pytest.approx(2 / 24, abs=1e-4)
    assert 2.5 < numbers["hmean"] <= np.log(24)  # 24 grasps fill 24 bins at most
    table = run("data", "stats", dataset).out
    assert "hold           24" in table and "q1_mean          unknown" in table


def test_objects_take_families_in_turn():
    jobs = [(job.name, job.seed) for job in procedural_jobs(5, ("mug", "bowl"))]
    assert jobs == [("mug", 0), ("bowl", 0), ("mug", 1), ("bowl", 1), ("mug", 2)]


def test_build_writes_a_dataset_and_goes_on_where_it_stopped(tmp_path: Path, monkeypatch):
    calls: list[str] = []

    def fake(hand, target, config, seed):
        calls.append(target.name)
        held = held_grasps()[target.family]
        yield "tripod/body", 3, [
            MadeGrasp("tripod", held.joints, held.pregrasp, held.squeeze, held.rotation, held.translation,
                      held.contact_links, held.contact_parts, "solved", 0.5, True)
        ]  # fmt: skip

    monkeypatch.setattr(build, "synthesize", fake)
    options = ("data", "build", "--out", tmp_path, "--families", "can", "carton", "--objects")
    assert run(*options, 2).code == 0
    assert calls == ["can_000", "carton_000"]
    assert GraspDataset.load(tmp_path).object_names == ("can_000", "carton_000")
    ended = run(*options, 3)
    assert ended.code == 0, ended.err
    assert calls == ["can_000", "carton_000", "can_001"]  # what was there is not made again
    assert len(list((tmp_path / "shards").glob("*.json"))) == 3
    assert "2 grasps from 3 shards" in ended.err  # the stored grasp sits in the larger can: it is left out


def test_training_resumes_and_stage_2_needs_stage_1(tmp_path: Path, dataset: Path):
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY))
    options = ("--data", dataset, "--config", config, "--out", tmp_path / "run")
    fails(run("train", "transformer", *options), 3, "train the tokenizer first")
    assert run("train", "tokenizer", *options, "--minutes", "0.00001").code == 0

    def steps() -> list[int]:
        log = (tmp_path / "run" / "tokenizer" / "log.jsonl").read_text().splitlines()
        return [line["step"] for line in map(json.loads, log) if line["kind"] == "train"]

    first = steps()
    assert 1 <= len(first) < 12
    assert run("train", "tokenizer", *options, "--resume").code == 0
    assert steps() == list(range(1, 13))  # 24 grasps, 4 epochs, batch 8, none twice
