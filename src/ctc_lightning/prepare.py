"""Shrink a folder of images once, into shards to stream from: ``python -m ctc_lightning.prepare IN OUT``.

The shards are litdata's: it is Lightning's own, and gives any image by its position without reading the
others, from a folder as from object storage. So the sampler of all other data modules stays in charge, and
with it the promise that order and augmentation follow from (seed, epoch, batch, rank), with any number of
workers. webdataset reads tar files front to back: the order would depend on its shuffle buffer and on the
number of workers, and exact epochs over several ranks on repeating images or leaving some out.
"""

# N images

import argparse
import hashlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import cpu_count
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms.v2.functional import InterpolationMode, resize

from ctc_lightning.checks import count, in_range
from ctc_lightning.cli.interrupt import plain_interrupt
from ctc_lightning.data.check import over_files, unreadable
from ctc_lightning.data.decode import (
    MAX_PIXELS,
    UnreadableImage,
    decode_bytes,
    is_upright,
    open_image,
    printable,
    read,
)
from ctc_lightning.data.duplicates import MOST, find_duplicates
from ctc_lightning.data.folders import list_class_folders
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.shards import ABSENT, FORMAT, IMAGES_A_SHARD, MANIFEST, litdata
from ctc_lightning.data.split_folders import find_splits
from ctc_lightning.files.atomic_write import atomic_folder

TITLE = "Shrink a folder of images once, into shards to stream from."
JPEGS = ("JPEG", "MPO")
ORDER_SEED = 0  # of the training images within the shards

log = logging.getLogger(__name__)


@plain_interrupt("nothing is written before all images are")
def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a folder; for bad input, one sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m ctc_lightning.prepare", description=TITLE)
    parser.add_argument(
        "source", type=Path, help="train/CLASS, val/CLASS, test/CLASS with images, or CLASS alone"
    )
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument(
        "--size", type=int, default=256, help="of the shorter side, never enlarged (default: 256)"
    )
    parser.add_argument("--quality", type=int, default=90, help="of the JPEGs, 1 to 100 (default: 90)")
    parser.add_argument("--workers", type=int, default=cpu_count(), help="default: the cores")
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        help="of an image; above, it is unreadable (default: %(default)s)",
    )
    parser.add_argument("--on-error", choices=("stop", "skip"), default="stop", help="at an unreadable image")
    options = parser.parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        text = prepare(
            options.source,
            options.output,
            size=options.size,
            quality=options.quality,
            num_workers=options.workers,
            max_pixels=options.max_pixels,
            skip=options.on_error == "skip",
        )
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    sys.stdout.write(text)
    return 0


def prepare(
    source: Path,
    output: Path,
    *,
    size: int,
    quality: int,
    num_workers: int,
    skip: bool,
    max_pixels: int = MAX_PIXELS,
) -> str:
    """Write shards of every split and, last, what is in them; return the text for a terminal.

    All is written beside ``output`` and takes that name when it is complete: a run that was killed leaves
    nothing under it, and the next one starts from the beginning. Training images lie in the shards in random
    order, so that a few shards at a time already mix all classes.

    Args:
        source: class folders in ``train``, ``val`` or ``test``; or class folders alone, which are "train".
        output: must not exist.
        size: >= 1, rows or columns, whichever are fewer; smaller images stay as they are.
        quality: 1 to 100.
        num_workers: >= 0 processes.
        skip: leave unreadable files out, and say so in the manifest, instead of failing.
        max_pixels: the most that an image may have, others are unreadable.

    Raises:
        ValueError: a value out of range, an output that exists, folders without classes or images, a class
            that the training images lack, unreadable files; litdata is not installed.
    """
    litdata()
    _check(output, size, quality, num_workers, max_pixels)
    listed = list_splits(source)
    classes = next(iter(listed.values())).classes["class"]
    work = partial(shrunk, size=size, quality=quality, max_pixels=max_pixels)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "size": size,
        "quality": quality,
        "images_a_shard": IMAGES_A_SHARD,
        "classes": classes,
        "splits": {},
    }
    with atomic_folder(output) as beside:
        for split, files in listed.items():
            manifest["splits"][split] = write_split(files, beside, split, work, num_workers, skip=skip)
        (beside / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return _summary(manifest, output)


def list_splits(source: Path) -> dict[str, ImageFiles]:
    """The images of ``train``, ``val`` and ``test``, or of class folders alone as "train"; none is opened.

    Raises:
        ValueError: see `prepare`.
    """
    if not source.is_dir():
        what = f"{source} is a file" if source.exists() else f"There is no folder {source}"
        raise ValueError(f"{what}: give the folder that holds the images.")
    folders = find_splits(source) or {"train": source}
    listed: dict[str, ImageFiles] = {}
    classes = None
    for split, folder in folders.items():
        classes, names, label_N = list_class_folders(folder, classes)
        listed[split] = ImageFiles.of(folder, names, {"class": label_N}, {"class": tuple(classes)})
    if sum(map(len, listed.values())) <= MOST and (text := find_duplicates(listed, "class")):
        log.warning("%s has %s", source, text)
    return listed


def write_split(
    files: ImageFiles,
    folder: Path,
    split: str,
    work: Callable[[Path], bytes],
    num_workers: int,
    *,
    skip: bool,
) -> dict[str, Any]:
    """Write one split's shards, and beside them labels and positions; return its entry of the manifest."""
    N = len(files)
    label_N = files.labels["class"].numpy()
    order_N = np.random.default_rng(ORDER_SEED).permutation(N) if split == "train" else np.arange(N)
    in_order = over_files(files.rows(torch.from_numpy(order_N)), work, num_workers, split)
    shards = litdata().streaming.Cache(input_dir=str(folder / split), chunk_size=IMAGES_A_SHARD)
    position_N = np.full(N, ABSENT)
    problems, position, num_bytes = [], 0, 0
    for index, data in zip(order_N.tolist(), in_order, strict=True):
        if isinstance(data, UnreadableImage):
            problems.append(data)
            continue
        # not a dict: where pyarrow is installed, litdata would write dicts twice, as rows too
        shards[position] = (data, int(label_N[index]), index)
        position_N[index] = position
        position += 1
        num_bytes += len(data)
    if problems and (not skip or position == 0):
        raise ValueError(unreadable(problems, N, split, "give --on-error skip" if position else None))
    shards.done()
    shards.merge()
    save_file({"label": label_N, "position": position_N}, folder / f"{split}.safetensors")
    return {
        "count": N,
        "unreadable": [printable(os.fsdecode(n)) for n in files.name[position_N == ABSENT]],
        "bytes": num_bytes,
        "listing": hashlib.sha256(b"\n".join(files.name.tolist())).hexdigest(),
    }


def shrunk(path: Path, size: int, quality: int, max_pixels: int = MAX_PIXELS) -> bytes:
    """One file as an upright RGB JPEG whose shorter side is at most ``size``; its own bytes if it is one.

    Raises:
        UnreadableImage: see `decode`.
    """
    data = read(path)
    image_CHW = decode_bytes(data, printable(path), max_pixels=max_pixels)
    shorter = min(image_CHW.shape[1:])
    if shorter > size:
        target = [max(size, round(n * size / shorter)) for n in image_CHW.shape[1:]]
        image_CHW = resize(image_CHW, target, InterpolationMode.BICUBIC, antialias=True)
    else:
        original = open_image(data, printable(path), max_pixels)
        if original.format in JPEGS and original.mode == "RGB" and is_upright(original):
            return data
    file = io.BytesIO()
    Image.fromarray(image_CHW.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _check(output: Path, size: Any, quality: Any, num_workers: Any, max_pixels: Any) -> None:
    if output.exists():
        raise ValueError(f"{output} exists, must be new: give another name, or remove it.")
    count("prepare", example=256, **{"--size": size})
    in_range("prepare", "[1, 100]", example=90, **{"--quality": quality})
    count("prepare", least=0, example=4, **{"--workers": num_workers})
    count("prepare", example=MAX_PIXELS, **{"--max-pixels": max_pixels})


def _summary(manifest: dict[str, Any], output: Path) -> str:
    lines = [
        f"{split}: {entry['count'] - len(entry['unreadable'])} of {entry['count']} images, "
        f"{entry['bytes'] / 1e6:.1f} MB"
        for split, entry in manifest["splits"].items()
    ]
    return "\n".join([*lines, f"{len(manifest['classes'])} classes, written to {output}"]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
