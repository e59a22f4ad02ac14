"""How far estimates are from the truth, over seeds, and up to where that is little."""

import pandas as pd

from ctc_lightning.information.estimator_style import in_order

POINT = ["distribution", "dims", "information"]
NEAR_CEILING = 0.95  # of the ceiling: what an estimator says from there on is the ceiling
TRUSTED_NATS, TRUSTED_SHARE = 0.1, 0.1  # of the truth: a larger error is not trusted
REFUSED, NONE = "refused", "–"


def bias_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Over seeds: how far the estimates are from the truth, in nats.

    Args:
        cells: one row for each estimate, as of `ctc_lightning.information.cells.as_frame`.

    Returns:
        One row for each (distribution, dims, information, estimator), in the order of the cells, with

        - value_mean, bias_mean, bias_std: of the held-out estimate and of its difference from the truth; the
          standard deviation is NaN with one seed; error: the root mean square of that difference;
        - train_bias_mean, upper_bias_mean: the same of the estimate on the fitted pairs, of the upper bound;
        - ceiling: the lowest of the seeds; near_ceiling: the share of seeds within 5 % of theirs;
        - n, n_refused: seeds with a number, and without; reason: why, of the first.
    """
    rows = []
    for (*point, estimator), of in cells.groupby([*POINT, "estimator"], sort=False):
        given = of[of["note"] == ""]
        bias = given["value"] - given["information"]
        rows.append(
            {
                **dict(zip(POINT, point, strict=True)),
                "estimator": estimator,
                "value_mean": given["value"].mean(),
                "bias_mean": bias.mean(),
                "bias_std": bias.std(),
                "error": (bias**2).mean() ** 0.5,
                "train_bias_mean": (given["train"] - given["information"]).mean(),
                "upper_bias_mean": (given["upper"] - given["information"]).mean(),
                "ceiling": given["ceiling"].min(),
                "near_ceiling": (given["value"] > NEAR_CEILING * given["ceiling"]).mean(),
                "standard_error": of["standard_error"].max(),
                "is_lower_bound": of["is_lower_bound"].all(),
                "n": len(given),
                "n_refused": len(of) - len(given),
                "reason": next(iter(of.loc[of["note"] != "", "note"]), ""),
                "seconds": of["seconds"].mean(),
            }
        )
    return pd.DataFrame(rows)


def trusted(bias: pd.DataFrame) -> pd.DataFrame:
    """Up to which information the root mean square error is at most 0.1 nats or 10 % of the truth.

    Args:
        bias: as of `bias_table`.

    Returns:
        One row for each (distribution, dims), one column for each estimator: the largest information of the
        grid with no worse one below it, as text; "–": not even the least, "refused": no estimate at all.
    """
    limit = (TRUSTED_SHARE * bias["information"]).clip(lower=TRUSTED_NATS)
    good = bias.assign(good=bias["error"] <= limit).sort_values("information", kind="stable")

    def up_to(of: pd.DataFrame) -> str:
        if not of["n"].any():
            return REFUSED
        passed = of.loc[of["good"].cummin(), "information"]
        return NONE if passed.empty else f"{passed.max():g}"

    columns = {
        estimator: of.groupby(["distribution", "dims"])[["n", "good", "information"]].apply(up_to)
        for estimator, of in good.groupby("estimator")
    }
    order = pd.MultiIndex.from_frame(bias[["distribution", "dims"]].drop_duplicates())
    return pd.DataFrame(columns).reindex(index=order, columns=in_order(bias["estimator"])).fillna(NONE)
