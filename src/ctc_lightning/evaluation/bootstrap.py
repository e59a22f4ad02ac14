"""Bootstrap intervals over the images of a split. N: images, R: resamples, M: metrics."""

import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_CELLS = 2_000_000  # weights at a time: 16 MB
LEVEL = 0.95

Counts = NDArray[np.float64]
Weighted = Callable[[Counts], NDArray[np.float64]]
"""(R, N) weights of the images, each row with sum N, to (R, M) metrics."""


def bootstrap(
    weighted: Weighted, num_images: int, *, resamples: int = 1000, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile intervals: the 2.5 % and 97.5 % quantiles over R draws of N images with replacement.

    All metrics see the same draws, and so do all networks that are measured on N images.

    Args:
        weighted: the metrics as a function of how often each image was drawn.
        num_images: N >= 1.
        resamples: R >= 1.
        seed: of the draws; no global random state is touched.

    Returns:
        (M,) lower and (M,) upper ends. A resample in which a metric is not defined (NaN) is left out of its
        quantiles; one that is defined in none has NaN for both ends.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    drawn = [weighted(count_RN) for count_RN in _draws(num_images, resamples, seed)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a metric that is defined in no resample
        low, high = np.nanquantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def _draws(num_images: int, resamples: int, seed: int) -> Iterable[Counts]:
    """How often each image was drawn, (R, N) in parts of bounded memory."""
    if resamples * num_images <= _CELLS:
        return (_small(num_images, resamples, seed),)
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // num_images)
    return (_draw(rng, min(rows, resamples - first), num_images) for first in range(0, resamples, rows))


@lru_cache(maxsize=4)  # of a few test sets, which every network meets
def _small(num_images: int, resamples: int, seed: int) -> Counts:
    return _draw(np.random.default_rng(seed), resamples, num_images)


def _draw(rng: np.random.Generator, resamples: int, num_images: int) -> Counts:
    index_RN = rng.integers(num_images, size=(resamples, num_images))
    index_RN += num_images * np.arange(resamples)[:, None]
    count = np.bincount(index_RN.ravel(), minlength=resamples * num_images)
    return count.reshape(resamples, num_images).astype(np.float64)
