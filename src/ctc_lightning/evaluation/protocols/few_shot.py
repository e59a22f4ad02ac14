"""Few-shot episodes on frozen features. N: images, F: features, L: classes, C: images of a class.

E: episodes, W: ways (classes of an episode), S: shots, Q: queries, T = W·Q, M = Q + the most shots
"""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ctc_lightning.checks import count, one_of
from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.protocol import Protocol, Task

_CELLS = 2**23  # features, or random numbers, at a time: 32 MB
_NORMAL = 1.96  # 95 % of a normal distribution lie within so many standard deviations

Metric = Literal["euclidean", "cosine"]


class FewShot(Protocol):
    """Nearest class mean: ŷ(h) = argmin_w d(h, p_w), p_w = (1/S) Σ_s h_ws, as a mean over random episodes.

    An episode takes W classes and of each Q queries and S shots, no image twice, from the test split. Its
    accuracy is the share of its W·Q queries that are nearest to the mean of their own class; of equal
    distances the first class wins. ``accuracy_5way_1shot`` is the mean accuracy of E episodes, ``low`` and
    ``high`` are mean ± 1.96 σ/√E, σ the standard deviation over episodes (with E − 1), n is E.

    The episodes depend on the task's seed and test labels only: all checkpoints meet the same. All numbers of
    shots have the same classes and queries; fewer shots are the first of more. Classes with less than
    M = Q + max S test images do not take part.

    Source: Snell et al. 2017, arXiv 1703.05175 (class means); 5 ways, 15 queries and 600 episodes as in
    ssl-transfer.

    Args:
        ways: W >= 2.
        shots: the values of S, each >= 1: one number each.
        queries: Q >= 1 of each class.
        episodes: E >= 2.
        metric: d: ``euclidean``, or ``cosine``: −cos(h, p_w).

    Raises:
        ValueError: a value outside its range; in use, several labels, or less than W classes with M images.
    """

    version = 1
    takes_multi_label = False

    def __init__(
        self, *, ways: int, shots: Sequence[int], queries: int, episodes: int, metric: str = "euclidean"
    ) -> None:
        count("few-shot", least=2, ways=ways, episodes=episodes)
        count("few-shot", queries=queries, shots=list(shots))
        one_of("few-shot", get_args(Metric), metric=metric)
        self.ways = ways
        self.shots = sorted(set(shots))
        self.queries = queries
        self.episodes = episodes
        self.metric = metric

    def measure(self, task: Task) -> list[Measured]:
        """One number for each of ``shots``."""
        if task.multi_label:
            raise ValueError(
                f"few-shot: images of {task.target} may have several labels, and an episode needs one each; "
                "choose a single-label target, or leave this protocol out."
            )
        h_NF = task.features["test"]
        accuracy: dict[int, list[Tensor]] = {shots: [] for shots in self.shots}
        num_taken = self.queries + self.shots[-1]
        at_once = max(1, _CELLS // (self.ways * num_taken * h_NF.shape[1]))
        for image_EWM in (part for drawn in self._episodes(task) for part in drawn.split(at_once)):
            h_EWMF = h_NF[image_EWM.to(h_NF.device)]
            query_EWQF = h_EWMF[:, :, : self.queries]
            for shots in self.shots:
                mean_EWF = h_EWMF[:, :, self.queries : self.queries + shots].mean(2)
                accuracy[shots].append(self._accuracy(query_EWQF, mean_EWF).cpu())
        return [self._measured(shots, torch.cat(parts)) for shots, parts in accuracy.items()]

    def _episodes(self, task: Task) -> Iterator[Tensor]:
        """(E, W, M) rows of the test split, in parts of bounded memory: queries first, then shots.

        How they are parted changes the draws, so it must not depend on the features.
        """
        num_taken = self.queries + self.shots[-1]
        label_N = task.label["test"]
        count_L = torch.bincount(label_N, minlength=task.num_classes)
        large_L = (count_L >= num_taken).nonzero().flatten()
        if len(large_L) < self.ways:
            remedy = f"protocol.few_shot.ways={len(large_L)}, or " if len(large_L) > 1 else ""
            raise ValueError(
                f"few-shot: {len(large_L)} of {task.num_classes} classes of {task.target} have the "
                f"{num_taken} test images that {self.shots[-1]} shots and {self.queries} queries take, and "
                f"an episode needs {self.ways}; choose {remedy}fewer shots or queries."
            )
        by_class_N, first_L = label_N.argsort(stable=True), count_L.cumsum(0) - count_L
        place_C = torch.arange(int(count_L[large_L].max()))
        draw = torch.Generator().manual_seed(task.seed)
        at_once = max(1, _CELLS // (self.ways * len(place_C)))
        for start in range(0, self.episodes, at_once):
            num_episodes = min(at_once, self.episodes - start)
            # the smallest of random numbers are a draw without replacement
            chance_EL = torch.rand(num_episodes, len(large_L), generator=draw)
            class_EW = large_L[chance_EL.argsort(1)[:, : self.ways]]
            chance_EWC = torch.rand(num_episodes, self.ways, len(place_C), generator=draw)
            chance_EWC[place_C >= count_L[class_EW][..., None]] = inf
            place_EWM = chance_EWC.topk(num_taken, largest=False).indices
            yield by_class_N[first_L[class_EW][..., None] + place_EWM]

    def _accuracy(self, query_EWQF: Tensor, mean_EWF: Tensor) -> Tensor:
        """(E,) shares of queries that are nearest to the mean of their own class."""
        query_ETF = query_EWQF.flatten(1, 2)
        if self.metric == "cosine":
            distance_ETW = -normalize(query_ETF, dim=2) @ normalize(mean_EWF, dim=2).mT
        else:  # differences first: features with a large common mean would cancel in a product of matrices
            distance_ETW = torch.cdist(query_ETF, mean_EWF, compute_mode="donot_use_mm_for_euclid_dist")
        own_T = torch.arange(self.ways, device=mean_EWF.device).repeat_interleave(self.queries)
        return (distance_ETW.argmin(2) == own_T).double().mean(1)

    def _measured(self, shots: int, accuracy_E: Tensor) -> Measured:
        mean = float(accuracy_E.mean())
        half = _NORMAL * float(accuracy_E.std()) / self.episodes**0.5
        return Measured(f"accuracy_{self.ways}way_{shots}shot", mean, mean - half, mean + half, self.episodes)
