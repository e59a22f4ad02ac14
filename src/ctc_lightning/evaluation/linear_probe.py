"""The tuned linear probe: L-BFGS logistic regression on frozen features. N: images, F: features."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ctc_lightning.evaluation.protocol import Features, Probe, Score, check_finite

# Of the largest standard deviation: below it lies the rounding of float32 features, not information
_RESOLUTION = 1e-5


class LinearProbe(Probe):
    """min_{W,b} Σ_n CE(W z_n + b, y_n) + |W|²/(2C), z the preprocessed features; C chosen on validation.

    Args:
        whiten: True: z are all principal components scaled to unit variance, so that the result does not
            depend on how the features are conditioned. False: z are standardised features.
        strengths: the values of C to try, each > 0; fitted from the smallest on, each from the last one's
            solution. Of equally good ones the smallest is taken.

    Raises:
        ValueError: no or non-positive ``strengths``.
    """

    def __init__(self, *, whiten: bool, strengths: Sequence[float]) -> None:
        if not strengths or min(strengths) <= 0:
            raise ValueError(
                f"linear probe: strengths are {list(strengths)}; give at least one, all above 0."
            )
        self.whiten = whiten
        self.strengths = sorted(strengths)

    def score(self, train: Features, val: Features, test: Features) -> Score:
        """Fit the path of C on ``train``, choose on ``val``, measure on ``test``."""
        check_finite(train, val, test)
        scale = _Whitening() if self.whiten else StandardScaler()
        z_NF = scale.fit_transform(train.h_NF)
        z_val, z_test = scale.transform(val.h_NF), scale.transform(test.h_NF)
        probe = LogisticRegression(warm_start=True, max_iter=1000, tol=1e-4)
        best = Score(0.0, -1.0, 0.0)
        with threadpool_limits(1), warnings.catch_warnings():  # more threads are slower at this size
            # a strength so weak that it separates the classes needs no converged margin to be ranked
            warnings.simplefilter("ignore", ConvergenceWarning)
            for strength in self.strengths:
                probe.set_params(C=strength).fit(z_NF, train.label_N)
                val_top1 = float(probe.score(z_val, val.label_N))
                if val_top1 > best.val_top1:
                    best = Score(float(probe.score(z_test, test.label_N)), val_top1, strength)
        return best


class _Whitening:
    """PCA to unit variance, without the directions in which float32 features only round."""

    def fit_transform(self, h_NF: NDArray[np.float64]) -> NDArray[np.float64]:
        pca: Any = PCA(svd_solver="full").fit(h_NF)
        deviation = np.sqrt(pca.explained_variance_)
        kept = max(1, int((deviation > _RESOLUTION * deviation[0]).sum()))
        self.mean_F = pca.mean_
        self.map_FP = pca.components_[:kept].T / deviation[:kept].clip(min=np.finfo(float).eps)
        return self.transform(h_NF)

    def transform(self, h_NF: NDArray[np.float64]) -> NDArray[np.float64]:
        return (h_NF - self.mean_F) @ self.map_FP
