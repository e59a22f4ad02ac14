"""Tiny ImageNet: 64 x 64 images of 200 ImageNet classes."""

# N images

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.folders import list_class_folders
from ctc_lightning.data.image_set import ImageFiles

NUM_CLASSES = 200


class TinyImageNet(Collection):
    """100000 train images, and as test the 10000 of the official ``val``, label ``class``.

    Classes are WordNet ids (wnids), sorted. ``val`` may be as published, one folder and
    ``val_annotations.txt``, or rearranged into ``val/WNID/*.JPEG`` or ``val/WNID/images/*.JPEG``.

    Source: Le and Yang 2015, "Tiny ImageNet visual recognition challenge".
    """

    title = "Tiny ImageNet"
    counts: Mapping[str, int] = {"train": 100_000, "test": 10_000}
    num_classes: Mapping[str, int] = {"class": NUM_CLASSES}
    image_size = 64
    folder = "tiny_imagenet"
    needs = ("tiny-imagenet-200/wnids.txt", "tiny-imagenet-200/train", "tiny-imagenet-200/val")
    how_to_get = (
        "download tiny-imagenet-200.zip of Stanford's course CS231n and unpack it there, "
        "as tiny-imagenet-200 with wnids.txt, train and val"
    )
    notes = "Test is the official val: the official test has no labels."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """One split.

        Raises:
            ValueError: no 200 classes in ``wnids.txt``; annotations that are missing, name another class, or
                differ from the images that are there; see also `list_class_folders`.
        """
        root = folder / "tiny-imagenet-200" / {"train": "train", "test": "val"}[split]
        classes = _classes(root.parent / "wnids.txt")
        if split == "test" and not all((root / wnid).is_dir() for wnid in classes):
            paths, label_N = _annotated(root, classes)
        else:
            # A rearranged val may still have its empty folder of images
            _, paths, label_N = list_class_folders(root, classes, only_those=split == "test")
        return ImageFiles.of(root, paths, {"class": label_N}, {"class": classes})


def _classes(path: Path) -> tuple[str, ...]:
    classes = tuple(sorted(set(path.read_text().split())))
    if len(classes) != NUM_CLASSES:
        raise ValueError(
            f"{path} names {len(classes)} classes, must be {NUM_CLASSES}: unpack tiny-imagenet-200.zip again."
        )
    return classes


def _annotated(root: Path, classes: tuple[str, ...]) -> tuple[list[str], Tensor]:
    """The images of ``root/images`` by class, then name, and their (N,) labels."""
    path = root / "val_annotations.txt"
    if not path.is_file():
        raise ValueError(
            f"{root} has neither val_annotations.txt nor a folder for each of the {len(classes)} classes: "
            "unpack tiny-imagenet-200.zip again."
        )
    # Each line: file, wnid and a bounding box, separated by tabs
    fields = [f"{line}\t".split("\t") for line in path.read_text().splitlines() if line]
    wnid_of = {name: wnid for name, wnid, *_ in fields}
    label_of = {wnid: label for label, wnid in enumerate(classes)}
    if unknown := sorted(set(wnid_of.values()) - set(classes)):
        raise ValueError(
            f"{path} names the class {unknown[0]!r}, which wnids.txt lacks: "
            "unpack tiny-imagenet-200.zip again."
        )
    there = {image.name for image in (root / "images").glob("[!.]*.JPEG")}
    if differing := sorted(there ^ set(wnid_of)):
        raise ValueError(
            f"{root / 'images'} and {path.name} differ in {len(differing)} images, {differing[0]} is one: "
            "unpack tiny-imagenet-200.zip again."
        )
    names = sorted(wnid_of, key=lambda name: (wnid_of[name], name))
    return [f"images/{name}" for name in names], torch.tensor([label_of[wnid_of[name]] for name in names])
