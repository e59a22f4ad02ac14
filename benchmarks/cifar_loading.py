"""Images a second out of CIFAR-100, ours against torchvision's: ``python benchmarks/cifar_loading.py``."""

import hashlib
import logging
import os
import pickle
import warnings
from collections.abc import Callable
from itertools import islice
from multiprocessing import active_children
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from side_by_side import interleave, ratios, spread, start, table, verdict
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms as T
from torchvision.datasets import CIFAR100

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data import ImageDataModule

WORKERS = 2  # on their side; ours is this process, with --threads
BATCH = 128
LIMIT = 15
OUR_BATCHES = 200  # timed in a round
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)

RECIPES: dict[str, tuple[int, list[Callable[..., Any]]]] = {
    # configuration: how many of torchvision's batches are timed in a round, its transforms
    "crop_flip": (40, [T.RandomCrop(32, 4), T.RandomHorizontalFlip()]),
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


class Loading:
    """Seconds of wall time per image; a call times an epoch's first batches.

    Attributes:
        cpu: seconds of CPU time per image of each call, of this process and its workers.
    """

    def __init__(self, loader: DataLoader[Any], view: Callable[[Any], torch.Tensor]) -> None:
        self.loader, self.view = loader, view
        self.cpu: list[float] = []

    def __call__(self) -> float:
        """Load, and count the images."""
        wall, cpu, num_images = perf_counter(), cpu_seconds(), 0
        for batch in islice(self.loader, OUR_BATCHES):
            image_BCHW = self.view(batch)
            assert image_BCHW.dtype == torch.float32
            num_images += len(image_BCHW)
        wall, cpu = perf_counter() - wall, cpu_seconds() - cpu
        self.cpu.append(cpu / num_images)
        return wall / num_images


def cpu_seconds() -> float:
    """CPU time so far of this process and of its workers, where the system tells."""
    stats = [Path(f"/proc/{worker.pid}/stat") for worker in active_children()]
    ticks = [stat.read_text().rpartition(")")[2].split()[11:13] for stat in stats if stat.exists()]
    return process_time() + sum(int(t) for pair in ticks for t in pair) / os.sysconf("SC_CLK_TCK")


def per_image(root: Path, name: str) -> Loading:
    """Two worker processes with torchvision's data set and transforms."""
    num_batches, transforms = RECIPES[name]
    data = CIFAR100(str(root), transform=T.Compose([*transforms, T.ToTensor(), T.Normalize(MEAN, STD)]))
    loader = DataLoader(
        data,
        batch_size=BATCH,
        sampler=RandomSampler(data, num_samples=num_batches * BATCH),
        num_workers=WORKERS,
        persistent_workers=True,  # they start in the first round, which is not counted
    )
    return Loading(loader, lambda batch: batch[0])


def whole_batches(root: Path, name: str) -> Loading:
    """Our data module, one augmented, standardised view."""
    overrides = ["data=cifar100", f"data/augmentation={name}", "data.key_augmentation=null"]
    overrides += [f"paths.data={root}", f"paths.cache={root / 'cache'}", f"data.batch_size={BATCH}"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        data: ImageDataModule = instantiate(compose("train", overrides).data)
    data.setup()
    return Loading(data.train_dataloader(), lambda batch: data.on_after_batch_transfer(batch, 0).view)


def main() -> None:
    """Every recipe on both sides; the promise is about the first."""
    rounds = start(rounds=5)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    rows, faster = [], []
    with TemporaryDirectory() as folder:
        write_cifar100(Path(folder))
        for name in RECIPES:
            sides = per_image(Path(folder), name), whole_batches(Path(folder), name)
            seconds = list(interleave({str(k): side for k, side in enumerate(sides)}, rounds).values())
            cpu = [side.cpu[1:] for side in sides]
            faster.append(ratios(*seconds))
            rates = [spread(1 / s for s in of) for side in zip(seconds, cpu, strict=True) for of in side]
            rows.append((name, *rates, spread(faster[-1]), spread(ratios(*cpu))))
    table(
        (
            "",
            "torchvision: images/s",
            "per core",
            "whole batches: images/s",
            "per core",
            "× faster",
            "per core",
        ),
        *rows,
    )
    threads = torch.get_num_threads()
    print(f"\nImages/s: wall time, torchvision in {WORKERS} workers, whole batches in {threads} thread(s).")
    print("Per core: CPU time of all processes, which other jobs do not enter.")
    verdict(f"crop_flip ≥ {LIMIT} ×", kept=median(faster[0]) >= LIMIT)


if __name__ == "__main__":
    main()
