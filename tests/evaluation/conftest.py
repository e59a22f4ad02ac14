"""Three noisy classes as frozen features. N: images, F: features."""

import numpy as np
import pytest

from ctc_lightning.evaluation import Features


@pytest.fixture(scope="session")
def splits():
    """Train, validation and test; about three images in four can be told apart."""
    random = np.random.default_rng(0)
    centre_CF = random.normal(size=(3, 6))

    def split(num_images):
        label_N = random.integers(3, size=num_images)
        return Features(centre_CF[label_N] + 1.5 * random.normal(size=(num_images, 6)), label_N)

    return split(240), split(150), split(150)


@pytest.fixture(params=range(3), ids=["train", "val", "test"])
def splits_with_a_nan(request, splits):
    broken = [Features(split.h_NF.copy(), split.label_N) for split in splits]
    broken[request.param].h_NF[7, 2] = np.nan
    return broken


@pytest.fixture(scope="session")
def assert_test_is_not_looked_at():
    """A probe's choice and its validation accuracy must not change with the test split's labels or images."""

    def check(probe, train, val, test):
        permuted = Features(test.h_NF, np.random.default_rng(1).permutation(test.label_N))
        other = Features(100 * test.h_NF[:5] + 7, test.label_N[:5])
        seen = probe.score(train, val, test)
        for split in (permuted, other):
            score = probe.score(train, val, split)
            assert (score.val_top1, score.chosen) == (seen.val_top1, seen.chosen)
            assert score.top1 != seen.top1

    return check
