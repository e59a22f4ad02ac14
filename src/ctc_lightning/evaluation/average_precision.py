"""Pascal VOC's average precision of one class over eleven recalls. N: images, R: resamples, H: groups."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RECALLS = np.linspace(0, 1, 11)
_ROUNDING = 1e-9  # of a number of hits: 0.1 · 10 of them is one


class ElevenPoints:
    """(1/11) Σ_{r = 0, 0.1 … 1} max precision at recall >= r.

    Images of equal score count at once: a threshold has all of them or none, so that their order means
    nothing. The best precision is reached where such a group of equal scores holds a hit; the H ends of
    those groups are all that is looked at.

    Args:
        score_N: (N,) the higher the more certain.
        label_N: (N,) 1 present, 0 absent, -1 left out.

    Source: Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge". ssl-transfer's is
    higher at r = 0, where scikit-learn's curve begins with an artificial precision of 1.
    """

    def __init__(self, score_N: Floats, label_N: NDArray[np.int64]) -> None:
        order_N = np.argsort(-score_N, kind="stable")
        self.order_N = order_N[label_N[order_N] >= 0]
        score_N, hit_N = score_N[self.order_N], label_N[self.order_N] == 1
        last_N = np.append(score_N[1:] != score_N[:-1], np.ones(min(1, len(score_N)), dtype=bool))
        group_N = np.cumsum(last_N) - last_N
        self.end_H = np.flatnonzero(last_N)[np.bincount(group_N, hit_N) > 0]
        self.hits = np.flatnonzero(hit_N)
        self.num_hits_H = np.searchsorted(self.hits, self.end_H, side="right")

    @property
    def defined(self) -> bool:
        """Whether there is a hit at all."""
        return len(self.hits) > 0

    def __call__(self, weight_RN: Floats) -> Floats:
        """(R, N) weights of all images to (R,); NaN where no hit has weight."""
        weight_RN = weight_RN[:, self.order_N]
        seen_RH = np.cumsum(weight_RN, axis=1)[:, self.end_H]
        hits_RH = np.cumsum(weight_RN[:, self.hits], axis=1)[:, self.num_hits_H - 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision_RH = np.where(seen_RH > 0, hits_RH / seen_RH, 0.0)
        best_RH = np.maximum.accumulate(precision_RH[:, ::-1], axis=1)[:, ::-1]  # from here on
        total_R1 = hits_RH[:, -1:]
        found_R = np.zeros(len(weight_RN))
        for needed_R in (RECALLS * total_R1 - _ROUNDING).T:
            first_R = (hits_RH < needed_R[:, None]).sum(1)
            found_R += best_RH[np.arange(len(found_R)), first_R] / len(RECALLS)
        return np.where(total_R1[:, 0] > 0, found_R, np.nan)
