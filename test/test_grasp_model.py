"""`GraspModel`: sampling, editing, checkpoints, sizes."""

import json

import pytest
import torch
from grasp_model_support import PALM_FRAME, TEXT_DIM, tiny_model

from maskdex_core.errors import CheckpointError, CloudError, DatasetError, HandError, TextError, UsageError
from maskdex_core.grasp import GraspBatch, GraspModel, ModelConfig
from maskdex_core.training import load_experiment

PARTS = ("palm", "thumb", "index", "middle", "ring", "little")


@pytest.fixture(scope="module", params=[{}, {"tokenizer": PALM_FRAME, "view_points": 8}], ids=["object", "palm"])
def model(request):
    return tiny_model(**request.param)


@pytest.fixture(scope="module")
def points():
    return 0.05 * torch.randn(200, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def text():
    return torch.randn(TEXT_DIM, generator=torch.Generator().manual_seed(2))


def _seed(value):
    return torch.Generator().manual_seed(value)


def test_a_seed_repeats_a_batch(model, points, text):
    first, again, other = (model.sample(points, text, n=8, generator=_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first.tokens, again.tokens) and torch.equal(first.joints, again.joints)
    assert not torch.equal(first.tokens, other.tokens)


def test_confidence_is_the_geometric_mean_of_token_confidences(model, points, text):
    grasps = model.sample(points, text, n=8, generator=_seed(0))
    expected = grasps.token_confidence.prod(1) ** (1 / 6)
    assert torch.allclose(grasps.confidence, expected, rtol=1e-4)
    assert ((grasps.confidence > 0) & (grasps.confidence <= 1)).all()


def test_grasps_come_back_in_the_frame_of_the_points(model, points, text):
    centred = model.sample(points - points.mean(0), text, n=4, generator=_seed(0))
    shift = torch.tensor([0.4, -0.2, 0.1])
    shifted = model.sample(points - points.mean(0) + shift, text, n=4, generator=_seed(0))
    assert torch.equal(centred.tokens, shifted.tokens)
    assert torch.allclose(shifted.palm_translation - shift, centred.palm_translation, atol=1e-5)


def test_text_and_object_change_what_the_network_expects(model, points, text):
    base = model.sample(points, text, n=1, temperature=0.0)
    other_text = model.sample(points, -text, n=1, temperature=0.0)
    other_object = model.sample(2.0 * points[:, [1, 2, 0]], text, n=1, temperature=0.0)
    assert (base.token_confidence - other_text.token_confidence).abs().max() > 1e-5
    assert (base.token_confidence - other_object.token_confidence).abs().max() > 1e-5


def test_an_edit_forgets_how_the_grasp_was_judged(model, points, text):
    judged = {name: torch.rand(2) for name in ("chance", "agreement", "score")}
    grasps = model.sample(points, text, n=2, generator=_seed(0)).replace(**judged)
    edited = model.edit(grasps, ["ring"], points, text, generator=_seed(1))
    assert edited.chance is None and edited.agreement is None and edited.score is None


@pytest.mark.parametrize("how", ["in place", "state"])
@pytest.mark.parametrize("name", ["code_out.second", "head_weight"])
def test_weights_that_change_after_sampling_change_the_samples(points, text, name, how):
    """What stands for the codes is kept between calls: it must not outlive the weights it was made of."""
    model = tiny_model(tokenizer=PALM_FRAME, view_points=8, tie_codes=True).eval()
    first, again = (model.sample(points, text, n=4, generator=_seed(0)) for _ in range(2))
    assert torch.equal(first.token_confidence, again.token_confidence)
    transformer = model.network.transformer
    with torch.no_grad():
        if how == "in place":
            transformer.get_parameter(name).mul_(2.0)
        else:
            transformer.load_state_dict({**transformer.state_dict(), name: 2.0 * transformer.get_parameter(name)})
    changed = model.sample(points, text, n=4, generator=_seed(0))
    assert (changed.token_confidence - first.token_confidence).abs().max() > 1e-3


@pytest.mark.parametrize("parts", [["ring"], ["thumb", "index"], ["palm"], ["palm", "little"]])
def test_an_edit_moves_nothing_it_was_not_asked_for(model, points, text, parts):
    grasps = model.sample(points, text, n=16, generator=_seed(0))
    # A refined grasp is no longer what its tokens decode to; an edit must keep it all the same.
    grasps = grasps.replace(joints=grasps.joints + 0.01, palm_translation=grasps.palm_translation + 0.003)
    edited = model.edit(grasps, parts, points, -text, generator=_seed(5))
    chosen = torch.tensor([name in parts for name in PARTS])
    own = chosen[torch.tensor(model.layout.joint_part)]
    assert torch.equal(edited.tokens[:, ~chosen], grasps.tokens[:, ~chosen])
    assert torch.equal(edited.token_confidence[:, ~chosen], grasps.token_confidence[:, ~chosen])
    assert torch.equal(edited.joints[:, ~own], grasps.joints[:, ~own])
    assert (edited.tokens[:, chosen] != grasps.tokens[:, chosen]).float().mean() > 0.5
    palm_moved = not torch.equal(edited.palm_translation, grasps.palm_translation)
    assert palm_moved == ("palm" in parts)
    assert torch.equal(edited.palm_rotation, grasps.palm_rotation) == ("palm" not in parts)
    if own.any():
        assert (edited.joints[:, own] - grasps.joints[:, own]).abs().max() > 0.01


def test_grasps_without_tokens_are_tokenized_before_an_edit(model, points, text):
    grasps = model.sample(points, text, n=4, generator=_seed(0)).replace(
        tokens=None, token_confidence=None, confidence=None
    )
    edited = model.edit(grasps, ["thumb"], points, text, generator=_seed(1))
    assert edited.tokens.shape == (4, 6)
    assert torch.equal(edited.palm_translation, grasps.palm_translation)


@pytest.mark.parametrize("token", [-1, 32**2, 10**6])
def test_tokens_without_a_code_are_named(model, points, text, token):
    grasps = model.sample(points, text, n=3, generator=_seed(0))
    tokens = grasps.tokens.clone()
    tokens[1, 4] = token
    last = model.tokenizer.chains.vocabulary[4] - 1
    with pytest.raises(DatasetError, match=rf"token {token} of the ring is out of range; this model has 0 to {last}"):
        model.edit(grasps.replace(tokens=tokens), ["thumb"], points, text)
    with pytest.raises(DatasetError, match=r"shape \(3, 5\); expected int64 \(K, 6\)"):
        model.edit(grasps.replace(tokens=tokens[:, :5]), ["thumb"], points, text)


def test_tokens_of_another_checkpoint_are_made_anew(model, points, text, tmp_path):
    other = tiny_model(seed=1)
    assert other.fingerprint != model.fingerprint and len(model.fingerprint) == 12
    foreign = other.sample(points, text, n=4, generator=_seed(0))
    foreign.to_npz(tmp_path / "g.npz")
    read = GraspBatch.from_npz(tmp_path / "g.npz")
    assert read.checkpoint == other.fingerprint
    edited = model.edit(read, ["thumb"], points, text, generator=_seed(1))
    bare = foreign.replace(tokens=None, token_confidence=None, confidence=None, checkpoint=None)
    expected = model.edit(bare, ["thumb"], points, text, generator=_seed(1))
    assert torch.equal(edited.tokens, expected.tokens) and torch.equal(edited.joints, expected.joints)
    assert torch.equal(edited.token_confidence, expected.token_confidence)
    assert edited.checkpoint == model.fingerprint
    assert not torch.equal(edited.tokens[:, 2:], foreign.tokens[:, 2:])


def test_a_fingerprint_survives_saving(model, tmp_path):
    model.save(tmp_path / "m")
    assert GraspModel.load(tmp_path / "m").fingerprint == model.fingerprint


def test_joints_are_matched_by_name(model, points, text):
    grasps = model.sample(points, text, n=2, generator=_seed(0))
    order = list(reversed(range(22)))
    shuffled = grasps.replace(joint_names=tuple(grasps.joint_names[i] for i in order), joints=grasps.joints[:, order])
    plain = model.edit(grasps, ["ring"], points, text, generator=_seed(3))
    same = model.edit(shuffled, ["ring"], points, text, generator=_seed(3))
    assert same.joint_names == model.joint_names and torch.equal(plain.joints, same.joints)
    with pytest.raises(HandError, match="nonsense"):
        model.edit(grasps.replace(joint_names=("nonsense", *grasps.joint_names[1:])), ["ring"], points, text)


def test_bad_input_gives_one_sentence(model, points, text):
    with pytest.raises(CloudError, match=r"shape \(0, 3\)"):
        model.sample(torch.zeros(0, 3), text)
    with pytest.raises(CloudError, match="NaN"):
        model.sample(torch.full((5, 3), float("nan")), text)
    with pytest.raises(TextError, match=r"shape \(3,\), expected \(8,\)"):
        model.sample(points, torch.zeros(3))
    with pytest.raises(UsageError, match="number of grasps 0"):
        model.sample(points, text, n=0)
    grasps = model.sample(points, text, n=1)
    with pytest.raises(UsageError, match=r"part 'toe' is unknown; known: .*thumb"):
        model.edit(grasps, ["toe"], points, text)
    with pytest.raises(UsageError, match="no part named"):
        model.edit(grasps, [], points, text)


# ---------------------------------------------------------------------- checkpoints
def test_a_saved_model_draws_the_same_grasps(model, points, text, tmp_path):
    model.save(tmp_path / "m", "# Card\nHonest words.")
    loaded = GraspModel.load(tmp_path / "m")
    first, second = (m.sample(points, text, n=4, generator=_seed(0)) for m in (model, loaded))
    assert torch.equal(first.tokens, second.tokens) and torch.equal(first.joints, second.joints)
    assert loaded.info["hand"] == "shadow" and loaded.config == model.config
    assert "Honest words" in (tmp_path / "m" / "card.md").read_text()


def test_a_loaded_codebook_can_be_trained_on(tmp_path):
    model = tiny_model()
    quantizer = model.tokenizer.quantizer.stages[0]
    quantizer.code_count.fill_(2.0)
    quantizer.code_sum.copy_(2.0 * quantizer.codebook)
    model.save(tmp_path / "m")
    loaded = GraspModel.load(tmp_path / "m").tokenizer.quantizer.stages[0]
    assert torch.allclose(loaded.code_sum, quantizer.code_sum)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_halves_the_file_and_hardly_moves_a_finger(model, points, text, tmp_path, dtype):
    model.save(tmp_path / "full")
    model.save(tmp_path / "half", dtype=dtype)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.55 * sizes[0]
    tokens = model.sample(points, text, n=16, generator=_seed(0)).tokens
    codes = model.tokenizer.chains.split(tokens)
    full, half = (GraspModel.load(tmp_path / name).tokenizer.decode(codes).joints for name in ("full", "half"))
    assert (full - half).abs().max() < 0.02


def _saved(tmp_path):
    folder = tmp_path / "m"
    tiny_model().save(folder)
    return folder


def test_missing_checkpoints_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        GraspModel.load(tmp_path / "nothing")
    for name in ("model.safetensors", "config.json"):
        folder = _saved(tmp_path)
        (folder / name).unlink()
        with pytest.raises(CheckpointError, match=f"lacks {name}"):
            GraspModel.load(folder)


@pytest.mark.parametrize("keep", [0, 7, 500, -100])
def test_truncated_weights_are_refused(tmp_path, keep):
    folder = _saved(tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="safetensors"):
        GraspModel.load(folder)


def _rewrite(folder, change):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_another_format_version_names_both(tmp_path):
    folder = _saved(tmp_path)
    _rewrite(folder, lambda content: content.update(format_version=7))
    with pytest.raises(CheckpointError, match="format version 7, this program reads 2"):
        GraspModel.load(folder)


def test_config_that_does_not_fit_is_refused(tmp_path):
    folder = _saved(tmp_path)
    _rewrite(folder, lambda content: content["model"]["tokenizer"].update(codes=64))
    with pytest.raises(CheckpointError, match="does not fit"):
        GraspModel.load(folder)
    folder = _saved(tmp_path)
    _rewrite(folder, lambda content: content["model"]["tokenizer"].update(colour="red"))
    with pytest.raises(CheckpointError, match="colour"):
        GraspModel.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        GraspModel.load(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not a maskdex-grasp-model"):
        GraspModel.load(folder)


# ---------------------------------------------------------------------- sizes
def test_paper_sizes(model):
    paper = load_experiment("paper").model
    assert paper == ModelConfig()
    built = GraspModel(paper, model.layout)
    counts = built.parameter_counts()
    assert counts["codebooks"] == 6 * 256 * 512
    # A block: 4·w² of attention, 2·w² for what it reads of the conditions, 8·w² of MLP, 17·w of biases and norms.
    assert counts["transformer blocks"] == 9 * (14 * 512**2 + 17 * 512)
    assert counts["total"] == sum(v for k, v in counts.items() if k != "total")
    assert counts["total"] == sum(p.numel() for p in built.parameters()) + counts["codebooks"]
    assert 47.0e6 < counts["total"] < 50.0e6


def test_grasps_of_no_object_follow_from_seed_and_weights_alone():
    model = tiny_model(tokenizer=PALM_FRAME, view_points=8)
    first, again = (model.sample_unconditional(5, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.joints, again.joints) and len(first) == 5
    assert torch.isfinite(first.palm_translation).all() and first.checkpoint == model.fingerprint
    with pytest.raises(UsageError, match="number of grasps 0"):
        model.sample_unconditional(0)
