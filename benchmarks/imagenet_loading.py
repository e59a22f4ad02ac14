"""From JPEG files to training batches: ``python benchmarks/imagenet_loading.py``.

B images of a batch
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, TypeAlias

import torch
from decoders import jpeg
from side_by_side import interleave, ratios, spread, start, table, verdict
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from ctc_lightning.data import Compose, FileDataModule, HorizontalFlip, RandomResizedCrop
from ctc_lightning.data.decode import decode
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.sets.image_folder import ImageFolder as OwnImages
from ctc_lightning.data.stream import StreamDataModule
from ctc_lightning.prepare import prepare

B, SIZE, NUM_WORKERS = 64, 224, 2
NUM_TEXTURES, COPIES, NUM_CLASSES = 256, 4, 8
NUM_IMAGES = NUM_TEXTURES * COPIES
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
FILES_FASTER, SHARDS_FASTER = 1.3, 3

Epoch: TypeAlias = Callable[[], Iterable[Any]]


class Decoded(Dataset[int]):
    """Files that are decoded and thrown away."""

    def __init__(self, files: ImageFiles) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> int:
        return decode(self.files.path(row)).shape[0]


def write_images(folder: Path) -> None:
    """Training and validation folders of textures; copies of one are different files."""
    textures = [jpeg(seed) for seed in range(NUM_TEXTURES)]
    for number, data in enumerate(textures * COPIES):
        for split in ("train", "val") if number < NUM_CLASSES else ("train",):
            path = folder / split / f"class_{number % NUM_CLASSES}" / f"{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def plain(folder: Path) -> Epoch:
    """What most scripts do: torchvision's folder and its transforms on Pillow's images, image by image."""
    steps = [
        transforms.RandomResizedCrop(SIZE),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    images = ImageFolder(str(folder / "train"), transforms.Compose(steps))
    loader = DataLoader(
        images, B, shuffle=True, drop_last=True, num_workers=NUM_WORKERS, persistent_workers=True
    )
    return lambda: loader


def module(kind: type[FileDataModule], root: Path) -> FileDataModule:
    """One of the package's data modules with the same augmentation."""
    data = kind(
        collection=OwnImages(),
        name="textures",
        root=str(root),
        cache_dir=str(root),
        image_size=SIZE,
        mean=MEAN,
        std=STD,
        batch_size=B,
        num_workers=NUM_WORKERS,
        augmentation=Compose(RandomResizedCrop(SIZE), HorizontalFlip()),
    )
    data.setup()
    return data


def loaded(data: FileDataModule) -> Epoch:
    """Batches of uint8 crops, as they go to a GPU, which flips and standardises them."""
    loader = data.train_dataloader()
    return lambda: loader


def ready(data: FileDataModule) -> Epoch:
    """The same, flipped and standardised as a whole by this process: without a GPU."""
    loader = data.train_dataloader()

    def epoch() -> Iterator[Any]:
        for batch in loader:
            yield data.on_after_batch_transfer(batch, 0)

    return epoch


def decoding(data: FileDataModule) -> Epoch:
    """The limit: decode the same files and do nothing else."""
    files = data.image_sets["source"]["train"]
    loader = DataLoader(Decoded(files), B, num_workers=NUM_WORKERS, persistent_workers=True)
    return lambda: loader


def cpu_seconds() -> float:
    """CPU time of this process and its workers so far."""
    tick = os.sysconf("SC_CLK_TCK")
    stats = [Path(f"/proc/{child.pid}/stat").read_text() for child in multiprocessing.active_children()]
    fields = [stat.rpartition(")")[2].split() for stat in stats]
    return (
        process_time() + sum(int(user) + int(system) for *_, user, system in (f[:13] for f in fields)) / tick
    )


def main() -> None:
    """Wall time, as it is the workers that do the work; and CPU time, which other jobs do not enter."""
    rounds = start(rounds=7)
    print(f"Here: wall time, {NUM_WORKERS} workers, batches of {B}; per core: CPU time of all processes.")
    with tempfile.TemporaryDirectory() as folder:
        images, shards = Path(folder) / "images", Path(folder) / "shards"
        write_images(images)
        kilobytes = median(path.stat().st_size for path in images.rglob("*.JPEG")) / 1e3
        print(f"{NUM_IMAGES} JPEGs of 500 x 375, quality 90, {kilobytes:.0f} kB.\n")
        prepare(images, shards, size=256, quality=90, num_workers=NUM_WORKERS, skip=False)
        files, stream = module(FileDataModule, images), module(StreamDataModule, shards)
        epochs = {
            "torchvision": plain(images),
            "files": loaded(files),
            "shards": loaded(stream),
            "files, finished on the CPU": ready(files),
            "shards, finished on the CPU": ready(stream),
            "files, decoded and thrown away": decoding(files),
            "shards, decoded and thrown away": decoding(stream),
        }
        cpu: dict[str, list[float]] = {name: [] for name in epochs}

        def timed(name: str) -> Callable[[], float]:
            def run() -> float:
                begun, used = perf_counter(), cpu_seconds()
                for _ in epochs[name]():
                    pass
                cpu[name].append(cpu_seconds() - used)
                return perf_counter() - begun

            return run

        wall = interleave({name: timed(name) for name in epochs}, rounds)
    cpu = {name: seconds[1:] for name, seconds in cpu.items()}
    faster = {name: ratios(wall["torchvision"], seconds) for name, seconds in wall.items()}
    limit = {name: wall.get(f"{name.split(',')[0]}, decoded and thrown away", wall[name]) for name in wall}
    table(
        ("", "images / s", "images / s / core", "× torchvision", "× torchvision, CPU", "% of decoding alone"),
        *(
            (
                name,
                spread(NUM_IMAGES / second for second in seconds),
                spread(NUM_IMAGES / second for second in cpu[name]),
                spread(faster[name]),
                spread(ratios(cpu["torchvision"], cpu[name])),
                spread(ratios(limit[name], seconds), scale=100) if limit[name] is not seconds else "",
            )
            for name, seconds in wall.items()
        ),
    )
    verdict(
        f"files at least {FILES_FASTER} ×, also finished on the CPU, and shards {SHARDS_FASTER} × as fast",
        kept=median(faster["files, finished on the CPU"]) >= FILES_FASTER
        and median(faster["files"]) >= FILES_FASTER
        and median(faster["shards"]) >= SHARDS_FASTER,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
