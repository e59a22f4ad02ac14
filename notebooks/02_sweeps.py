# %% [markdown]
# # Two settings at once
#
# The temporal queue has a temperature and a number of negatives. What do they buy on the source task, what on
# the others, and which choices are worth having at all?
#
# The runs come from `python -m ctc_lightning.train -m sweep=temperature_queue`. Others: set `CTC_SWEEP` to
# the folder of a sweep, and `SETTINGS` to two names in its configuration.

# %%
# %matplotlib inline
import os

import matplotlib as mpl
import pandas as pd

from ctc_lightning.analysis import comparable, heat_maps_figure, load_runs, pareto_figure, sweep_table

mpl.rcParams["figure.dpi"] = 75
pd.options.display.float_format = "{:g}".format

# %% tags=["parameters"]
RUNS = os.environ.get("CTC_SWEEP", "../runs/temperature_queue")
SETTINGS = ["model.temperature", "model.queue_size"]

# %% [markdown]
# ## The numbers
#
# Test accuracy at the end of training, as a fraction: of the network's own classifier, and of the probes as
# the mean over targets. `front` marks the choices that no other beats on both.

# %%
table = sweep_table(comparable(load_runs(RUNS)), SETTINGS)
table.round(4)

# %% [markdown]
# ## Heat maps
#
# Bright is good; each map has its own scale, from its lowest cell to its highest, so read the numbers before
# the colours. Framed cells are on the Pareto front.

# %%
heat_maps_figure(table, SETTINGS)

# %% [markdown]
# ## The front
#
# Up and to the right is better. A point below and to the left of another one is not worth choosing, as far as
# the bars (standard deviations over seeds) allow to tell them apart.

# %%
pareto_figure(table, SETTINGS)

# %% [markdown]
# ## How much each setting matters
#
# Points of accuracy between the best and the worst value of one setting, averaged over the other, beside the
# typical spread over seeds. A setting whose effect is not larger than that spread need not be tuned.

# %%
swept = table.dropna(subset=SETTINGS)
means = {name: 100 * swept.groupby(name)[["source_mean", "transfer_mean"]].mean() for name in SETTINGS}
effect = pd.DataFrame({name: mean.max() - mean.min() for name, mean in means.items()})
effect["spread over seeds"] = 100 * swept[["source_std", "transfer_std"]].mean().to_numpy()
effect.round(2)
