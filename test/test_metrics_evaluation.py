"""What a table says of trials, and what raw samples are measured by."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from grasp_model_support import shadow
from held_grasps import held_grasps

from maskdex_core.grasp import GraspBatch
from maskdex_core.metrics import evaluation
from maskdex_core.metrics.evaluation import as_json, evaluate, summary
from maskdex_core.metrics.grasp_test import ALL_PROTOCOLS, GraspScores, GraspTest, RawScores, TopScores
from maskdex_core.metrics.requests import Request
from maskdex_core.metrics.subjects import fresh_subjects
from maskdex_core.metrics.success import ObjectTrial, top_of_share

K = 4


def _trial(name: str, raw_held: list[bool], depth: float, confidence: np.ndarray) -> ObjectTrial:
    raw = np.array(raw_held)
    scores = GraspScores(
        fc6=np.array([True, True, True, False]), fc1=np.ones(K, bool), pen_mm=np.full(K, depth),
        pen_mesh_mm=np.array([depth, 1.0, 1.0, 2.0]), self_mm=np.array([0.5, 0.0, 0.0, 0.0]), q1=np.zeros(K),
        contacts=np.full(K, 4), parts=(("body",),) * K,
    )  # fmt: skip
    first = GraspScores(*(getattr(scores, field.name)[:1] for field in dataclasses.fields(scores)))
    return ObjectTrial(
        name=name, request=Request("lift it"), raw=RawScores(raw, raw | True, np.full(K, 3.0), raw[:2], raw[:2] | True),
        confidence=confidence, refined=scores, chance=np.array([0.9, 0.8, 0.7, 0.1]), drawn=K,
        top=TopScores(True, True, False, True), top_scores=first, top_chance=0.9, joints=np.zeros((K, 22)),
        firmest_fc6=True, baseline_fc6=np.zeros(K, bool), baseline_top1=False, baseline_timely_top1=False, seconds=1.0,
        baseline_seconds=1.0,
    )  # fmt: skip


def test_the_table_tells_raw_refined_and_ranked_apart():
    sure = np.array([0.9, 0.8, 0.2, 0.1])
    table = summary(
        [_trial("a", [True, True, False, False], 1.0, sure), _trial("b", [True, False, False, False], 9.0, sure)]
    )
    means = {name: getattr(value, "mean", value) for name, value in table.items()}
    assert (means["raw"], means["raw_fc1"], means["refined"], means["top1"]) == (0.375, 1.0, 0.75, 1.0)
    assert (means["raw_fc6_hard"], means["raw_paper_like"]) == (0.75, 1.0) and table["raw_fc6_hard"].grasps == 4
    assert means["raw_pen_mesh_mm"] == 3.0 and means["top1_pen_mesh_mm"] == 5.0
    assert means["pen_mesh_mm"] == 2.25 and means["pen_mesh_mm_median"] == 1.0 and 2.0 < means["pen_mesh_mm_p95"] < 9.0
    assert means["self_mm"] == 0.125 and means["top1_self_mm"] == 0.5
    assert means["confidence_auroc_raw"] == pytest.approx(14.5 / 15)  # of 15 pairs one is a tie
    assert means["confidence_auroc_refined"] == 1.0 == means["auroc"]


def test_a_sampler_without_confidence_gets_no_row_for_it():
    trial = _trial("a", [True] * K, 1.0, np.zeros(0))
    assert not [name for name in summary([trial]) if name.startswith("confidence")]
    confident = as_json(summary([dataclasses.replace(trial, confidence=np.ones(K))]))
    assert confident["confidence_auroc_raw"] is None  # all hold: nothing to tell apart


def test_raw_samples_are_held_by_less_than_all_directions_or_not_at_all():
    grasp, hand = held_grasps()["can"], shadow()
    grasps = GraspBatch(
        hand.joint_names, *(torch.tensor(np.stack([a] * 6), dtype=torch.float32) for a in (
            grasp.joints, grasp.rotation, grasp.translation)),
        pregrasp=torch.tensor(np.stack([grasp.pregrasp] * 6), dtype=torch.float32),
        squeeze=torch.tensor(np.stack([grasp.squeeze] * 6), dtype=torch.float32),
    )  # fmt: skip
    away = grasps.palm_translation.clone()
    away[1] += 0.3 * torch.tensor(grasp.rotation[:, 0], dtype=torch.float32)
    found = GraspTest(hand, grasp.target).raw(grasps.replace(palm_translation=away), np.zeros(3))
    assert found.fc6.tolist() == found.fc1.tolist() == [True, False, True, True, True, True]
    assert len(found.fc6_hard) == len(found.paper_like) == ALL_PROTOCOLS < 6
    assert found.paper_like.tolist() == [True, False, True, True] and not found.fc6_hard[1]
    assert found.pen_mesh_mm[1] == 0.0 and found.pen_mesh_mm[0] < 5.0


def test_no_two_objects_or_texts_share_a_camera_and_every_run_has_the_same(monkeypatch):
    def seeds(run: int) -> list[int]:
        asked = []
        monkeypatch.setattr(evaluation, "try_object", lambda *given: asked.append(given[-1]))
        list(evaluate(object(), fresh_subjects(1), "view", 16, 6, run, texts=2))
        return asked

    first = seeds(0)
    assert len(set(first)) == len(first) > 6
    assert seeds(0) == first and not set(seeds(1)) & set(first)


def test_the_top_of_a_share_is_an_average_over_all_shares():
    held, rating = np.array([True, False, True, False]), np.array([0.1, 0.9, 0.5, 0.2])
    pairs = [max(pair, key=lambda row: rating[row]) for pair in itertools.combinations(range(4), 2)]
    assert top_of_share(held, rating, 0.5) == pytest.approx(np.mean(held[pairs]))
    assert top_of_share(held, rating, 3.0) == held[1]  # all of them: the best
    assert top_of_share(held, rating, 0.0) == pytest.approx(0.5)  # one: any
