"""The bidirectional transformer: what it may and may not see."""

import pytest
import torch

from maskdex_core.masked import BidirectionalTransformer

POSITIONS, CODES = 6, 11


def _network(**options) -> BidirectionalTransformer:
    torch.manual_seed(0)
    return BidirectionalTransformer(POSITIONS, CODES, width=32, heads=4, layers=2, **options).eval()


@pytest.fixture(params=[0, 5], ids=["table", "tied"])
def network(request):
    built = _network(code_dim=request.param)
    if request.param:
        built.tie_codes(torch.randn(POSITIONS, CODES, request.param))
    return built


def _run(network, tokens, mask, conditions):
    return network(tokens, mask, network.read(conditions))


def test_a_masked_token_changes_no_logit(network):
    tokens = torch.randint(CODES, (4, POSITIONS))
    conditions = torch.randn(4, 3, 32)
    mask = torch.rand(4, POSITIONS) < 0.5
    mask[:, 2] = True
    other = torch.where(mask, (tokens + 1 + torch.randint(CODES - 1, tokens.shape)) % CODES, tokens)
    assert torch.equal(_run(network, tokens, mask, conditions), _run(network, other, mask, conditions))


def test_a_known_token_changes_the_logits_of_every_other_position(network):
    tokens = torch.zeros(1, POSITIONS, dtype=torch.int64)
    mask = torch.ones(1, POSITIONS, dtype=torch.bool)
    mask[0, 0] = False
    conditions = torch.randn(1, 3, 32)
    change = (_run(network, tokens, mask, conditions) - _run(network, tokens + 1, mask, conditions)).abs().amax(-1)
    assert (change > 1e-5).all()


def test_every_condition_vector_is_read(network):
    tokens = torch.zeros(1, POSITIONS, dtype=torch.int64)
    mask = torch.ones(1, POSITIONS, dtype=torch.bool)
    conditions = torch.randn(1, 3, 32)
    base = _run(network, tokens, mask, conditions)
    for slot in range(3):
        changed = conditions.clone()
        changed[0, slot] += torch.randn(32)
        assert (_run(network, tokens, mask, changed) - base).abs().max() > 1e-5


def test_rows_of_a_batch_do_not_mix(network):
    tokens = torch.randint(CODES, (3, POSITIONS))
    mask = torch.rand(3, POSITIONS) < 0.5
    conditions = torch.randn(3, 3, 32)
    together = _run(network, tokens, mask, conditions)
    alone = _run(network, tokens[1:2], mask[1:2], conditions[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_tied_embeddings_follow_what_codes_mean():
    network = _network(code_dim=5)
    tokens = torch.zeros(1, POSITIONS, dtype=torch.int64)
    seen = torch.zeros(1, POSITIONS, dtype=torch.bool)
    conditions = torch.randn(1, 3, 32)
    codebook = torch.randn(POSITIONS, CODES, 5)
    network.tie_codes(codebook)
    first = _run(network, tokens, seen, conditions)
    codebook[0, 0] *= -1.0
    network.tie_codes(codebook)
    assert (_run(network, tokens, seen, conditions) - first).abs().max() > 1e-5


@pytest.mark.parametrize("parameter", ["token_embedding", "head_weight", "code_in.first", "code_out.second"])
@pytest.mark.parametrize("how", ["in place", "state", "meanings"])
def test_tables_are_kept_until_the_weights_change(parameter, how):
    network = _network(code_dim=5)
    network.tie_codes(torch.randn(POSITIONS, CODES, 5))
    with torch.no_grad():
        first = network.tables()
        assert network.tables() is first
        if how == "in place":
            network.get_parameter(parameter).mul_(1.1)
        elif how == "state":
            network.load_state_dict({**network.state_dict(), parameter: 1.1 * network.get_parameter(parameter)})
        else:
            network.tie_codes(torch.randn(POSITIONS, CODES, 5))
        second, fresh = network.tables(), network._made_tables()
    assert torch.equal(second.embedding, fresh.embedding) and torch.equal(second.head, fresh.head)
    assert any(not torch.equal(old, new) for old, new in zip(first, second, strict=True))


def test_an_optimizer_step_is_seen_and_training_gets_gradients():
    network = _network(code_dim=5)
    network.tie_codes(torch.randn(POSITIONS, CODES, 5))
    with torch.no_grad():
        before = network.tables().embedding.clone()
    made = network.tables()  # with gradients on, after the kept ones without
    assert made.embedding.requires_grad and made.head.requires_grad
    made.embedding.sum().backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    with torch.no_grad():
        assert (network.tables().embedding - before).abs().max() > 1e-3


def test_tables_of_half_precision_are_others():
    network = _network(code_dim=5)
    network.tie_codes(torch.randn(POSITIONS, CODES, 5))
    with torch.no_grad():
        whole = network.tables()
        with torch.autocast("cpu", torch.bfloat16):
            half = network.tables()
        again = network.tables()
    assert torch.equal(again.embedding, whole.embedding)
    assert 0.0 < (half.embedding - whole.embedding).abs().max() < 0.1


def test_width_must_divide_by_heads():
    with pytest.raises(ValueError, match="30 is not divisible by 4"):
        BidirectionalTransformer(6, 8, width=30, heads=4, layers=1)


def test_what_a_position_sees_besides_changes_what_is_predicted(network):
    tokens, mask = torch.zeros(2, POSITIONS, dtype=torch.int64), torch.ones(2, POSITIONS, dtype=torch.bool)
    memory = network.read(torch.randn(2, 3, 32))
    views = torch.zeros(2, POSITIONS, 32)
    blank = network(tokens, mask, memory, views)
    assert torch.equal(blank, network(tokens, mask, memory))
    views[1, 4] = torch.randn(32)
    moved = (network(tokens, mask, memory, views) - blank).abs().amax((1, 2))
    assert moved[0] == 0.0 and moved[1] > 1e-4
