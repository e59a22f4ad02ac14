# %% [markdown]
# # In your own project
#
# Your images, your loaders, your `Trainer`: fine-tune a backbone that you have, evaluate it on its own labels
# and on others, export it, and load it again. No configuration files and no commands.
#
#     pip install .

# %%
# %matplotlib inline
import logging
import os
import warnings
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytorch_lightning as pl
import torch
from IPython.display import display as show
from matplotlib.figure import Figure
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from torch.utils.data import DataLoader, Dataset, TensorDataset

from ctc_lightning import CTCModule, Glyphs, IndexedDataset, create_backbone, load_data

mpl.rcParams["figure.dpi"] = 65
pd.options.display.float_format = "{:.1f}".format
warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

# %% tags=["parameters"]
WORK = os.environ.get("CTC_WORK", "../runs/own_project")  # a folder for the files that this notebook writes
IMAGES = 1000
EPOCHS = 8

# %%
work = Path(WORK)
work.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)
pl.seed_everything(0, verbose=False)


def trainer(epochs: int) -> pl.Trainer:
    """Yours: nothing here is special."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(max_epochs=epochs, accelerator="cpu", enable_model_summary=False, **quiet)


# %% [markdown]
# ## Your images
#
# Any data set of `(image, label)`. Drawn glyphs stand in for yours: the label is one of four shapes. Their
# hue is a second label, which training does not see.

# %%
glyphs = Glyphs(num_train=IMAGES, num_val=64, num_test=IMAGES)
glyphs.setup()


def dataset(split: str) -> TensorDataset:
    """Standardised images and their shape."""
    images = glyphs.image_sets["source"][split]
    return TensorDataset(glyphs.standardise(images.image), images.labels["source"])


def loader(images: Dataset) -> DataLoader:
    """Shuffled batches."""
    return DataLoader(images, batch_size=64, shuffle=True, drop_last=True)


train, test = dataset("train"), dataset("test")
hue = {split: glyphs.image_sets["source"][split].labels["hue"] for split in ("train", "test")}

figure = Figure(figsize=(12, 1.6))
shown = glyphs.image_sets["source"]["test"].image[:8]
for axes, image, shape in zip(figure.subplots(1, 8), shown, test.tensors[1], strict=False):
    axes.imshow(image.permute(1, 2, 0))
    axes.set_title(f"shape {shape}", fontsize=10)
    axes.axis("off")
show(figure)

# %% [markdown]
# ## A backbone to start from
#
# Any state dict of a backbone. Here it comes from a short training on handwritten digits, enlarged to the
# size and channels of the glyphs. With `backbone="timm/resnet18", pretrained=True` the weights are timm's.

# %%
digits = load_data("digits", source_label="digit")
digits.setup()
small = digits.image_sets["source"]["train"]
large = torch.nn.functional.interpolate(small.image.expand(-1, 3, -1, -1).float() / 255, 32)
start = CTCModule.from_preset("ce", backbone="cifar/resnet8", num_classes=10)
trainer(3).fit(start, loader(TensorDataset(large - large.mean(), small.labels["digit"])))
torch.save(start.backbone.state_dict(), work / "start.pth")

# %% [markdown]
# ## Fine-tune
#
# Once by cross-entropy alone, once with the temporal queue. The queue leaves out older keys of a query's own
# image: `IndexedDataset` adds the number of each image.

# %%
modules = {
    "cross-entropy": CTCModule.from_preset(
        "ce", backbone="cifar/resnet8", pretrained=str(work / "start.pth"), num_classes=4
    ),
    "temporal queue": CTCModule.from_preset(
        "ctc_queue",
        backbone="cifar/resnet8",
        pretrained=str(work / "start.pth"),
        num_classes=4,
        queue_size=256,
    ),
}
for module in modules.values():
    used = trainer(EPOCHS)
    used.fit(module, loader(IndexedDataset(train)))
used.save_checkpoint(work / "mine.ckpt")  # of the last one

# %% [markdown]
# ## Evaluate
#
# On its own labels with `trainer.test`, on the hue with a linear probe on the features of `trainer.predict`.
# Eight epochs show the calls, not the method: notebook 01 compares whole trainings.


# %%
def features(module: CTCModule, images: Dataset) -> torch.Tensor:
    """(N, F), in the order of the images."""
    batches = trainer(1).predict(module, DataLoader(images, batch_size=500))
    return torch.cat([batch.features for batch in batches])


rows = {}
for name, module in modules.items():
    scores = trainer(1).test(module, DataLoader(test, batch_size=500), verbose=False)[0]
    probe = LogisticRegression(max_iter=2000).fit(features(module, train), hue["train"])
    rows[name] = {"shape": scores["test/top1"], "hue": probe.score(features(module, test), hue["test"])}
accuracy = 100 * pd.DataFrame(rows).T
show(accuracy)

# %%
figure = Figure(figsize=(5, 2.5))
axes = figure.subplots()
accuracy.plot.barh(ax=axes, xlabel="test accuracy, %")
figure.tight_layout()
show(figure)

# %% [markdown]
# ## Export and load again
#
# The Lightning checkpoint holds the whole module, and `load_from_checkpoint` needs nothing else. The backbone
# alone is a state dict: `create_backbone` loads it, for `timm/…` and `torchvision/…` so do these libraries.

# %%
save_file(modules["temporal queue"].backbone.state_dict(), work / "backbone.safetensors")

loaded = CTCModule.load_from_checkpoint(work / "mine.ckpt")
backbone = create_backbone("cifar/resnet8", pretrained=work / "backbone.safetensors").eval()

images = test.tensors[0][:8]
with torch.no_grad():
    expected = modules["temporal queue"].eval().backbone(images)
    print("checkpoint:", torch.equal(loaded.eval().backbone(images), expected))
    print("backbone:", torch.allclose(backbone(images), expected, atol=1e-6))
