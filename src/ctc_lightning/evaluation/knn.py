"""k nearest neighbours by cosine similarity of frozen features. N: images, F: features."""

from collections.abc import Sequence

from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from ctc_lightning.evaluation.protocol import Features, Probe, Score, check_finite


class NearestNeighbours(Probe):
    """The majority label among the k training images of largest cosine similarity; k chosen on validation.

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
        best = Score(0.0, -1.0, 0)
        with threadpool_limits(1):
            for k in self.neighbours:
                knn = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train.h_NF, train.label_N)
                val_top1 = float(knn.score(val.h_NF, val.label_N))
                if val_top1 > best.val_top1:
                    best = Score(float(knn.score(test.h_NF, test.label_N)), val_top1, k)
        return best
