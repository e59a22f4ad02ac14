"""N-LEEP: LEEP with clusters of the features in place of source classes. N: images, F: features."""

from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

from ctc_lightning.checks import in_range
from ctc_lightning.metrics.class_moments import ROUNDING
from ctc_lightning.metrics.kept_features import KeptFeatures
from ctc_lightning.metrics.leep import expected_log_prediction

_ENERGY = 0.8


class NLEEP(KeptFeatures):
    """LEEP with θ(x)_s = P(s | x), the posterior of a Gaussian mixture of PCA-reduced features.

    PCA keeps the fewest directions with at least 80 % of the variance; the mixture has ``ratio``·L
    components with full covariances. No source classifier is needed. In (−∞, 0], higher = better: 0 where
    every cluster holds one class.

    Args:
        num_features: F.
        num_classes: L >= 2.
        ratio: components per class, >= 1.
        seed: of the mixture's start.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_features`` < 1, ``num_classes`` < 2 or ``ratio`` < 1.

    Source: Li et al. 2021, arXiv 2011.11200. The mean is of logarithms, as in the paper; the code of SFDA's
    authors averages the probabilities themselves. Images are sorted before the mixture is fitted, on the
    CPU, so that batches, ranks and the order of images do not change its start.
    """

    name = "N-LEEP"

    def __init__(
        self, num_features: int, num_classes: int, ratio: int = 5, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(num_features, num_classes, **kwargs)
        in_range(self.name, "[1, inf)", ratio=ratio)
        self.ratio, self.seed = ratio, seed

    def compute(self) -> Tensor:
        """N-LEEP, 0-dim float64.

        Raises:
            ValueError: a class without images, fewer images than components, features that are all equal.
        """
        h_NF, label_N = self.kept(least=1)
        num_components = self.ratio * self.num_classes
        if len(h_NF) < max(num_components, 2):
            raise ValueError(
                f"{self.name}: {len(h_NF)} images for {num_components} mixture components; use more images "
                f"or a ratio of at most {len(h_NF) // self.num_classes}."
            )
        if (h_NF - h_NF.mean(0)).abs().max() <= ROUNDING * h_NF.abs().max():
            raise ValueError(
                f"{self.name}: the {len(h_NF)} images have the same features, which form no clusters; use "
                "another layer or checkpoint."
            )
        order_N = _canonical_order(torch.cat([label_N[:, None], h_NF], dim=1).cpu().numpy())
        reduced_NR = PCA(_ENERGY, svd_solver="full").fit_transform(h_NF.cpu().numpy()[order_N])
        mixture = GaussianMixture(num_components, random_state=self.seed).fit(reduced_NR)
        prob_NS = torch.from_numpy(mixture.predict_proba(reduced_NR)).to(h_NF)
        return expected_log_prediction(prob_NS, label_N[torch.from_numpy(order_N)], self.num_classes)


def _canonical_order(rows_NF: np.ndarray) -> np.ndarray:
    """(N,) an order of the rows that depends on nothing but their set."""
    # whole rows as byte strings: one sort, where sorting by columns would be F of them
    rows_NF = np.ascontiguousarray(rows_NF)
    return rows_NF.view(np.dtype((np.void, rows_NF.itemsize * rows_NF.shape[1]))).ravel().argsort()
