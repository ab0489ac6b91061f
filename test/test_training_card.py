"""The card of a checkpoint: data, commit, seeds, and the curves as a table and a picture."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from grasp_model_support import FakeEncoder, shadow, tiny_experiment
from matplotlib.image import imread

from maskdex_core.training import train_tokenizer, train_transformer
from maskdex_core.training.curves import read_curves
from maskdex_core.training.log import read_log
from maskdex_core.training.random_data import random_dataset


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("card") / "mine"
    data = random_dataset(shadow(), 44, points=100, unseen=4)
    experiment = tiny_experiment(epochs=8, evaluate_every=1, log_every=2)
    seeded = dataclasses.replace(experiment.transformer_training, seed=7)
    experiment = dataclasses.replace(experiment, transformer_training=seeded)
    train_tokenizer(data, experiment, out, hand=shadow())
    train_transformer(data, experiment, out, hand=shadow(), encoder=FakeEncoder())
    return out


def _table(card: str, stage: str) -> list[list[str]]:
    section = card[card.index(f"\n{stage}, ") :].split("\n\n")[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.strip().splitlines()]


def test_the_card_names_data_commit_and_seeds(out):
    card = (out / "model" / "card.md").read_text()
    assert "# mine\n" in card and "trained on 40 grasps of data `random` at commit" in card
    assert re.search(r"at commit `([0-9a-f]{12}|unknown)`; seeds: tokenizer 0, transformer 7\.", card)


@pytest.mark.parametrize(("stage", "criterion"), [("tokenizer", "loss"), ("transformer", "nll")])
def test_the_table_is_the_log(out, stage, criterion):
    card = (out / "model" / "card.md").read_text()
    header, _, *rows = _table(card, stage)
    log = read_log(out / stage / "log.jsonl")
    held_out = {row["step"]: row for row in log if row["kind"] == "held-out"}
    assert len(held_out) == 20 and 8 <= len(rows) <= 9 and header[:3] == ["step", "minutes", "train loss"]
    for row in rows:
        said = held_out[int(row[0].removesuffix(" (kept)"))]
        assert {name: float(cell) for name, cell in zip(header[3:], row[3:], strict=True)} == pytest.approx(
            {name: said[name] for name in header[3:]}, rel=1e-3
        )
        before = [line["loss"] for line in log if line["kind"] == "train" and line["step"] <= said["step"]]
        assert row[2] == "" if not before else float(row[2]) == pytest.approx(before[-1], rel=1e-3)
    kept = [row[0] for row in rows if row[0].endswith("(kept)")]
    assert kept == [f"{min(held_out, key=lambda step: held_out[step][criterion])} (kept)"]
    assert f"of 20 evaluations on unseen objects (no test set any more) step {kept[0].split()[0]} has" in card


def test_the_picture_beside_the_card_shows_curves(out):
    card = (out / "model" / "card.md").read_text()
    assert "](curves.png)" in card
    picture = imread(out / "model" / "curves.png")[..., :3]
    spread = picture.max(-1) - picture.min(-1)
    halves = np.array_split(spread > 0.3, 2, axis=1)
    assert picture.shape[1] > 2 * picture.shape[0] and all(half.sum() > 500 for half in halves)


def test_with_nothing_held_out_the_last_state_is_told(tmp_path):
    data = random_dataset(shadow(), 16, points=50)
    train_tokenizer(data, tiny_experiment(epochs=3), tmp_path, hand=shadow())
    curves = read_curves(tmp_path / "tokenizer")
    assert (curves.kept_step, curves.criterion, curves.processes) == (3, "", 1)
    assert not (tmp_path / "tokenizer" / "best.safetensors").exists()
