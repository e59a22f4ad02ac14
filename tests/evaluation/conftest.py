"""Overlapping classes as frozen features, and what no protocol may do. N: images, F: features."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ctc_lightning.evaluation.protocol import Task

SIZES = {"train": 240, "val": 150, "test": 150}


@pytest.fixture(scope="session")
def noisy_task():
    """About three images in four can be told apart."""
    random = np.random.default_rng(0)
    centre_LF = random.normal(size=(3, 6))
    label = {name: torch.tensor(random.integers(3, size=size)) for name, size in SIZES.items()}
    features = {
        name: torch.tensor(centre_LF[y] + 1.5 * random.normal(size=(len(y), 6)), dtype=torch.float32)
        for name, y in label.items()
    }
    return Task("noise", "top1", 3, label, features, seed=5)


@pytest.fixture(scope="session")
def noisy_multi_label_task(noisy_task):
    """Four classes, each the sign of a feature and noise; one label in ten is not to be judged."""
    random = np.random.default_rng(1)
    label = {}
    for name, h_NF in noisy_task.features.items():
        present_NL = h_NF[:, :4].numpy() + random.normal(size=(len(h_NF), 4)) > 0.5
        unjudged_NL = random.random(size=present_NL.shape) < 0.1
        label[name] = torch.tensor(np.where(unjudged_NL, -1, present_NL), dtype=torch.int8)
    return replace(noisy_task, metric="map_11_point", num_classes=4, label=label)


@pytest.fixture(scope="session")
def easy_task(noisy_task):
    """Classes so far from each other that every hyper-parameter is right about all images."""
    features = {
        name: 20 * torch.eye(6)[noisy_task.label[name]] + 0.1 * h_NF
        for name, h_NF in noisy_task.features.items()
    }
    return replace(noisy_task, features=features)


@pytest.fixture(scope="session")
def assert_test_is_not_looked_at():
    """What is chosen, and the validation number, must not change with the test split's labels or features."""

    def seen_and_test(protocol, task):
        rows = protocol.measure(task)
        on_val = [row for row in rows if row.metric.startswith("val_")]
        assert len(on_val) == 1
        return ({row.chosen for row in rows}, on_val), [row.value for row in rows if row not in on_val]

    def check(protocol, task):
        order_N = torch.randperm(len(task.label["test"]), generator=torch.Generator().manual_seed(1))
        permuted = replace(task, label={**task.label, "test": task.label["test"][order_N]})
        other = replace(task, features={**task.features, "test": 100 * task.features["test"].flip(0, 1) + 7})
        seen, on_test = seen_and_test(protocol, task)
        assert seen[0] != {""}
        for changed in (permuted, other):
            seen_now, on_test_now = seen_and_test(protocol, changed)
            assert seen_now == seen
            assert on_test_now != on_test

    return check


@pytest.fixture
def global_randomness_untouched():
    """Fails where PyTorch's or NumPy's global random state is not what it was before the test."""
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before, numpy_before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before[1])  # noqa: NPY002
    assert np.random.get_state()[2] == numpy_before[2]  # noqa: NPY002
