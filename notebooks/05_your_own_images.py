# %% [markdown]
# # Your own images
#
# From a folder of images to a backbone that is trained, evaluated and exported: six commands. The folder here
# is made on the spot; put your own in its place. It needs a folder for each class, and no more:
#
#     photos/CLASS/IMAGE.png
#
# Folders `train`, `val` and `test` above the classes are used where there are such; otherwise images are held
# out, a share of every class.

# %%
# %matplotlib inline
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import onnxruntime
import pandas as pd
from IPython.display import Markdown
from IPython.display import display as show
from matplotlib.figure import Figure
from PIL import Image

from ctc_lightning.analysis import comparable, load_runs, summary, trade_off_figure, verdict
from ctc_lightning.data import Glyphs

mpl.rcParams["figure.dpi"] = 65
pd.options.display.float_format = "{:.1f}".format

# %% tags=["parameters"]
WORK = os.environ.get("CTC_WORK", "../runs/own_images")  # a folder for all that this notebook makes
IMAGES = 1500
EPOCHS = 40

# %%
work = Path(WORK)


def run(module: str, *arguments: str) -> None:
    """One of the commands: shown, run, and its own sentence raised if it fails."""
    print(f"python -m ctc_lightning.{module} {shlex.join(arguments)}")
    command = [sys.executable, "-m", f"ctc_lightning.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)


# %% [markdown]
# ## A folder
#
# Drawn glyphs stand in for photos: four shapes, which are the classes, in six hues, which no label tells.

# %%
glyphs = Glyphs(num_train=IMAGES, num_val=64, num_test=64)
glyphs.setup()
drawn = glyphs.image_sets["source"]["train"]
for number, (image, shape) in enumerate(zip(drawn.image, drawn.labels["source"].tolist(), strict=True)):
    file = work / "photos" / f"shape_{shape}" / f"{number:04d}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)

files = sorted(work.glob("photos/*/*.png"))
pd.Series([file.parent.name for file in files], name="images").value_counts(sort=False).to_frame()

# %%
figure = Figure(figsize=(12, 1.6))
for axes, file in zip(figure.subplots(1, 8), files[:: len(files) // 8], strict=False):
    axes.imshow(Image.open(file))
    axes.set_title(file.parent.name, fontsize=10)
    axes.axis("off")
show(figure)

# %% [markdown]
# ## Train
#
# Once by cross-entropy alone, once with the temporal queue. What an image looks like besides its class is
# learnt or forgotten on the way; the probe of another data set, the embedded handwritten digits, tells.

# %%
shared = [
    "data=image_folder_small",
    f"data.root={work}/photos",
    f"data.cache_dir={work}/cache",
    "data.image_size=32",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.enable_progress_bar=false",
    "callbacks.transfer_probe=null",
    "num_threads=1",
]
run("train", *shared, "model=ce", f"hydra.run.dir={work}/runs/ce")
run("train", *shared, "model=ctc_queue", "model.queue_size=256", f"hydra.run.dir={work}/runs/ctc_queue")

# %% [markdown]
# ## Evaluate
#
# Every checkpoint: the network's own classifier on the held-out images of the folder, and a linear probe on
# its frozen features for the digits. A target is any data set of `python -m ctc_lightning.data`.

# %%
run("transfer", f"run={work}/runs", "target=[own,digits/digit]", "protocol=[whitened]", "num_threads=1")

# %%
runs = comparable(load_runs(work / "runs"))
trade_off_figure(runs)

# %% [markdown]
# Test accuracy at the end, in per cent, and what the report says in words:

# %%
at_the_end = summary(runs)[lambda rows: rows["stopped"] == "at the end"]
100 * at_the_end.pivot_table(index="method", columns="target", values="final_mean", sort=False)

# %%
Markdown(verdict(summary(runs)))

# %% [markdown]
# ## Report
#
# All of it as one page, to keep or to send: `report.html`.

# %%
run("report", f"{work}/runs", "--output", f"{work}/report")
sorted(path.name for path in (work / "report").iterdir())

# %% [markdown]
# ## Export
#
# The trained backbone for other programs, as an ONNX file with a model card. The other formats are `timm`,
# `torchvision` and `safetensors`.

# %%
export = [f"checkpoint={work}/runs/ctc_queue", "format=onnx", f"output={work}/exported", "overwrite=true"]
run("export", *export)
sizes = {path.name: path.stat().st_size / 1000 for path in sorted((work / "exported").iterdir())}
pd.Series(sizes, name="kB").to_frame()

# %% [markdown]
# It needs neither torch nor this package. The file itself says how an image has to be standardised. Its
# features find similar images: above eight new ones, below each the nearest in the folder.

# %%
session = onnxruntime.InferenceSession(work / "exported" / "model.onnx")
expected = json.loads(session.get_modelmeta().custom_metadata_map["input"])


def features(pixels: np.ndarray) -> np.ndarray:
    """Of unit length; pixels from 0 to 255, the colours last."""
    images = (pixels / 255 - expected["mean"]) / expected["std"]
    (found,) = session.run(["features"], {"image": images.transpose(0, 3, 1, 2).astype(np.float32)})
    return found / np.linalg.norm(found, axis=1, keepdims=True)


known = np.stack([np.asarray(Image.open(file)) for file in files])
new = glyphs.image_sets["source"]["test"]
pixels = new.image.permute(0, 2, 3, 1).numpy()
nearest = (features(pixels) @ features(known).T).argmax(axis=1)

figure = Figure(figsize=(12, 3.6))
rows = zip(*figure.subplots(2, 8), pixels, new.labels["source"].tolist(), nearest, strict=False)
for above, below, image, shape, place in rows:
    above.imshow(image)
    above.set_title(f"new, shape_{shape}", fontsize=10)
    below.imshow(known[place])
    below.set_title(files[place].parent.name, fontsize=10)
    above.axis("off")
    below.axis("off")
show(figure)

# %%
shapes = zip(nearest, new.labels["source"], strict=True)
same = [files[place].parent.name == f"shape_{shape}" for place, shape in shapes]
print(f"The nearest image has the same class for {np.mean(same):.0%} of {len(same)} new images.")
