"""A digest of a data set's content, the same wherever it is stored: are these still the same images?"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from ctc_lightning.data.image_set import ImageFiles, Images, ImageSet
from ctc_lightning.data.shards import ShardFiles, read_manifest
from ctc_lightning.files.digests import digest_of, digest_of_tensors

READ = 64
"""Files of a split that are read; of the others the names count."""


def content_digest(splits: Mapping[str, Images]) -> str:
    """16 hexadecimal digits of the images and labels of all splits.

    Of images in memory all pixels count; of files the names below the split's folder and the bytes of up to
    `READ` files, evenly spaced; of shards what ``prepare`` recorded. The data set's own path never counts.
    """
    return digest_of(
        {split: [_content(images), digest_of_tensors(images.labels)] for split, images in splits.items()}
    )


def _content(images: Images) -> Any:
    if isinstance(images, ImageSet):
        return digest_of_tensors({"image": images.image})
    if isinstance(images, ShardFiles):
        entry = read_manifest(images.url)["splits"][images.split]
        return [entry, digest_of_tensors({"position": torch.from_numpy(images.position)})]
    return _content_of_files(images)


def _content_of_files(files: ImageFiles) -> str:
    digest = hashlib.blake2b(b"\0".join(files.name.tolist()), digest_size=8)
    for row in torch.linspace(0, len(files) - 1, min(READ, len(files))).long().unique().tolist():
        with suppress(OSError):  # what is unreadable stops training, or is replaced
            digest.update(hashlib.blake2b(files.path(row).read_bytes()).digest())
    return digest.hexdigest()
