"""Few-shot accuracies at the last epoch: they have no validation twin, so no peak and no drop."""

import numpy as np
import pandas as pd

from ctc_lightning.analysis.frames.trade_off import RUN, VALIDATION, over_seeds

PROTOCOL = "few_shot"


def few_shot_summary(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of `ctc_lightning.analysis.summary`, peak and drop NaN; empty where nothing was measured.

    Args:
        frame: comparable runs, of which the rows of the protocol ``few_shot`` count.
    """
    rows = frame[(frame["protocol"] == PROTOCOL) & ~frame["metric"].str.startswith(VALIDATION)]
    curve = [*RUN, "target", "metric"]
    last = rows[rows["epoch"] == rows.groupby(curve)["epoch"].transform("max")].drop_duplicates(
        curve, keep="last"
    )
    last = last.rename(columns={"value": "final"}).assign(
        peak=np.nan, drop=np.nan, start=np.nan, stopped="at the end"
    )
    return over_seeds(last)


def one_column_each(summary: pd.DataFrame) -> pd.DataFrame:
    """For tables: a column for each target and metric, as ``pets, 5-way 1-shot``."""
    named = summary["target"] + ", " + summary["metric"].str.replace("_", " ")
    return summary.assign(target=named, metric="top1")
