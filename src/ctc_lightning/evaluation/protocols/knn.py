"""k nearest neighbours by cosine similarity of frozen features.

N: images to classify, M: images with labels, F: features, K: neighbours, L: classes
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ctc_lightning.checks import count, in_range
from ctc_lightning.evaluation.classification_metrics import score
from ctc_lightning.evaluation.protocol import ClassifierProtocol, Predicted, Task

_STEPS = 2**22  # similarities are rounded to 1 / this: a sum of float32 products is no better
_CELLS = 2**22  # similarities, or votes, at a time: 32 MB
_FLOOR = 1e-6


class KNearestNeighbours(ClassifierProtocol):
    """p_c = Σ_k w_k [y_k = c] / Σ_k w_k over the k images of largest cos(h, h_k), w_k = exp(cos(h, h_k)/T).

    k and T are chosen on validation by the target's metric; of equally good pairs the first T with the
    smallest k. Test is then classified once, by the images of train and val. Of equal similarities (to 2e-7)
    the image that comes first is nearer; of equal votes the smallest class wins. A feature vector of zeros
    has similarity 0 to all others. Nothing is random.

    Logits are log max(p_c, 1e-6): their softmax is p, so that its calibration can be measured. Of a target
    with several labels p_c is the weighted share of neighbours in which c is present; a label that is not to
    be judged (-1) counts as absent there.

    Source: Wu et al. 2018, arXiv 1805.01978 (weighted votes, k = 200, T = 0.07).

    Args:
        neighbours: the values of k to try, each >= 1; those above the number of training images are left out.
        temperatures: the values of T to try, each > 0; None: T = ∞, the majority of the k.
        refit: whether the neighbours of test are searched among train and val; else among train.

    Raises:
        ValueError: no ``neighbours`` or ``temperatures``, or one outside its range; in use, each k is above
            the number of training images.
    """

    version = 1

    def __init__(
        self, *, neighbours: Sequence[int], temperatures: Sequence[float | None], refit: bool = True
    ) -> None:
        count("kNN", neighbours=list(neighbours))
        in_range("kNN", "(0, inf)", null=True, temperatures=list(temperatures))
        self.neighbours = sorted(set(map(int, neighbours)))
        self.temperatures = [None if t is None else float(t) for t in temperatures]
        self.refit = refit

    def predict(self, task: Task) -> Predicted:
        """Choose k and T on ``val``, classify ``test``."""
        names = ("train", "val", "test")
        train_MF, val_NF, test_NF = (normalize(task.features[name], dim=1) for name in names)
        label = task.label["train"].to(task.device)
        ks = [k for k in self.neighbours if k <= len(train_MF)]
        if not ks:
            raise ValueError(
                f"kNN: k = {self.neighbours[0]} neighbours of {len(train_MF)} training images of "
                f"{task.target}; choose at most as many as there are."
            )
        similarity_NK, nearest_NK = _search(val_NF, train_MF, ks[-1])
        best: tuple[float, int, float | None, Tensor] | None = None
        for temperature in self.temperatures:
            weight_NK = _weight(similarity_NK, temperature)
            for k, val_NL in zip(ks, _votes(weight_NK, nearest_NK, label, task.num_classes, ks), strict=True):
                found = score(val_NL, task.label["val"], task.metric)
                if best is None or found > best[0]:
                    best = found, k, temperature, val_NL
        assert best is not None, "there is at least one k and one temperature"
        _, best_k, best_temperature, best_NL = best
        if self.refit:
            train_MF = torch.cat([train_MF, val_NF])
            label = torch.cat([label, task.label["val"].to(label.device)])
        similarity_NK, nearest_NK = _search(test_NF, train_MF, best_k)
        weight_NK = _weight(similarity_NK, best_temperature)
        (test_NL,) = _votes(weight_NK, nearest_NK, label, task.num_classes, [best_k])
        shown = "inf" if best_temperature is None else f"{best_temperature:g}"
        return Predicted(test_NL, best_NL, f"k={best_k}, T={shown}")


def _search(query_NF: Tensor, image_MF: Tensor, num_neighbours: int) -> tuple[Tensor, Tensor]:
    """(N, K) similarities, from the largest, and (N, K) rows of ``image_MF``. Both inputs have unit rows."""
    num_images = len(image_MF)
    later_M = torch.arange(num_images - 1, -1, -1, device=image_MF.device)
    found = []
    for query_CF in query_NF.split(max(1, _CELLS // num_images)):
        # one integer for both: no two are equal, and topk, which may take any of equal ones, has no choice
        key_CM = (query_CF @ image_MF.T).mul_(_STEPS).round_().long().mul_(num_images).add_(later_M)
        found.append(key_CM.topk(num_neighbours, dim=1).values)
    key_NK = torch.cat(found)
    nearest_NK = num_images - 1 - key_NK % num_images
    return key_NK.div(num_images, rounding_mode="floor") / _STEPS, nearest_NK


def _weight(similarity_NK: Tensor, temperature: float | None) -> Tensor:
    """(N, K) weights, 1 of the nearest."""
    if temperature is None:
        return torch.ones_like(similarity_NK)
    return ((similarity_NK - similarity_NK[:, :1]) / temperature).exp()


def _votes(
    weight_NK: Tensor, nearest_NK: Tensor, label: Tensor, num_classes: int, ks: Sequence[int]
) -> Iterator[Tensor]:
    """(N, L) logits for each k, which ascend: each adds its neighbours to the votes of the one before."""
    votes_NL = weight_NK.new_zeros(len(weight_NK), num_classes)
    for first, last in pairwise([0, *ks]):
        weight_NP, nearest_NP = weight_NK[:, first:last], nearest_NK[:, first:last]
        if label.ndim == 1:
            votes_NL.scatter_add_(1, label[nearest_NP], weight_NP)
        else:
            _add_present(votes_NL, weight_NP, nearest_NP, label)
        share_NL = votes_NL / weight_NK[:, :last].sum(1, keepdim=True)
        yield share_NL.clamp(min=_FLOOR).log()


def _add_present(votes_NL: Tensor, weight_NP: Tensor, nearest_NP: Tensor, label_ML: Tensor) -> None:
    present_ML = (label_ML == 1).to(weight_NP.dtype)
    rows = max(1, _CELLS // (nearest_NP.shape[1] * label_ML.shape[1]))
    parts = (each.split(rows) for each in (votes_NL, weight_NP, nearest_NP))
    for votes_CL, weight_CP, nearest_CP in zip(*parts, strict=True):
        votes_CL.add_(torch.einsum("cp,cpl->cl", weight_CP, present_ML[nearest_CP]))
