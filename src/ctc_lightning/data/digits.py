"""Digits: real scans, trained on parity and probed for the digit itself."""

from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ctc_lightning.checks import count
from ctc_lightning.data.image_set import ImageSet
from ctc_lightning.data.in_memory import InMemoryDataModule

NUM_SCANS = 1797
NUM_DIGITS = 10


class Digits(InMemoryDataModule):
    """The 1797 handwritten digits that scikit-learn ships, 1 x 8 x 8, levels 0..16 scaled to 0..255.

    Source label: parity. Target: ``digit``. The splits are disjoint and stratified by digit.

    Args:
        name: what results call this data set.
        num_train: training images.
        num_val: validation images.
        num_test: test images; the test split does not depend on the other two sizes.
        split_seed: >= 0, draws the splits.
        source_label: the label to train on, ``source`` or ``digit``.
        **loading: batch sizes, augmentation and seed of `InMemoryDataModule`.

    Raises:
        ValueError: more images asked for than there are, or fewer than one per digit in a split; a
            negative seed; see `InMemoryDataModule`.

    Source: ``sklearn.datasets.load_digits``, the test part of the UCI set "Optical Recognition of Handwritten
    Digits".
    """

    source_labels = ("source", "digit")
    targets = MappingProxyType({"digit": "source"})

    def __init__(
        self,
        *,
        name: str = "digits",
        num_train: int = 900,
        num_val: int = 297,
        num_test: int = 600,
        split_seed: int = 0,
        source_label: str = "source",
        **loading: Any,
    ) -> None:
        super().__init__(name=name, num_train=num_train, source_label=source_label, **loading)
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}
        # every digit needs an image
        count("data=digits", least=NUM_DIGITS, num_train=num_train, num_val=num_val, num_test=num_test)
        if sum(self.sizes.values()) > NUM_SCANS:
            raise ValueError(
                f"num_train + num_val + num_test is {sum(self.sizes.values())}, must be at most "
                f"the {NUM_SCANS} scans: lower one of them."
            )
        count("data=digits", least=0, example=0, split_seed=split_seed)
        self.split_seed = split_seed

    def make(self) -> dict[str, dict[str, ImageSet]]:
        """Read the scans and split them."""
        scans = load_digits()
        image_NCHW = torch.from_numpy(np.rint(scans.images * 255 / 16).astype(np.uint8))[:, None]
        digit_N = torch.from_numpy(scans.target)
        labels = {"source": digit_N % 2, "digit": digit_N}

        def split(row_N: np.ndarray, **sizes: int) -> list[np.ndarray]:
            return train_test_split(
                row_N, **sizes, stratify=scans.target[row_N], random_state=self.split_seed
            )

        rest_N, test_N = split(np.arange(NUM_SCANS), test_size=self.sizes["test"])
        train_N, val_N = split(rest_N, train_size=self.sizes["train"], test_size=self.sizes["val"])
        rows = {"train": train_N, "val": val_N, "test": test_N}
        return {
            "source": {
                name: ImageSet(image_NCHW[row_N], {label: y_N[row_N] for label, y_N in labels.items()})
                for name, row_N in rows.items()
            }
        }
