"""Batches for memories, which read labels and image numbers but no pixels."""

import pytest
import torch

from ctc_lightning.batch import Batch


@pytest.fixture
def make_batch():
    def make(index, label=None):
        index = torch.as_tensor(index, dtype=torch.int64)
        label = torch.zeros_like(index) if label is None else torch.as_tensor(label, dtype=torch.int64)
        return Batch(view=torch.empty(0), key_view=torch.empty(0), label=label, index=index)

    return make


@pytest.fixture
def who_meets():
    """The images that each query meets, for keys whose one coordinate is the image's number."""

    def ask(keys, num_queries):
        positive_B, negative_BK = keys.similarity(torch.ones(num_queries, 1))
        met = [[int(image) for image in negative_K[negative_K.isfinite()]] for negative_K in negative_BK]
        return positive_B.tolist(), met

    return ask
