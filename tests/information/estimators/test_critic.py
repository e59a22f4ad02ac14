"""Critics against their formulas in NumPy, and where they start."""

import numpy as np
import pytest
import torch

from ctc_lightning.information.estimators import critic as module
from ctc_lightning.information.estimators.critic import JointDesign, SeparableDesign

DESIGNS = {
    "joint": JointDesign(hidden=[7, 5], init_std=None),
    "separable": SeparableDesign(hidden=[7], embedding=4),
    "bilinear": SeparableDesign(hidden=[], embedding=4),
}


def built(design, seed=0):
    return design.build(3, 2, torch.Generator().manual_seed(seed)).double()


def moved(design):
    """No parameter where it starts."""
    critic = built(design)
    for parameter in critic.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    return critic


def points(seed=1):
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(6, dims, generator=draw, dtype=torch.float64) for dims in (3, 2))


def layer(linear, value):
    return value @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()


def mlp(layers, value):
    for each in layers[:-1]:
        value = np.maximum(layer(each, value), 0)
    return layer(layers[-1], value)


def test_a_joint_critic_is_a_network_of_x_beside_y():
    critic = moved(DESIGNS["joint"])
    x, y = (value.numpy() for value in points())
    for i, j in np.ndindex(6, 6):
        expected = mlp(list(critic.layers), np.concatenate([x[i], y[j]]))
        found = critic.crossed(torch.tensor(x), torch.tensor(y))[i, j].item()
        assert found == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("name", ["separable", "bilinear"])
def test_a_separable_critic_is_a_dot_product_and_a_term_for_each_side(name):
    critic = moved(DESIGNS[name])
    x, y = points()
    sides = []
    for side, value in ((critic.of_x, x.numpy()), (critic.of_y, y.numpy())):
        beside = mlp(list(side.layers), value) if len(side.layers) else 0
        sides.append(layer(side.straight, value) + beside)
    (g, a), (h, b) = ((out[:, :4], out[:, 4]) for out in sides)
    expected = np.array([[g[i] @ h[j] / np.sqrt(4) + a[i] + b[j] for j in range(6)] for i in range(6)])
    assert critic.crossed(x, y).detach().numpy() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_pair_has_the_same_score_alone_and_among_all(name, monkeypatch):
    critic = moved(DESIGNS[name])
    x, y = points()
    whole = critic.crossed(x, y)
    assert torch.allclose(critic.paired(x, y), whole.diagonal(), rtol=1e-9)
    monkeypatch.setattr(module, "_CELLS", 1)  # one row at a time
    assert torch.allclose(critic.crossed(x, y), whole, rtol=1e-9)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_start_depends_on_the_generator_alone(name):
    state = torch.get_rng_state()
    first, same, other = (built(DESIGNS[name], seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_a_separable_critic_starts_bilinear():
    critic, straight = built(DESIGNS["separable"]), built(DESIGNS["bilinear"])
    straight.load_state_dict({k: v for k, v in critic.state_dict().items() if "straight" in k})
    assert torch.equal(critic.crossed(*points()), straight.crossed(*points()))


def test_the_start_of_the_reference():
    design = JointDesign(hidden=[300, 300], init_std=0.02)
    first, second, last = design.build(200, 100, torch.Generator().manual_seed(0)).layers
    for hidden in (first, second):
        weight = hidden.weight.detach()
        # 90 000 draws: the standard errors of their mean and deviation are 0.33 % and 0.24 % of 0.02
        assert weight.mean().item() == pytest.approx(0, abs=5 * 0.0033 * 0.02)
        assert weight.std().item() == pytest.approx(0.02, rel=5 * 0.0024)
        assert not hidden.bias.any()
    assert 0.9 / 300**0.5 < last.weight.abs().max().item() <= 1 / 300**0.5


def test_settings_tell_critics_apart():
    found = [design.settings for design in DESIGNS.values()]
    assert found[0] == {"hidden": [7, 5], "init_std": None}
    assert all(found.count(settings) == 1 for settings in found)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: JointDesign(hidden=[], init_std=None),
            r"hidden is \[\]; give at least one value, each a whole",
        ),
        (
            lambda: JointDesign(hidden=[8, 0], init_std=None),
            r"hidden is \[8, 0\]; .* each a whole number of at least 1",
        ),
        (
            lambda: SeparableDesign(hidden=[], embedding=0),
            r"embedding is \[0\]; .* each a whole number of at least 1",
        ),
        (lambda: JointDesign(hidden=[8], init_std=0), "init_std is 0; it must be above 0, or null"),
    ],
)
def test_sizes_that_make_no_network_are_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()
