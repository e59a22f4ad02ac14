"""Images a second out of CIFAR-100, ours against torchvision's: ``python benchmarks/cifar_loading.py``."""

import hashlib
import logging
import pickle
import sys
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from side_by_side import interleave, ratios, spread, start, table, verdict
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms as T
from torchvision.datasets import CIFAR100

from ctc_lightning.data import ImageDataModule
from ctc_lightning.paths import config_dir

CORES = 2  # workers on their side, threads on ours
BATCH = 128
LIMIT = 15
OUR_BATCHES = 200  # timed in a round
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)

RECIPES: dict[str, tuple[int, list[Callable[..., Any]]]] = {
    # configuration: how many of torchvision's batches are timed in a round, its transforms
    "crop_flip": (40, [T.RandomCrop(32, 4), T.RandomHorizontalFlip()]),
    "autoaugment": (
        20,
        [T.RandomCrop(32, 4), T.RandomHorizontalFlip(), T.AutoAugment(T.AutoAugmentPolicy.CIFAR10)],
    ),
    "randaugment": (20, [T.RandomCrop(32, 4), T.RandomHorizontalFlip(), T.RandAugment()]),
    "moco_v2": (
        10,
        [
            T.RandomResizedCrop(32, (0.2, 1.0)),
            T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
            T.RandomGrayscale(0.2),
            T.RandomApply([T.GaussianBlur(3, (0.1, 2.0))]),
            T.RandomHorizontalFlip(),
        ],
    ),
}


def write_cifar100(root: Path) -> None:
    """Files of CIFAR-100's format with blurred noise for images; torchvision is told their checksums."""
    folder = root / CIFAR100.base_folder
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    md5 = {}
    for name, num in {"train": 50_000, "test": 10_000}.items():
        coarse = generator.integers(0, 256, (num, 3, 8, 8), dtype=np.uint8)
        image = coarse.repeat(4, 2).repeat(4, 3) // 2 + generator.integers(0, 128, (num, 3, 32, 32), np.uint8)
        fine = (np.arange(num) % 100).tolist()
        entry = {"data": image.reshape(num, -1), "fine_labels": fine, "coarse_labels": [y // 5 for y in fine]}
        md5[name] = write(folder / name, entry)
    names = {"fine_label_names": [f"class {c}" for c in range(100)]}
    md5["meta"] = write(folder / "meta", names | {"coarse_label_names": [f"group {c}" for c in range(20)]})
    CIFAR100.train_list, CIFAR100.test_list = [["train", md5["train"]]], [["test", md5["test"]]]
    CIFAR100.meta = CIFAR100.meta | {"md5": md5["meta"]}


def write(path: Path, entry: dict[str, Any]) -> str:
    """Pickle, as CIFAR is distributed; return the checksum."""
    content = pickle.dumps(entry)
    path.write_bytes(content)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def per_image(root: Path, name: str) -> Callable[[], float]:
    """Seconds per image of torchvision's data set and transforms in two worker processes."""
    num_batches, transforms = RECIPES[name]
    data = CIFAR100(str(root), transform=T.Compose([*transforms, T.ToTensor(), T.Normalize(MEAN, STD)]))
    loader = DataLoader(
        data,
        batch_size=BATCH,
        sampler=RandomSampler(data, num_samples=num_batches * BATCH),
        num_workers=CORES,
        persistent_workers=True,  # they start in the first round, which is not counted
    )
    return seconds_per_image(loader, lambda batch: batch[0])


def whole_batches(root: Path, name: str) -> Callable[[], float]:
    """Seconds per image of our data module, of one augmented, standardised view."""
    overrides = ["data=cifar100", f"data/augmentation={name}", "data.key_augmentation=null"]
    overrides += [f"paths.data={root}", f"paths.cache={root / 'cache'}", f"data.batch_size={BATCH}"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        data: ImageDataModule = instantiate(compose("train", overrides).data)
    data.setup()
    return seconds_per_image(
        data.train_dataloader(), lambda batch: data.on_after_batch_transfer(batch, 0).view
    )


def seconds_per_image(loader: DataLoader[Any], view: Callable[[Any], torch.Tensor]) -> Callable[[], float]:
    """Wall time of an epoch's first batches by their number of images."""

    def epoch() -> float:
        begun, num_images = perf_counter(), 0
        for batch in islice(loader, OUR_BATCHES):
            image_BCHW = view(batch)
            assert image_BCHW.dtype == torch.float32
            num_images += len(image_BCHW)
        return (perf_counter() - begun) / num_images

    return epoch


def main() -> None:
    """Every recipe on both sides; the promise is about the first."""
    sys.argv[1:1] = ["--threads", str(CORES)]  # before what the user gives: only a default
    rounds = start(rounds=5)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    rows, faster = [], []
    with TemporaryDirectory() as folder:
        write_cifar100(Path(folder))
        for name in RECIPES:
            loaders = {"theirs": per_image(Path(folder), name), "ours": whole_batches(Path(folder), name)}
            seconds = interleave(loaders, rounds)
            rates = [[1 / s for s in seconds[side]] for side in loaders]
            faster.append(ratios(seconds["theirs"], seconds["ours"]))
            per_core = [f"{median(rate) / CORES:.0f}" for rate in rates]
            rows.append(
                (name, spread(rates[0]), per_core[0], spread(rates[1]), per_core[1], spread(faster[-1]))
            )
    table(("", "torchvision, images/s", "per core", "whole batches, images/s", "per core", "× faster"), *rows)
    verdict(f"crop_flip ≥ {LIMIT} ×", kept=median(faster[0]) >= LIMIT)


if __name__ == "__main__":
    main()
