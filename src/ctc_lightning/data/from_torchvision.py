"""What the data sets that torchvision reads have in common: verified files, checked labels, downloads."""

# N images, C channels, H rows, W columns

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.image_set import ImageSet

_NOT_WHOLE = (RuntimeError, ValueError, TypeError, KeyError, AssertionError)
"""What torchvision raises for files that are missing, have another checksum or are cut short."""


class TorchvisionCollection(Collection):
    """A data set that a class of ``torchvision.datasets`` downloads, verifies by md5 and reads.

    The folder of `read` and `download` is torchvision's ``root``. Nothing is unpickled before torchvision
    has compared the file's md5 with the published one.

    Attributes:
        source: that class.
        parts: what torchvision calls the splits that `download` fetches.
        place: path below the folder of what torchvision reads, ``{part}`` standing for the part.
    """

    downloads = True
    source: ClassVar[type]
    parts: tuple[str, ...] = ("train", "test")
    place: str

    def options(self, part: str) -> dict[str, Any]:
        """What ``source`` reads this part by."""
        return {"train": part == "train"}

    @abstractmethod
    def convert(self, data: Any) -> ImageSet:
        """What ``source`` has read, as images, labels from 0 and class names."""

    def read(self, folder: Path, split: str) -> ImageSet:
        """One official split: (N, C, H, W) uint8, labels (N,) int64.

        Raises:
            ValueError: files that are missing or corrupted; images of another size, labels or class names
                that are not those of the data set.
        """
        assert split in self.counts
        return self.read_part(folder, split)

    def read_part(self, folder: Path, part: str) -> ImageSet:
        """As `read`, of what torchvision calls a split."""
        if missing := self.missing(folder):
            raise ValueError(f"{self.title} in {folder} lacks {', '.join(missing)}: {self.how_to_get}.")
        try:
            images = self.convert(self.source(folder, **self.options(part)))
        except _NOT_WHOLE as error:
            raise ValueError(self._corrupted(folder, part, "the files are not the published ones")) from error
        if problem := self._problem(images):
            raise ValueError(self._corrupted(folder, part, problem))
        return images

    def download(self, folder: Path) -> None:
        """Fetch every part into ``folder``; what is there and verified is not fetched again.

        Raises:
            ValueError: no connection, or a file that arrived corrupted.
        """
        for part in self.parts:
            try:
                self.source(folder, **self.options(part), download=True)
            except (OSError, *_NOT_WHOLE) as error:
                reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
                raise ValueError(
                    f"{self.title} could not be downloaded into {folder} ({reason}): check the connection "
                    f"and the free space, delete {folder / self.place.format(part=part)}, and try again."
                ) from error

    def _corrupted(self, folder: Path, part: str, problem: str) -> str:
        place = folder / self.place.format(part=part)
        return f"{self.title} is corrupted, {problem}: delete {place} and {self.how_to_get}."

    def _problem(self, images: ImageSet) -> str | None:
        """What is wrong with images whose files torchvision did not refuse; None if nothing is."""
        size = (self.channels, self.image_size, self.image_size)
        if images.image.shape[1:] != size:
            return f"images are {tuple(images.image.shape[1:])} instead of {size}"
        for name, num_classes in self.num_classes.items():
            label_N, classes = images.labels[name], images.classes[name]
            if len(label_N) != len(images):
                return f"there are {len(label_N)} labels of {len(images)} images"
            assert num_classes is not None, "torchvision's data sets have known classes"
            if len(images) and not 0 <= label_N.min() <= label_N.max() < num_classes:
                return f"labels are {label_N.min()} to {label_N.max()} instead of 0 to {num_classes - 1}"
            if len(classes) != num_classes:
                return f"there are {len(classes)} class names instead of {num_classes}"
        return None
