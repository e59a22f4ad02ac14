# %% [markdown]
# # The information plane
#
# The paper explains the loss of transfer by compression: late in training the features T are said to keep
# less about the image X, I(X;T), while they tell more about its label Y, I(T;Y). Is that so in these runs?
#
# The runs come from `make trade-off`, their information from `make information`. Others: set `CTC_RUNS`, and
# measure it with `python -m ctc_lightning.information run=RUN_DIR`.

# %%
# %matplotlib inline
import os

import matplotlib as mpl
import pandas as pd
from IPython.display import Markdown
from IPython.display import display as show

from ctc_lightning.analysis import (
    comparable,
    information_curves,
    information_figure,
    information_plane_figure,
    information_summary,
    load_runs,
)
from ctc_lightning.analysis.frames.information import estimators_of, settings_of
from ctc_lightning.analysis.report.information_words import information_words

mpl.rcParams["figure.dpi"] = 65
pd.options.display.float_format = "{:.2f}".format
pd.options.display.max_colwidth = 100

# %% tags=["parameters"]
RUNS = os.environ.get("CTC_RUNS", "../runs/trade_off")

# %% [markdown]
# ## What is measured
#
# The features of an image are a deterministic function of it, so I(X;T) is infinite, or whatever an estimator
# can reach. What can be measured is I(X;T_σ), the information left when noise of a stated size σ is added to
# the features, in units of their own spread. Every estimate is of held-out images, the mean over folds, in
# nats: 0.69 nats are one bit.

# %%
runs = comparable(load_runs(RUNS))
measured = information_curves(runs)
columns = ["data", "quantity", "estimator", "x", "noise"]
measured.groupby(columns, sort=False).agg(
    methods=("method", "nunique"),
    seeds=("seed", "nunique"),
    epochs=("epoch", "nunique"),
    lowest=("value", "min"),
    highest=("value", "max"),
    above_in_training=("train", lambda train: (train - measured.loc[train.index, "value"]).median()),
)

# %% [markdown]
# `above_in_training` is how far the value on the pairs that the estimator was fitted to lies above the
# estimate, in the median: where it is large, the training value is no estimate.

# %% [markdown]
# ## Over epochs
#
# Lines are means over seeds, bands reach from the lowest seed to the highest. If the claim holds, I(X;T)
# falls late in training under cross-entropy, and falls less under CTC.

# %%
for _, of_data in runs.groupby("data", sort=False):
    show(information_figure(of_data))

# %% [markdown]
# ## The plane
#
# Right is more about the image, up more about the label; colour is time. Compression is a path that turns to
# the left.

# %%
for _, of_data in runs.groupby("data", sort=False):
    show(information_plane_figure(of_data))

# %% [markdown]
# ## In words
#
# As the report has them: a change counts only where its interval excludes 0.

# %%
for data, of_data in measured.groupby("data", sort=False):
    settings = [
        setting
        for quantity in ("xt", "ty")
        for estimator in estimators_of(of_data, quantity)[:1]
        for setting in settings_of(of_data, quantity, estimator)
    ]
    numbers = information_summary(runs[runs["data"] == data])
    show(Markdown(f"**{data}**\n\n{information_words(numbers, settings)}"))

# %% [markdown]
# ## What to doubt
#
# Estimates that carry a flag, and how many of them: a ceiling that is near, a training value far above.

# %%
noted = measured[measured["note"] != ""]
flag = noted["note"].str.replace(r"\d+\.\d+", "…", regex=True)
noted.groupby([*columns, flag], sort=False).size().rename("estimates").to_frame()
