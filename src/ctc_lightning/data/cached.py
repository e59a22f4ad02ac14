"""The data module of a collection that fits in memory: decoded once, then a memory-mapped file."""

# N images, C channels, S rows and columns

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_only
from tqdm import tqdm

from ctc_lightning.data.cache import ImageCache, fingerprint, open_pixels
from ctc_lightning.data.check import over_files, unreadable
from ctc_lightning.data.decode import UnreadableImage, decode
from ctc_lightning.data.file_batches import Fit
from ctc_lightning.data.from_collection import CollectionDataModule
from ctc_lightning.data.image_set import ImageFiles, Images, ImageSet
from ctc_lightning.data.in_memory import InMemoryDataModule
from ctc_lightning.data.splits_on_disk import readable
from ctc_lightning.files.atomic_write import reserve

log = logging.getLogger(__name__)

_BATCH = 64


class CachedDataModule(CollectionDataModule, InMemoryDataModule):
    """Decodes a collection to uint8 once, at one size, and trains from memory.

    The first use takes as long as decoding does; later ones, and the other processes of a machine, map the
    same file. Whatever the pixels depend on (the files, size, splits) is in the cache's name, so nothing is
    ever stale.

    Args:
        **options: of `CollectionDataModule`; an ``image_size`` other than the files' own resizes the shorter
            side and takes the central square.

    Raises:
        ValueError: as `CollectionDataModule`; no ``image_size`` for images of different sizes; an image that
            cannot be read.
    """

    def make(self) -> Mapping[str, Mapping[str, ImageSet]]:
        """Map the cache, built first if need be."""
        folder = self.folder().resolve()
        size = self.image_size or self.collection.image_size
        if size is None:
            raise ValueError(
                f"data={self.name}: its images have different sizes; set data.image_size, for example 64."
            )
        with readable(self.name):
            files = fingerprint(folder, but=self.cache_dir.resolve())
        key = {
            "collection": [type(self.collection).__qualname__, _plain(vars(self.collection))],
            "folder": str(folder),
            "files": files,
            "size": size,
            "interpolation": self.interpolation,
            "held_out": [self.val_share, self.split_seed],
            "sizes": self.sizes,
            "on_error": self.on_error,
            "check_counts": self.check_counts,
            "max_pixels": self.max_pixels,
        }
        cache = ImageCache(self.cache_dir, self.name, key)
        image_sets = cache.load(lambda beside: self._build(beside, size))
        notes = cache.info["notes"]
        self.digest = notes["digest"]
        if notes["duplicates"]:
            log.warning("data=%s has %s", self.name, notes["duplicates"])
        if replaced := notes["replaced"]:
            log.warning("data=%s: %d unreadable images are replaced by others.", self.name, replaced)
            self._count(replaced)
        return {"source": image_sets}

    @rank_zero_only
    def _count(self, replaced: int) -> None:
        """Every rank has the same images: the first one counts them."""
        self.num_replaced = replaced

    def _build(self, beside: Path, size: int) -> tuple[dict[str, ImageSet], dict[str, Any]]:
        built: dict[str, ImageSet] = {}
        self._replaced = 0
        done: dict[int, str] = {}
        splits = self.splits()
        for split, images in splits.items():
            twin = done.setdefault(id(images), split)
            built[split] = (
                built[twin] if twin != split else self._decode(images, beside / f"{split}.npy", size)
            )
        notes = {"replaced": self._replaced, "duplicates": self.find_duplicates(splits)}
        return built, {**notes, "digest": self.digest}

    def _decode(self, images: Images, path: Path, size: int) -> ImageSet:
        """All images of a split at one size, files through worker processes."""
        fit = Fit(size, interpolation=self.interpolation)
        if isinstance(images, ImageSet):
            if images.image.shape[2:] == (size, size):
                return images
            resized = [
                fit(part) for part in tqdm(images.image.split(_BATCH), f"{self.name}, {path.stem}", delay=2)
            ]
            return ImageSet(torch.cat(resized), images.labels, images.classes)
        return self._decode_files(images, path, fit)

    def _decode_files(self, files: ImageFiles, path: Path, fit: Fit) -> ImageSet:
        what = f"{self.name}, {path.stem}"
        channels = self.collection.channels
        pixel_NSSC = np.lib.format.open_memmap(
            path, "w+", np.uint8, (len(files), fit.size, fit.size, channels)
        )
        reserve(path)
        work = partial(decode_fitted, fit=fit, channels=channels, max_pixels=self.max_pixels)
        problems = {}
        for row, found in enumerate(over_files(files, work, self.num_workers, what)):
            if isinstance(found, UnreadableImage):
                problems[row] = found
            else:
                pixel_NSSC[row] = found
        if problems and (self.on_error == "stop" or len(problems) == len(files)):
            skip = None if len(problems) == len(files) else "set data.on_error=skip"
            raise ValueError(unreadable(list(problems.values()), len(files), what, skip))
        source_N = torch.arange(len(files))
        for row in problems:  # the next readable image stands in, with its own labels
            source_N[row] = next(
                other for other in (*range(row, len(files)), *range(row)) if other not in problems
            )
            pixel_NSSC[row] = pixel_NSSC[int(source_N[row])]
        self._replaced += len(problems)
        pixel_NSSC.flush()
        read = files.rows(source_N)
        return ImageSet(open_pixels(path), read.labels, read.classes)


def decode_fitted(path: Path, fit: Fit, channels: int, max_pixels: int | None) -> NDArray[np.uint8]:
    """(S, S, C) of one file, in a worker.

    Raises:
        UnreadableImage: as `decode`.
    """
    return fit(decode(path, channels, max_pixels)).permute(1, 2, 0).numpy()


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """A collection's own choices, as JSON has them; what begins with an underscore is no choice."""
    return {
        name: value if isinstance(value, int | float | str | bool | None) else str(value)
        for name, value in sorted(values.items())
        if not name.startswith("_")
    }
