"""Training: augmentation, exact resume, overfitting a handful of grasps, errors."""

import dataclasses
import json
from collections.abc import Sequence

import pytest
import torch
from grasp_model_support import PALM_FRAME, FakeEncoder, shadow, tiny_experiment, tiny_model
from torch import nn

from maskdex_core.data.files import write_dataset
from maskdex_core.data.views import write_views
from maskdex_core.errors import CheckpointError, ConfigError
from maskdex_core.grasp import GraspModel, HandLayout, PalmPose, build_tokenizer
from maskdex_core.grasp.rotation import geodesic_angle
from maskdex_core.training import (
    StageConfig,
    TrainingRun,
    load_experiment,
    train_tokenizer,
    train_transformer,
)
from maskdex_core.training.batches import BatchMaker
from maskdex_core.training.random_data import random_dataset
from maskdex_core.training.tokenizer_stage import TokenizerStage
from maskdex_core.training.transformer_stage import TransformerStage


@pytest.fixture(scope="module")
def data():
    return random_dataset(shadow(), 40, points=200, unseen=4)


def _seed(value):
    return torch.Generator().manual_seed(value)


# ---------------------------------------------------------------------- batches
def test_without_augmentation_rows_are_only_centred(data):
    maker = BatchMaker(data, data.joint_names, StageConfig(), points=4000)
    rows = maker.rows(torch.arange(6), _seed(0), augment=False)
    assert torch.equal(rows.joints, data.joints[:6]) and torch.equal(rows.palm.rotation, data.palm_rotation[:6])
    assert rows.points.shape == (6, 4000, 3)
    assert rows.points.mean(1).abs().max() < 1e-6
    centre = torch.stack([data.objects[data.object_names[i]].points.mean(0) for i in data.object_index[:6]])
    # 4000 draws of about 5 cm scatter leave a centroid within a few millimetres.
    assert torch.allclose(rows.palm.translation, data.palm_translation[:6] - centre, atol=4e-3)


def test_augmentation_turns_object_and_hand_together(data):
    """Distances from the palm to the object's points survive yaw and shifts."""
    config = StageConfig(point_jitter=0.0)
    one = random_dataset(shadow(), 8, points=1, objects=8)  # one point an object: its centroid
    maker = BatchMaker(one, one.joint_names, config, points=1)
    rows = maker.rows(torch.arange(8), _seed(3))
    in_palm = rows.palm.rotation.transpose(1, 2) @ (rows.points[:, 0] - rows.palm.translation).unsqueeze(-1)
    points = torch.cat([one.objects[one.object_names[i]].points for i in one.object_index])
    before = one.palm_rotation.transpose(1, 2) @ (points - one.palm_translation).unsqueeze(-1)
    assert torch.allclose(in_palm, before, atol=1e-5)
    turn = rows.palm.rotation @ one.palm_rotation.transpose(1, 2)
    assert torch.allclose(turn[:, 2], torch.tensor([0.0, 0.0, 1.0]).expand(8, 3), atol=1e-5)
    assert geodesic_angle(rows.palm.rotation, one.palm_rotation).min() > 1e-3


def _views(data, names=None):
    """Three views of 50 points of each object: its own points, moved away from the others' by a metre a view."""
    return {
        name: torch.stack([data.objects[name].points[:50] + view + 1.0 for view in range(3)])
        for name in names or data.object_names
    }


def test_a_share_of_the_grasps_sees_one_view_of_its_object(data):
    config = StageConfig(partial_share=0.4, yaw=False, centre_jitter=0.0, point_jitter=0.05)
    views = _views(data)
    maker = BatchMaker(data, data.joint_names, config, points=30, views=views)
    rows = maker.rows(torch.arange(40).repeat(20), _seed(1))
    centre = data.palm_translation[rows.row] - rows.palm.translation
    single = centre.norm(dim=-1) > 0.5
    assert single.float().mean() == pytest.approx(0.4, abs=0.06)
    assert rows.points.mean(1)[single].abs().max() < 1e-5  # palms are told from the centre of what is seen
    used = set()
    for row in single.nonzero().flatten().tolist():
        name = data.object_names[data.object_index[rows.row[row]]]
        points = rows.points[row] + centre[row]
        view = round(float(centre[row].mean())) - 1
        used.add(view)
        # Each point is one of that view of that object, without a second noise on the camera's.
        assert (
            torch.cdist(points, views[name][view], compute_mode="donot_use_mm_for_euclid_dist").min(1)[0].max() < 1e-5
        )
    assert used == {0, 1, 2}


def test_objects_without_views_keep_their_whole_cloud(data):
    config = StageConfig(partial_share=1.0, yaw=False, centre_jitter=0.0)
    maker = BatchMaker(data, data.joint_names, config, 30, views=_views(data, data.object_names[:1]))
    rows = maker.rows(torch.arange(40), _seed(1))
    centre = data.palm_translation[:40] - rows.palm.translation
    assert torch.equal(centre.norm(dim=-1) > 0.5, data.object_index[:40] == 0)
    assert not BatchMaker(data, data.joint_names, config, 30).has_views


def test_single_views_are_evaluated_apart(data):
    config = tiny_experiment(partial_share=0.5).transformer_training
    whole = TransformerStage(tiny_model(), shadow(), config, data, encoder=FakeEncoder())
    both = TransformerStage(tiny_model(), shadow(), config, data, encoder=FakeEncoder(), views=_views(data))
    for stage in (whole, both):
        stage.module.eval()
    with torch.no_grad():
        reports = [stage.evaluate() for stage in (whole, both)]
    assert set(reports[1]) - set(reports[0]) == {"nll_view"}
    assert reports[0]["nll_whole"] == reports[1]["nll_whole"] != reports[1]["nll_view"]


def test_training_reads_the_views_beside_a_dataset(data, tmp_path):
    """Far-off views make far-off palms: a run that has seen them logs their likelihood."""
    table = {
        name: data.table[name] for name in ("object", "split", "texts", "joints", "palm_translation", "palm_rotation")
    }
    surfaces = {name: {"points": s.points.numpy(), "normals": s.normals.numpy()} for name, s in data.objects.items()}
    write_dataset(tmp_path / "data", table, surfaces, {"joint_names": data.joint_names})
    write_views(tmp_path / "data", {name: rows.numpy() for name, rows in _views(data).items()})
    experiment = tiny_experiment(epochs=1, partial_share=0.5)
    train_tokenizer(tmp_path / "data", experiment, tmp_path / "out", hand=shadow())
    train_transformer(tmp_path / "data", experiment, tmp_path / "out", hand=shadow(), encoder=FakeEncoder())
    last = json.loads((tmp_path / "out" / "transformer" / "log.jsonl").read_text().splitlines()[-1])
    assert last["kind"] == "held-out" and last["nll_view"] > 0


# ---------------------------------------------------------------------- resume
def _tokenizer_run(data, folder):
    torch.manual_seed(0)
    experiment = tiny_experiment()
    module = build_tokenizer(experiment.model.tokenizer, HandLayout.of(shadow()))
    stage = TokenizerStage(module, shadow(), experiment.tokenizer_training, data)
    return TrainingRun(stage, folder, total_steps=20)


def _transformer_run(data, folder):
    stage_config = tiny_experiment(partial_share=0.5).transformer_training
    stage = TransformerStage(tiny_model(), shadow(), stage_config, data, encoder=FakeEncoder(), views=_views(data))
    return TrainingRun(stage, folder, total_steps=20)


@pytest.mark.parametrize("make", [_tokenizer_run, _transformer_run], ids=["tokenizer", "transformer"])
def test_save_load_step_equals_step(data, tmp_path, make):
    going_on = make(data, tmp_path)
    for _ in range(4):
        going_on.advance()
    going_on.save()
    torch.rand(3)  # another process would have another global state
    resumed = make(data, tmp_path)
    torch.manual_seed(1234)
    resumed.restore()
    second = [resumed.advance() for _ in range(3)]
    torch.set_rng_state(torch.Generator().manual_seed(5).get_state())
    going_on.restore()
    first = [going_on.advance() for _ in range(3)]
    assert resumed.step == 7 and first == second
    for name, value in going_on.stage.module.state_dict().items():
        assert torch.equal(value, resumed.stage.module.state_dict()[name]), name


def test_an_interrupted_run_is_bitwise_the_uninterrupted_one(data, tmp_path):
    through = _tokenizer_run(data, tmp_path / "a")
    for _ in range(6):
        through.advance()
    broken = _tokenizer_run(data, tmp_path / "b")
    for _ in range(3):
        broken.advance()
    broken.save()
    resumed = _tokenizer_run(data, tmp_path / "b")
    resumed.restore()
    for _ in range(3):
        resumed.advance()
    for name, value in through.stage.module.state_dict().items():
        assert torch.equal(value, resumed.stage.module.state_dict()[name]), name


def test_state_of_another_stage_or_a_cut_file_is_refused(data, tmp_path):
    run = _tokenizer_run(data, tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        run.restore()
    run.advance()
    run.save()
    with pytest.raises(CheckpointError, match="another model"):
        _transformer_run(data, tmp_path).restore()
    whole = run.state_path.read_bytes()
    run.state_path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="not a readable training state"):
        run.restore()


def test_the_learning_rate_rises_then_falls_with_steps_or_minutes(data, tmp_path):
    run = _tokenizer_run(data, tmp_path)
    rates = []
    for run.step in range(20):
        rates.append(run.learning_rate())
    assert rates.index(max(rates)) == 1 and rates[-1] < 0.03 * max(rates)
    run.step, run.max_minutes, run.minutes = 4, 10.0, 10.0
    assert run.progress == 1.0
    assert run.learning_rate() == pytest.approx(0.01 * run.stage.config.learning_rate)


# ---------------------------------------------------------------------- learning
def test_twenty_grasps_are_learned(tmp_path):
    """Both stages overfit 20 grasps: the tokens' likelihood and the rebuilt grasp."""
    torch.manual_seed(0)
    hand = shadow()
    data = random_dataset(hand, 20, points=64, texts=20)
    settings = {
        "batch": 20,
        "yaw": False,
        "centre_jitter": 0.0,
        "point_jitter": 0.0,
        "evaluate_every": 10_000,
    }
    experiment = dataclasses.replace(
        tiny_experiment(epochs=300, **settings),
        tokenizer_training=tiny_experiment(epochs=600, **settings).tokenizer_training,
    )
    train_tokenizer(data, experiment, tmp_path, hand=hand)
    folder = train_transformer(data, experiment, tmp_path, hand=hand, encoder=FakeEncoder())
    lines = [json.loads(line) for line in (tmp_path / "tokenizer" / "log.jsonl").read_text().splitlines()]
    # From the mean of the first 50 steps: points 59 mm, palm 79 mm, 101 degrees, joints 18 degrees.
    assert lines[-1]["points_mm"] < lines[0]["points_mm"] / 5.0
    assert lines[-1]["palm_mm"] < lines[0]["palm_mm"] / 3.0
    assert lines[-1]["joints_deg"] < lines[0]["joints_deg"] / 3.0
    lines = [json.loads(line) for line in (tmp_path / "transformer" / "log.jsonl").read_text().splitlines()]
    # Uniform guessing over 32 codes costs ln 32 = 3.47.
    assert lines[-1]["nll_whole"] < 0.5
    model = GraspModel.load(folder)
    row = int((data.object_index == 0).nonzero()[0])
    surface = data.objects[data.object_names[0]].points
    grasp = model.sample(surface, FakeEncoder().encode(data.texts[row])[0], n=4, temperature=0.0, guidance=0.0)
    true = PalmPose(data.palm_rotation[row : row + 1], data.palm_translation[row : row + 1])
    centred = PalmPose(true.rotation, true.translation - surface.mean(0))
    expected = model.encode(data.joints[row : row + 1], centred, hand)
    assert (grasp.tokens == expected).float().mean() > 0.6
    assert (grasp.palm_translation - true.translation).norm(dim=-1).max() < 0.05


def test_expected_code_loss_and_bfloat16_train_too(data, tmp_path):
    config = dataclasses.replace(tiny_experiment().transformer_training, expectation_weight=5.0, bfloat16=True)
    stage = TransformerStage(
        tiny_model(tokenizer=PALM_FRAME, tie_codes=True), shadow(), config, data, encoder=FakeEncoder()
    )
    run = TrainingRun(stage, tmp_path, total_steps=60)
    reports = [run.advance() for _ in range(60)]
    first, last = (sum(r["expectation"] for r in part) for part in (reports[:10], reports[-10:]))
    assert last < first
    frozen = stage.model.tokenizer
    assert all(p.grad is None for p in frozen.parameters()) and not frozen.training


def test_resuming_a_whole_command_ends_where_it_was(data, tmp_path):
    experiment = tiny_experiment(epochs=2, save_every=2, log_every=1)
    train_tokenizer(data, experiment, tmp_path, hand=shadow())
    log = tmp_path / "tokenizer" / "log.jsonl"
    first = log.read_text().splitlines()
    train_tokenizer(data, experiment, tmp_path, resume=True, hand=shadow())
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()[: len(first)]] == [
        json.loads(line)["step"] for line in first
    ]


def test_stage_two_needs_stage_one(data, tmp_path):
    with pytest.raises(CheckpointError, match="train the tokenizer first"):
        train_transformer(data, tiny_experiment(), tmp_path, hand=shadow(), encoder=FakeEncoder())


def test_configurations_load_and_unknown_names_list_the_known():
    small = load_experiment("small")
    assert small.model.transformer.text_encoder == "sentence:all-MiniLM-L6-v2"
    assert small.model.tokenizer.codes == 256 and small.transformer_training.batch == 64
    paper = load_experiment("paper")
    assert (paper.tokenizer_training.epochs, paper.tokenizer_training.batch) == (200, 256)
    assert (paper.transformer_training.epochs, paper.transformer_training.batch) == (500, 128)
    with pytest.raises(ConfigError, match="'huge' is unknown; known: paper, small"):
        load_experiment("huge")
    with pytest.raises(ConfigError, match="batch 0 is below 1"):
        StageConfig(batch=0)


class _Stumbling:
    """A stage whose gradient is no number in some steps."""

    name = "stumbling"

    def __init__(self, bad: Sequence[int]) -> None:
        self.module, self.config, self.bad, self.calls = nn.Linear(2, 1), StageConfig(warmup_steps=1), bad, 0

    def loss(self, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        self.calls += 1
        loss = self.module(torch.ones(1, 2)).square().sum() * (float("nan") if self.calls in self.bad else 1.0)
        return loss, {"loss": float(loss.detach())}

    def evaluate(self) -> dict[str, float]:
        return {}


def test_a_step_without_a_finite_gradient_is_left_out_and_many_in_a_row_end_the_run(tmp_path):
    stage = _Stumbling(bad=(2,))
    run = TrainingRun(stage, tmp_path / "once", total_steps=50)
    for _ in range(5):
        run.advance()
    assert all(torch.isfinite(value).all() for value in stage.module.parameters()) and run.step == 5
    run = TrainingRun(_Stumbling(bad=range(1, 99)), tmp_path / "always", total_steps=50)
    with pytest.raises(ConfigError, match="not finite"):
        for _ in range(50):
            run.advance()


def test_small_families_are_drawn_more_often_than_their_number_of_grasps(data):
    rows = torch.cat((torch.arange(len(data)), torch.nonzero(data.object_index == 0)[:, 0].repeat(40)))
    many = data.subset(rows.tolist())
    objects = {name: dataclasses.replace(one, facts={"family": name}) for name, one in many.objects.items()}
    many = dataclasses.replace(many, objects=objects)
    shares = []
    for balance in (0.0, 0.5, 1.0):
        maker = BatchMaker(many, many.joint_names, StageConfig(balance=balance))
        drawn = maker.draw(_seed(0), 4000).row
        shares.append(float((many.object_index[drawn] == 0).float().mean()))
    families = len(many.object_names)
    assert shares[0] > shares[1] > shares[2] and abs(shares[2] - 1.0 / families) < 0.05
