"""Which methods figures show in colour, and their order in tables, where they are too many for an eye."""

import pandas as pd

from ctc_lightning.analysis.frames.methods import PALETTE, is_baseline, ordered
from ctc_lightning.analysis.frames.trade_off import CLASSIFIER, SOURCE

MOST = len(PALETTE)  # methods that colours and markers tell apart


def in_order(summary: pd.DataFrame, protocol: str) -> list[str]:
    """The trained methods: known ones first; where they are more than `MOST`, the best first.

    The best has the highest mean over targets of the final accuracy, over the targets that all methods have.

    Args:
        summary: one data set's rows of `ctc_lightning.analysis.summary`.
        protocol: whose accuracies decide.
    """
    trained = summary[~summary["plain"] & (summary["stopped"] == "at the end")]
    methods = ordered(trained.loc[trained["protocol"].isin([protocol, CLASSIFIER]), "method"])
    if len(methods) <= MOST:
        return methods
    finals = trained[(trained["protocol"] == protocol) & (trained["target"] != SOURCE)]
    finals = finals.pivot_table(index="method", columns="target", values="final_mean")
    of_all = finals.dropna(axis=1)
    mean = (of_all if of_all.shape[1] else finals).mean(axis=1)
    return sorted(methods, key=lambda method: -mean.get(method, -1.0))


def highlighted(summary: pd.DataFrame, protocol: str) -> list[str]:
    """The methods to show in colour: all, or of more than `MOST` the best, and the best cross-entropy run."""
    methods = in_order(summary, protocol)
    if len(methods) <= MOST:
        return methods
    best = methods[:MOST]
    baselines = [method for method in methods if is_baseline(method)]
    if baselines and baselines[0] not in best:
        best = [*best[:-1], baselines[0]]
    return best


def backbones(summary: pd.DataFrame) -> list[str]:
    """The plain backbones, by name."""
    return sorted(set(summary.loc[summary["plain"], "method"]))
