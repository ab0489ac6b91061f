"""Ablations: every variant fits the model, each is trained and measured once, tables say what was measured."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from cli_support import fails, run
from grasp_model_support import PALM_FRAME, TEXT_DIM, shadow, tiny_config, tiny_experiment, tiny_model
from small_datasets import write_cans

from maskdex_core.ablations import run as ablation_run
from maskdex_core.ablations.run import Ablation, Protocol
from maskdex_core.ablations.table import markdown, read_rows
from maskdex_core.ablations.textless import TextlessSampler
from maskdex_core.ablations.variants import REFERENCE, Variant, load_variants
from maskdex_core.ablations.whole_hand import WholeHand
from maskdex_core.config import from_mapping
from maskdex_core.errors import ConfigError, DatasetError, UsageError
from maskdex_core.grasp import GraspModel, HandLayout, SamplingConfig
from maskdex_core.refine import ranking
from maskdex_core.training.config import load_experiment


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", load_variants())
def test_every_variant_fits_the_shipped_configuration(name: str):
    variant, reference = load_variants()[name], load_experiment("small")
    changed = variant.experiment(reference)
    from_mapping(SamplingConfig, dataclasses.asdict(changed.model.sampling) | dict(variant.sampling))
    assert variant.change or changed == reference
    if variant.own_tokenizer and variant.hand == "parts":
        assert changed.model.tokenizer != reference.model.tokenizer


def test_another_observation_or_other_settings_of_sampling_are_not_trained():
    untrained = {name for name, variant in load_variants().items() if not variant.trained}
    assert {"view", "view_by_rule", "view_by_network", "steps_2", "samples_4", REFERENCE} <= untrained
    assert not {"commitment_0.1", "commitment_1", "codes_128_dim_256"} & untrained
    assert load_variants()["commitment_1"].own_tokenizer


def test_the_whole_hand_has_as_many_codes_as_the_reference_where_it_says_so():
    tokenizer = load_experiment("small").model.tokenizer
    change = load_variants()["holistic_equal_codes"].change
    codes = tokenizer.palm_levels + 5 * tokenizer.finger_levels
    assert change["model"]["tokenizer"]["palm_levels"] == codes


def test_wrong_variants_are_named(tmp_path):
    path = tmp_path / "ablations.yaml"
    for text, said in (
        ("other: {group: x}", "'reference' among them"),
        ("reference: {group: x, samples: 3}", "differs from itself"),
        ("reference: {group: x}\nbad: {group: x, kind: oracle}", "kind 'oracle' is unknown; known: cvae, flow, model"),
        ("reference: {group: x}\nbad: {group: x, kind: flow, sampling: {steps: 1}}", "neither"),
        ("reference: {group: x}\nbad: {group: x, stepz: 1}", "stepz"),
        ("reference: {group: x}\nbad: {group: x, observation: xray}", "observation 'xray' is unknown; known: full"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            load_variants(path)
    with pytest.raises(ConfigError, match="codez"):
        Variant("x", change={"model": {"tokenizer": {"codez": 3}}}).experiment(tiny_experiment())


def test_one_code_holds_the_whole_grasp():
    """A model of a hand in one part: one token a grasp, made of one code or of a chain, gives palm and all joints."""
    for levels in (1, 3):
        model = GraspModel(tiny_config(palm_levels=levels), HandLayout.of(WholeHand(shadow())), {"hand": "shadow"})
        drawn = model.sample(0.05 * torch.randn(64, 3), torch.ones(TEXT_DIM), 5)
        assert drawn.tokens is not None and drawn.tokens.shape == (5, 1)
        assert drawn.joints.shape == (5, 22)


def test_without_text_every_request_is_the_same():
    model = tiny_model(tokenizer=PALM_FRAME)
    blind, cloud = TextlessSampler(model, TEXT_DIM), 0.05 * torch.randn(64, 3)
    drawn = [
        blind.sample(cloud, text, 3, generator=torch.Generator().manual_seed(0)).joints
        for text in ("lift it", torch.ones(TEXT_DIM))
    ]
    assert torch.equal(*drawn)


@pytest.fixture(scope="module")
def cans(tmp_path_factory):
    return write_cans(tmp_path_factory.mktemp("cans") / "data")


def test_a_variant_is_trained_and_measured_once(cans, tmp_path, monkeypatch, caplog):
    torch.manual_seed(0)
    monkeypatch.setattr(ranking, "hold_judge", lambda: ranking.HoldJudge().eval())  # the order is not what is tested
    own = {"tokenizer_training": {"epochs": 3}, "transformer_training": {"epochs": 3}}
    variants = {"blind": Variant("Parts", hand="whole", text=False, change=own, samples=2, observation="noisy")}
    shown, evaluate = [], ablation_run.evaluate
    monkeypatch.setattr(ablation_run, "evaluate", lambda *arguments: shown.append(arguments[2]) or evaluate(*arguments))
    protocol = Protocol("tiny", 1.0, "unseen_instance", "full", objects=1, samples=2, seed=0)
    tiny = tiny_experiment()
    ablation = Ablation(cans, tmp_path, tiny, protocol)
    ((name, row),) = ablation.run(variants)
    assert (name, row["group"], row["samples"]) == ("blind", "Parts", 2)
    assert row["differs"] == {"hand": "whole", "text": False, "change": own, "samples": 2, "observation": "noisy"}
    assert shown == ["noisy"] and row["protocol"]["observation"] == "full"
    assert row["table"]["raw"]["grasps"] == 2 and row["table"]["top1"]["objects"] == 1
    assert json.loads((tmp_path / "rows" / "blind.json").read_text()) == row

    weights = tmp_path / "blind" / "model" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert list(ablation.run(variants)) == [("blind", row)]  # nothing is done again
    (tmp_path / "rows" / "blind.json").unlink()
    ((_, again),) = ablation.run(variants)  # measured again, not trained again
    assert weights.stat().st_mtime_ns == written
    assert again["table"]["raw"] == row["table"]["raw"]

    other = Ablation(cans, tmp_path, tiny, dataclasses.replace(protocol, seed=1))
    with pytest.raises(UsageError, match=r"blind\.json was measured with seed 0, not 1"):
        list(other.run(variants))


def _row(name: str, group: str, top1: float, **more) -> dict:
    rate = {"mean": top1, "low": top1 - 0.1, "high": top1 + 0.1, "grasps": 20, "objects": 20}
    return {"variant": name, "group": group, "protocol": {"seed": 0}, "table": {"top1": rate, "hmean": 3.456, **more}}


def test_tables_are_by_group_with_the_reference_in_each(tmp_path):
    (tmp_path / "rows").mkdir()
    rows = [_row(REFERENCE, "A", 0.8), _row("flow", "A", 0.5, part_agreement={"mean": 0.25}), _row("steps_1", "B", 0.7)]
    for row in rows:
        (tmp_path / "rows" / f"{row['variant']}.json").write_text(json.dumps(row))
    text = markdown(read_rows(tmp_path, ("reference", "flow", "missing", "steps_1")))
    first, second = text.split("## B")
    assert "## A" in first and "20 objects; seed 0" in first
    (line,) = (line for line in first.splitlines() if line.startswith("| flow"))
    assert [cell.strip() for cell in line.split("|")][2:10] == [
        "-",
        "-",
        "50 [40, 60]",
        "-",
        "-",
        "25",
        "-",
        "3.46",
    ]
    assert "| reference |" in second and "| steps_1 |" in second and "flow" not in second
    with pytest.raises(DatasetError, match="holds no row of nothing"):
        read_rows(tmp_path, ("nothing",))


def test_the_command_names_what_is_wrong(tmp_path):
    fails(run("ablate", "--out", tmp_path, "--only", "nonsense"), 2, "nonsense", "reference", "holistic")
    fails(run("ablate", "--out", tmp_path, "--minutes", "0"), 2, "--minutes 0.0")
    fails(run("ablate", "--out", tmp_path, "--observation", "xray"), 2, "xray", "view")
    fails(run("ablate", "--out", tmp_path, "--table"), 3, "holds no row")
    fails(run("ablate", "--out", tmp_path, "--data", tmp_path / "gone"), 3, "gone")
