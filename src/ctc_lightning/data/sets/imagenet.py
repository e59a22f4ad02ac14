"""ImageNet: the 1000 classes of the ILSVRC 2012 challenge."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from timm.data import ImageNetInfo

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.folders import find_classes, list_class_folders
from ctc_lightning.data.image_set import ImageFiles

FOLDERS = {"train": "train", "test": "val"}
NUM_CLASSES = 1000


class ImageNet(Collection):
    """1000 classes, each a folder named by its WordNet ID: ``train/WNID/*.JPEG`` and ``val/WNID/*.JPEG``.

    A class is named by WordNet's first word for it and the ID, as "crane (n02012849)", which is a bird, and
    "crane (n03126707)", which is none.

    Source: Russakovsky et al., "ImageNet large scale visual recognition challenge", arXiv 1409.0575.
    """

    title = "ImageNet"
    counts: Mapping[str, int] = {"train": 1281167, "test": 50000}
    num_classes: Mapping[str, int] = {"class": NUM_CLASSES}
    folder = "imagenet"
    needs = ("train", "val")
    how_to_get = (
        "get the archives of ILSVRC 2012 from image-net.org, which asks for an account, and let "
        "torchvision.datasets.ImageNet unpack them into train/WNID/ and val/WNID/ in imagenet/ below the root"
    )
    notes = "Tests on the official validation images: the official test images have no public labels."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        wnids = find_classes(folder / "train")
        if len(wnids) == NUM_CLASSES and (strange := sorted(set(wnids) - set(wordnet_names()))):
            raise ValueError(
                f"{folder / 'train'} has {len(strange)} class folders that are none of ImageNet's, "
                f"{strange[0]} the first of them: name each class's folder by its WordNet ID."
            )
        return read_wnids(folder, split, wnids)

    def class_names(self, folders: Sequence[str]) -> tuple[str, ...]:
        """See `Collection.class_names`."""
        return named(folders)


def read_wnids(folder: Path, split: str, wnids: Sequence[str], *, only_those: bool = False) -> ImageFiles:
    """Some or all classes of ImageNet's folders.

    Args:
        folder: holds ``train`` and ``val``.
        split: "train" or "test".
        wnids: the classes, in the order of their labels.
        only_those: whether other class folders are passed over instead of refused.

    Raises:
        ValueError: see `list_class_folders`.
    """
    base = folder / FOLDERS[split]
    _, paths, label_N = list_class_folders(base, wnids, only_those=only_those)
    return ImageFiles.of(base, paths, {"class": label_N}, {"class": named(wnids)})


def named(wnids: Sequence[str]) -> tuple[str, ...]:
    """Each WordNet ID behind its word, such as "crane (n02012849)"; unknown ones as they are."""
    names = wordnet_names()
    return tuple(f"{names[wnid]} ({wnid})" if wnid in names else wnid for wnid in wnids)


def wordnet_names() -> dict[str, str]:
    """WordNet ID -> its first word, of the 1000 classes, sorted by ID; as timm lists them."""
    info = ImageNetInfo()
    return {
        wnid: info.index_to_description(label).split(",")[0] for label, wnid in enumerate(info.label_names())
    }
