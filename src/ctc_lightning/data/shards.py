"""Shards of shrunk JPEGs: what ``prepare`` writes, and how the images in them are read one by one."""

# N images

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from errno import ENOENT
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor

from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.files.locks import locked

MANIFEST = "prepared.json"
FORMAT = 2  # of a sample: (JPEG, label, row of the files)
IMAGES_A_SHARD = 2048  # about 50 MB at 256 pixels
OPEN_SHARDS = 64  # that each process maps into its memory
ABSENT = -1  # the position of an image that could not be read when the shards were made


def litdata() -> ModuleType:
    """The engine of the shards, which training from them and making them need, and nothing else.

    Raises:
        ValueError: it is not installed.
    """
    try:
        engine = import_module("litdata")
        import_module("litdata.streaming.downloader")
    except ImportError as problem:
        raise ValueError(
            "litdata is not installed, which reads and writes shards: pip install 'ctc-lightning[stream]'."
        ) from problem
    return engine


@dataclass(frozen=True, eq=False, kw_only=True)
class ShardFiles(ImageFiles):
    """N images that lie in shards, to be read as if each were a file.

    Attributes:
        url: the folder or object storage that ``prepare``'s output is at, ``s3://BUCKET/FOLDER``.
        split: the shards' split.
        position: (N,) int64, each image's place in the shards, or `ABSENT`.
        images_a_shard: how many images lie in each shard but the last.
        cache_dir: where shards from object storage are kept.
    """

    url: str
    split: str
    position: NDArray[np.int64]
    images_a_shard: int
    cache_dir: str | None = None

    def __len__(self) -> int:
        return len(self.position)

    def path(self, row: int) -> "ShardImage":  # type: ignore[override]  # it reads and prints like a path
        """Where one image is."""
        return ShardImage(self.url, self.split, int(self.position[row]), self.cache_dir)

    def rows(self, row_N: Tensor) -> Self:
        """Some of the images."""
        labels = {k: y[row_N] for k, y in self.labels.items()}
        return replace(self, labels=labels, position=self.position[row_N.numpy()])

    @property
    def shard(self) -> NDArray[np.int64]:
        """(N,) int64, which shard each image is in."""
        return self.position // self.images_a_shard


class ShardImage(NamedTuple):
    """One image in a shard; reads and prints like a path.

    Attributes:
        url: see `ShardFiles`.
        split: likewise.
        position: likewise.
        cache_dir: likewise.
    """

    url: str
    split: str
    position: int
    cache_dir: str | None

    def __str__(self) -> str:
        return f"image {self.position} of the {self.split} shards in {self.url}"

    def read_bytes(self) -> bytes:
        """The JPEG.

        Raises:
            OSError: it was left out when the shards were made, or its shard is gone.
        """
        if self.position == ABSENT:
            raise FileNotFoundError(ENOENT, "it was unreadable when the shards were made")
        shards = _opened(f"{self.url}/{self.split}", self.cache_dir, os.getpid())
        return bytes(shards[self.position][0])


def read_manifest(url: str) -> dict[str, Any]:
    """What ``prepare`` says about its output.

    Raises:
        ValueError: it is not there, not complete, or of another version.
    """
    try:
        manifest = json.loads(fetch(url, MANIFEST))
    except (OSError, json.JSONDecodeError) as problem:
        raise ValueError(
            f"{url} holds no complete shards, as {MANIFEST} cannot be read there ({problem}): make them by "
            "python -m ctc_lightning.prepare IMAGES OUTPUT, and set data.root=OUTPUT."
        ) from problem
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{url} has shards of format {manifest.get('format')}, must be {FORMAT}: prepare them anew."
        )
    return manifest


def read_shards(
    url: str,
    split: str,
    images_a_shard: int,
    *,
    label: str = "class",
    classes: Sequence[str] = (),
    cache_dir: str | None = None,
) -> ShardFiles:
    """One split; no image is read.

    Args:
        url: see `ShardFiles`.
        split: one of the manifest's.
        images_a_shard: see `ShardFiles`.
        label: what to call the label.
        classes: the names of its classes, in order.
        cache_dir: see `ShardFiles`.
    """
    arrays = load(fetch(url, f"{split}.safetensors"))
    return ShardFiles(
        Path(),
        np.zeros(0, np.bytes_),
        {label: arrays["label"]},
        {label: tuple(classes)},
        url=url,
        split=split,
        position=arrays["position"].numpy(),
        images_a_shard=images_a_shard,
        cache_dir=cache_dir,
    )


def fetch(url: str, name: str) -> bytes:
    """The content of a small file beside the shards, from a folder or from object storage.

    Raises:
        OSError: it is not there, or the storage cannot be reached.
    """
    if not is_remote(url):
        return (Path(url) / name).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / name
        try:
            downloader = litdata().streaming.downloader.get_downloader(url, folder, [])
            downloader.download_file(f"{url}/{name}", str(copy))
        except Exception as problem:  # every storage's library has errors of its own
            raise OSError(f"{type(problem).__name__}: {problem}") from problem
        return copy.read_bytes()


def is_remote(url: str) -> bool:
    """Whether it is no folder; ``local:FOLDER`` is read like object storage, for tests."""
    return "://" in url or url.startswith("local:")


@lru_cache(maxsize=8)
def _opened(url: str, cache_dir: str | None, process: int) -> Any:  # noqa: ARG001  # part of the key
    """The shards of a split, opened once in every process: what its parent opened it must not use."""
    # litdata deletes a cache folder in which it finds nothing yet, that of a worker which has just made it.
    # The folder of temporary files is everybody's, a lock in it its maker's: hence a lock for each user.
    code = sha256(f"{Path.home()} {url}".encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f"ctc_lightning_{code}.lock"
    with locked(lock):
        shards = litdata().StreamingDataset(
            url, cache_dir=cache_dir, max_pre_download=OPEN_SHARDS, batch_decode=0
        )
        shards[0]  # opens them, which the next line requires
    shards.on_demand_bytes = False  # whole shards into the cache, not a request for every image
    return shards
