# %% [markdown]
# # The geometry of forgetting
#
# What happens to the features while transfer falls? Do they collapse onto the class means, how many
# directions are left, when do they stop changing, and can one see it?
#
# The runs come from `make trade-off`, which measures the protocol `geometry` on every checkpoint. Others: set
# `CTC_RUNS`.

# %%
# %matplotlib inline
import os

import matplotlib as mpl
import pandas as pd
from IPython.display import display as show
from umap import UMAP

from ctc_lightning.analysis import (
    comparable,
    curves,
    feature_map_figure,
    geometry_figure,
    headline,
    load_runs,
    principal_components,
    spectrum_figure,
)
from ctc_lightning.analysis.figures.cka_over_time import cka_figure, cka_over_time
from ctc_lightning.analysis.frames.methods import label
from ctc_lightning.evaluation.run_features import RunFeatures

mpl.rcParams["figure.dpi"] = 65
pd.options.display.float_format = "{:.1f}".format

# %% tags=["parameters"]
RUNS = os.environ.get("CTC_RUNS", "../runs/trade_off")
DATA = "glyphs"  # one data set of the runs
METHODS = ["ce", "ctc_queue"]  # to look at closely
TARGET = "hue"  # the label to look for in the features, beside the source's
IMAGES = 750  # in a map

# %%
runs = comparable(load_runs(RUNS))
runs = runs[runs["data"] == DATA]
first_seed = runs[runs["seed"] == runs["seed"].min()].drop_duplicates("method").set_index("method")["path"]
networks = {method: RunFeatures(first_seed[method]) for method in METHODS}

# %% [markdown]
# ## Neural collapse, rank and likeness over time
#
# Of the source task's test images, over epochs. NC1 to NC3 fall to 0 as features collapse onto equally spaced
# class means that the classifier copies; NC4 rises to 1. The effective rank counts the directions in use. CKA
# compares the features of the same images at two moments: 1 means nothing has changed but rotation and scale.

# %%
geometry_figure(runs)

# %% [markdown]
# ## Spectra
#
# The share of the variance of each direction, on logarithmic axes, from the first checkpoint (dark) to the
# last (light). Full collapse would leave as many directions as there are classes, less one: the dotted line.

# %%
moments = {
    method: {epoch: network.at(epoch).h_NF for epoch in network.epochs}
    for method, network in networks.items()
}
spectrum_figure(moments, num_classes=networks[METHODS[0]].num_classes)

# %% [markdown]
# ## CKA over time
#
# Every pair of checkpoints. A bright block is a phase in which the features hardly change; a dark one off the
# diagonal says that what was there before has been replaced.

# %%
cka_figure({method: cka_over_time(of) for method, of in moments.items()})

# %% [markdown]
# ## Maps at three moments
#
# Before training, where the target peaks (by validation, under cross-entropy's probe), and at the end. Each
# column is one set of points, coloured by the source label above and by the target below. A label that forms
# regions can be read off the features; one that is mixed everywhere is gone from these two dimensions, though
# perhaps not from all of them: the table at the end says how well a probe still finds it.

# %%
accuracy = curves(runs[runs["path"].isin(first_seed[METHODS])])
accuracy = accuracy[accuracy["protocol"].isin(["classifier", headline(runs)])]
accuracy = accuracy[accuracy["target"].isin(["source", TARGET])]
of_first = accuracy[(accuracy["method"] == METHODS[0]) & (accuracy["target"] == TARGET)]
peak = int(of_first.loc[of_first["val"].idxmax(), "epoch"])
epochs = sorted({runs["epoch"].min(), peak, runs["epoch"].max()})
shown = {
    method: {epoch: network.at(epoch, target=TARGET) for epoch in epochs}
    for method, network in networks.items()
}

# %% [markdown]
# The two directions of largest variance:

# %%
for method, of in shown.items():
    points = {f"epoch {epoch}": principal_components(seen.h_NF)[0][:IMAGES] for epoch, seen in of.items()}
    labels = {name: of[epochs[0]].labels[name][:IMAGES] for name in ("source", TARGET)}
    show(feature_map_figure(points, labels, f"{label(method)}: principal components"))

# %% [markdown]
# The same images by UMAP, which keeps neighbours together and says nothing about distances between groups:

# %%
for method, of in shown.items():
    points = {
        f"epoch {epoch}": UMAP(random_state=0, n_jobs=1).fit_transform(seen.h_NF[:IMAGES].numpy())
        for epoch, seen in of.items()
    }
    labels = {name: of[epochs[0]].labels[name][:IMAGES] for name in ("source", TARGET)}
    show(feature_map_figure(points, labels, f"{label(method)}: UMAP"))

# %% [markdown]
# Test accuracy in per cent at these moments, of all dimensions together: the network's classifier on the
# source, the probe on the target.

# %%
at = accuracy[accuracy["epoch"].isin(epochs)]
at = at.pivot_table(index=["method", "target"], columns="epoch", values="test", sort=False)
(100 * at).rename(index=label)
