"""The aggregated log-odds: one number for all targets, in which halving any target's error counts alike."""

import numpy as np
import pandas as pd

from ctc_lightning.analysis.frames.comparable import common_targets
from ctc_lightning.analysis.frames.trade_off import RUN, curves, ends, headline, over_seeds

METRIC = "log_odds"
MEAN = "mean log-odds"
_UNKNOWN = 1 / 2000  # the margin where the number of images is not known


def log_odds(p: np.ndarray, n: np.ndarray) -> np.ndarray:
    """ln(p / (1 − p)) of p clipped to [½/n, 1 − ½/n]: half an image from none and from all.

    Args:
        p: fractions in [0, 1].
        n: the images each is a mean of; 0: unknown, the margin is then 1/2000.
    """
    margin = np.where(n > 0, 0.5 / np.maximum(n, 1), _UNKNOWN)
    p = np.clip(p, margin, 1 - margin)
    return np.log(p / (1 - p))


def log_odds_curves(frame: pd.DataFrame, protocol: str | None = None) -> pd.DataFrame:
    """The mean over targets of the log-odds, for each epoch at which all of them were measured.

        mean_t ln(p_t / (1 − p_t)),  t over the targets that every method of the data set has

    As in the transfer suites of Kornblith et al. (arXiv 1805.08974) and trex (arXiv 2206.15369).

    Args:
        frame: comparable runs of one data set.
        protocol: the probe; None: the headline.

    Returns:
        The columns of `ctc_lightning.analysis.curves`, of one target "mean log-odds"; in nats.
    """
    protocol = protocol or headline(frame)
    measured = curves(frame)
    measured = measured[measured["protocol"] == protocol]
    targets = common_targets(measured)
    measured = measured[measured["target"].isin(targets)]
    measured = measured.assign(
        test=log_odds(measured["test"].to_numpy(), measured["n"].to_numpy()),
        val=log_odds(measured["val"].to_numpy(), measured["n_val"].to_numpy()),
    )
    means = measured.groupby([*RUN, "protocol", "epoch", "plain"], sort=False).agg(
        test=("test", "mean"), val=("val", "mean"), n=("target", "nunique")
    )
    means = means[means["n"] == len(targets)].reset_index()
    return means.assign(target=MEAN, metric=METRIC, low=np.nan, high=np.nan, n=0, n_val=0)


def log_odds_summary(frame: pd.DataFrame, protocol: str | None = None) -> pd.DataFrame:
    """Peak, final and drop of the mean log-odds, with the columns of `ctc_lightning.analysis.summary`."""
    return over_seeds(ends(log_odds_curves(frame, protocol)).assign(stopped="at the end"))
