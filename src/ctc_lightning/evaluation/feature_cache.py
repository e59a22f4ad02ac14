"""Frozen features on disk: a target costs one forward pass of each checkpoint, once.

N: images, F: features
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ctc_lightning.data.image_set import Images, ImageSet
from ctc_lightning.data.shards import ShardFiles, is_remote
from ctc_lightning.files.atomic_write import WriteError, atomic_file
from ctc_lightning.files.digests import digest_of, digest_of_tensors

Extracted = tuple[Tensor, Tensor]
"""(N, F) float32 features and (N,) int64 rows, as `extract_features` returns them."""

log = logging.getLogger(__name__)


class FeatureCache:
    """One safetensors file for each (network, images, transform), named by the digest of all three.

    A readable name may precede the digest; it makes no difference to what is found.

    A file that is not whole counts as missing. Processes may share the folder. Where it cannot be written to,
    a warning says so and evaluation continues.

    Args:
        folder: where; None: nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, key: Mapping[str, Any], extract: Callable[[], Extracted], name: str = "") -> Extracted:
        """What is kept under ``key`` (plain values); else ``extract()``, which is then kept. On the CPU.

        Args:
            key: all that the features depend on.
            extract: computes them.
            name: of the images, for people.
        """
        if self.folder is None:
            return _on_cpu(extract())
        file = f"{digest_of(key)}.safetensors"
        path = self.folder / (re.sub(r"[^\w.-]+", "_", f"{name}-") + file if name else file)
        for there in (path, *self.folder.glob(f"*{file}")):
            try:
                kept = load_file(there)
                return kept["features"], kept["index"]
            except (OSError, SafetensorError, KeyError):
                continue
        features, index = _on_cpu(extract())
        try:
            with atomic_file(path) as beside:
                save_file({"features": features, "index": index}, beside, {"key": json.dumps(dict(key))})
        except WriteError as error:
            log.warning("Features are not kept, so the next evaluation computes them again: %s", error)
        return features, index


def _on_cpu(extracted: Extracted) -> Extracted:
    features, index = extracted
    return features.float().cpu().contiguous(), index.cpu().contiguous()


def digest_of_images(images: Images, *, with_place: bool = True) -> str:
    """16 hexadecimal digits: of the pixels in memory; of files, where they are and what they are called.

    Of images in shards: where the shards are, which split, and each image's place in it. A file whose pixels
    change under the same name is not noticed.

    Args:
        images: one split.
        with_place: whether the folder of the files counts.
    """
    if isinstance(images, ImageSet):
        return digest_of_tensors({"image": images.image})
    if isinstance(images, ShardFiles):
        url = images.url if is_remote(images.url) else str(Path(images.url).resolve())
        return digest_of(
            [
                url if with_place else "",
                images.split,
                digest_of_tensors({"at": torch.from_numpy(images.position)}),
            ]
        )
    place = images.root.resolve() if with_place else ""
    digest = hashlib.blake2b(f"{place} {images.name.dtype};".encode(), digest_size=8)
    digest.update(images.name.tobytes())
    return digest.hexdigest()
