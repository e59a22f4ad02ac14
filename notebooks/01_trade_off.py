# %% [markdown]
# # The trade-off
#
# A classifier is trained for one task; a probe asks what its frozen features are worth for others. When does
# that transfer peak, how much of it is left at the end, and what does the contrast with the past keep?
#
# The runs come from `make trade-off`. Others: set `CTC_RUNS` to a run, a sweep or any folder above them.

# %%
# %matplotlib inline
import os

import matplotlib as mpl
import pandas as pd
from IPython.display import Markdown
from IPython.display import display as show

from ctc_lightning.analysis import (
    best_against_last_figure,
    comparable,
    drop_figure,
    headline,
    load_runs,
    summary,
    trade_off,
    trade_off_figure,
    verdict,
)
from ctc_lightning.analysis.frames.methods import label

mpl.rcParams["figure.dpi"] = 65
pd.options.display.float_format = "{:.1f}".format

# %% tags=["parameters"]
RUNS = os.environ.get("CTC_RUNS", "../runs/trade_off")

# %% [markdown]
# ## The runs
#
# One row of `runs` is one measured number. `comparable` keeps what belongs in one table: one run a seed, all
# of them trained to the same end.

# %%
runs = comparable(load_runs(RUNS))
runs.groupby(["data", "method"], sort=False).agg(
    seeds=("seed", "nunique"),
    checkpoints=("epoch", "nunique"),
    epochs=("epoch", "max"),
    numbers=("value", "size"),
)

# %% [markdown]
# ## Where training takes each method
#
# Left: test accuracy over epochs, lines are means over seeds and bands reach from the lowest seed to the
# highest. The axis is logarithmic, because what happens early happens fast. Right: a path runs from the start
# of training to its end; to the right is better on the source, up is better on everything else. A star is
# cross-entropy stopped where the targets' validation accuracy is best.

# %%
for _, of_data in runs.groupby("data", sort=False):
    show(trade_off_figure(of_data))

# %% [markdown]
# ## Where each target peaks
#
# The epoch with the best validation accuracy, mean over seeds. An early peak says that what follows it cost
# this target something.

# %%
ends = trade_off(runs)
ends = ends[ends["protocol"].isin([headline(runs), "classifier"])].assign(method=ends["method"].map(label))
for data, of_data in ends.groupby("data", sort=False):
    table = of_data.pivot_table(index="method", columns="target", values="peak_epoch", sort=False)
    show(table.rename_axis(index=data, columns=None))

# %% [markdown]
# ## What is lost from there to the end
#
# Bars to the right of 0 are points of test accuracy lost between the peak and the end; white dots are seeds.

# %%
for _, of_data in runs.groupby("data", sort=False):
    show(drop_figure(of_data))

# %% [markdown]
# ## What is kept
#
# On the diagonal nothing is lost. The vertical distance below it is the loss of one target under one method.

# %%
for _, of_data in runs.groupby("data", sort=False):
    show(best_against_last_figure(of_data))

# %% [markdown]
# In words, as the report has them. A difference counts only where it exceeds twice the spread over seeds.

# %%
for data, of_data in runs.groupby("data", sort=False):
    show(Markdown(f"**{data}**\n\n{verdict(summary(of_data))}"))
