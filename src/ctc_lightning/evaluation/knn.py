"""k nearest neighbours by cosine similarity of frozen features. N: images, K: most neighbours, L: classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from ctc_lightning.evaluation.protocol import Features, Probe, Score, check_finite


class NearestNeighbours(Probe):
    """The majority label among the k training images of largest cosine similarity; k chosen on validation.

    Of equally frequent labels the smallest is taken.

    Args:
        neighbours: the values of k to try, each >= 1; of equally good ones the first is taken.

    Raises:
        ValueError: no or non-positive ``neighbours``, or more than there are training images.
    """

    def __init__(self, neighbours: Sequence[int]) -> None:
        if not neighbours or min(neighbours) < 1:
            raise ValueError(f"kNN: neighbours are {list(neighbours)}; give at least one, all at least 1.")
        self.neighbours = list(neighbours)

    def score(self, train: Features, val: Features, test: Features) -> Score:
        """Choose k on ``val``, measure on ``test``."""
        check_finite(train, val, test)
        if max(self.neighbours) > len(train.label_N):
            raise ValueError(
                f"kNN: k = {max(self.neighbours)} neighbours of {len(train.label_N)} training images; "
                "choose at most as many as there are."
            )
        with threadpool_limits(1):
            search = NearestNeighbors(n_neighbors=max(self.neighbours), metric="cosine", algorithm="brute")
            search.fit(train.h_NF)
            val_NK, test_NK = (
                train.label_N[search.kneighbors(split.h_NF, return_distance=False)] for split in (val, test)
            )
        val_top1 = [_accuracy(val_NK[:, :k], val.label_N) for k in self.neighbours]
        best = int(np.argmax(val_top1))
        k = self.neighbours[best]
        return Score(_accuracy(test_NK[:, :k], test.label_N), val_top1[best], k)


def _accuracy(label_NK: NDArray[np.int64], truth_N: NDArray[np.int64]) -> float:
    votes_NL = (label_NK[:, :, None] == np.arange(label_NK.max() + 1)).sum(1)
    return float((votes_NL.argmax(1) == truth_N).mean())
