"""What the features tell of the image and of its labels, over epochs, as one tidy frame: in nats."""

from typing import NamedTuple

import pandas as pd

from ctc_lightning.analysis.frames.trade_off import RUN, check_one_run_per_seed

INFORMATION = "information"
UPPER, TRAIN = "information_upper", "information_train"
# xt_info_nce/pixels/0.5: quantity, estimator, what stands for X, noise; ty_classifier has neither X nor noise
PROTOCOL = (
    r"^(?P<quantity>xt|ty)_(?P<estimator>[^/]+)"
    r"(?:/(?P<x>[A-Za-z_].*?))?(?:/(?P<noise>\d[\d.e+-]*))?$"
)
SETTING = ["quantity", "estimator", "x", "noise"]
MEASURE = [*SETTING, "target"]
COLUMNS = [
    *RUN, *MEASURE, "epoch", "value", "low", "high", "upper", "train", "note", "plain",
]  # fmt: skip
UNMEASURED = (
    "information: no run has an estimate of I(X;T) or I(T;Y); run "
    "`python -m ctc_lightning.information run=RUN_DIR`."
)
QUANTITIES = ("xt", "ty")
_PREFERRED = {"xt": ("noisy_channel", "info_nce"), "ty": ("classifier",)}
_NAMES = {
    "noisy_channel": "noisy channel",
    "info_nce": "InfoNCE",
    "nwj": "NWJ",
    "mine": "MINE",
    "smile": "SMILE",
    "ksg": "KSG",
    "gaussian": "Gaussian",
}


class Setting(NamedTuple):
    """How something is estimated.

    Attributes:
        quantity: "xt", I(X;T), or "ty", I(T;Y).
        estimator: its name.
        x: what stands for X; "": the estimator does not look at it.
        noise: σ of T_σ = T + σ ε, T in units of its root mean square deviation; 0: none.
    """

    quantity: str
    estimator: str
    x: str = ""
    noise: float = 0.0

    @property
    def symbol(self) -> str:
        """``I(X;T_σ)``, or ``I(T;Y)``."""
        features = "T_σ" if self.noise else "T"
        return f"I(X;{features})" if self.quantity == "xt" else f"I({features};Y)"

    @property
    def title(self) -> str:
        """``I(X;T_σ), σ = 0.5, X: pixels (InfoNCE)``."""
        size = f", σ = {self.noise:g}" if self.noise else ""
        side = f", X: {self.x}" if self.x else ""
        return f"{self.symbol}{size}{side} ({self.by})"

    @property
    def by(self) -> str:
        """The estimator's readable name."""
        return _NAMES.get(self.estimator, self.estimator)


def information_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Every estimate of mutual information between image X, features T and label Y, a row each.

    Args:
        runs: of `ctc_lightning.analysis.load_runs`, or the comparable ones of them.

    Returns:
        Columns

        - data, method, seed;
        - quantity: "xt", I(X;T), or "ty", I(T;Y); where the target is a factor Z of the images, that is
          I(T;Z);
        - estimator; x: what stood for X, "" for an estimator that does not look at it; noise: σ of
          T_σ = T + σ ε, 0 for none;
        - target: "source", a label of the run's own data, or another data set's; I(X;T) is of its images;
        - epoch;
        - value: the held-out estimate, low and high: its 95 % t-interval over folds; upper: an upper bound
          and train: the estimate on the pairs that it was fitted on, NaN where there is none; in nats;
        - note: flags, joined by "; "; plain: whether it is a backbone that was not trained here.

        Rows go by epoch. Without any estimate it is empty.

    Raises:
        ValueError: two runs have the same data set, method and seed.
    """
    estimates = runs[runs["metric"].isin([INFORMATION, UPPER, TRAIN]) & runs["value"].notna()]
    parts = estimates["protocol"].str.extract(PROTOCOL)
    parts = parts.assign(x=parts["x"].fillna(""), noise=parts["noise"].astype(float).fillna(0.0))
    rows = pd.concat([estimates, parts], axis=1).dropna(subset="quantity")
    check_one_run_per_seed(rows)
    keys = [*RUN, *MEASURE, "epoch"]
    found = rows[rows["metric"] == INFORMATION]
    for metric, name in ((UPPER, "upper"), (TRAIN, "train")):
        of = rows.loc[rows["metric"] == metric, [*keys, "value"]].rename(columns={"value": name})
        found = found.merge(of, on=keys, how="left")
    return found[COLUMNS].sort_values("epoch", kind="stable", ignore_index=True)


def estimators_of(measured: pd.DataFrame, quantity: str) -> list[str]:
    """The estimators of a quantity, the headline's first: of I(X;T) noisy_channel, else info_nce, else any.

    Args:
        measured: of `information_curves`.
        quantity: "xt" or "ty".
    """
    found = list(dict.fromkeys(measured.loc[measured["quantity"] == quantity, "estimator"]))
    preferred = _PREFERRED[quantity]
    return sorted(found, key=lambda e: preferred.index(e) if e in preferred else len(preferred))


def settings_of(measured: pd.DataFrame, quantity: str, estimator: str) -> list[Setting]:
    """Those of one estimator, by what stands for X and then by noise."""
    of = measured[(measured["quantity"] == quantity) & (measured["estimator"] == estimator)]
    sides = of[["x", "noise"]].drop_duplicates().sort_values(["x", "noise"])
    return [Setting(quantity, estimator, x, noise) for x, noise in sides.itertuples(index=False)]


def of_setting(rows: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """The rows of one setting; of a frame with the columns `SETTING`."""
    return rows[(rows[SETTING] == pd.Series(setting._asdict())).all(axis=1)]


def headline_settings(runs: pd.DataFrame) -> dict[str, list[Setting]]:
    """The settings of the first estimator of each quantity, under ""; empty if nothing was estimated."""
    measured = information_curves(runs)
    found = [
        setting
        for quantity in QUANTITIES
        for estimator in estimators_of(measured, quantity)[:1]
        for setting in settings_of(measured, quantity, estimator)
    ]
    return {"": found} if found else {}


def other_settings(runs: pd.DataFrame) -> dict[str, list[Setting]]:
    """The settings of each further estimator, by ``xt_mine``."""
    measured = information_curves(runs)
    return {
        f"{quantity}_{estimator}": settings_of(measured, quantity, estimator)
        for quantity in QUANTITIES
        for estimator in estimators_of(measured, quantity)[1:]
    }
