"""Your own images: a folder for each class, and above them one for each split if you have made some."""

from collections.abc import Mapping
from pathlib import Path

from ctc_lightning.checks import in_range
from ctc_lightning.data.collection import Collection
from ctc_lightning.data.folders import find_classes, list_class_folders
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.split_folders import find_splits
from ctc_lightning.data.splits_on_disk import split_whole


class ImageFolder(Collection):
    """Images in class folders, in one of two layouts.

    ``train/CLASS/IMAGE``, with ``val`` and ``test`` likewise where there are such, which must have the
    classes of ``train``: these are the splits, and the share below is not used. Other usual names are
    recognised (`find_splits`); a test folder without classes is left out.

    ``CLASS/IMAGE``: test images are held out, a share of every class that `hold_out` chooses.

    Args:
        test_share: in [0, 1), of all images; 0 for no test split.
        split_seed: of what is held out.

    Raises:
        ValueError: a share out of range.
    """

    title = "Images in folders"
    counts: Mapping[str, int] = {}
    num_classes: Mapping[str, int | None] = {"class": None}
    folder = "."
    needs = (".",)
    how_to_get = "put your images into train/CLASS/, val/CLASS/ and test/CLASS/, or into CLASS/ alone"
    notes = "Splits are the folders train, val and test, or chosen by hash from one folder of class folders."

    def __init__(self, test_share: float = 0.2, split_seed: int = 0) -> None:
        in_range("data.collection", "[0, 1)", example=0.2, test_share=test_share)
        self.test_share = test_share
        self.split_seed = split_seed
        self._folders: tuple[Path, dict[str, Path]] | None = None
        self._split: tuple[Path, dict[str, ImageFiles]] | None = None

    def available(self, folder: Path) -> tuple[str, ...]:
        """See `Collection.available`."""
        return tuple(self._find_splits(folder) or self._split_whole(folder))

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        folders = self._find_splits(folder)
        if not folders:
            return self._split_whole(folder)[split]
        classes = find_classes(folders["train"], least=2)
        _, paths, label_N = list_class_folders(folders[split], classes)
        return ImageFiles.of(folders[split], paths, {"class": label_N}, {"class": tuple(classes)})

    def _find_splits(self, folder: Path) -> dict[str, Path]:
        """As `find_splits`, which warns, once."""
        if self._folders is None or self._folders[0] != folder:
            self._folders = folder, find_splits(folder)
        return self._folders[1]

    def _split_whole(self, folder: Path) -> dict[str, ImageFiles]:
        """The splits of one folder of class folders, which is read once for all of them."""
        if self._split is None or self._split[0] != folder:
            classes, paths, label_N = list_class_folders(folder)
            files = ImageFiles.of(folder, paths, {"class": label_N}, {"class": tuple(classes)})
            self._split = folder, split_whole(files, self.test_share, self.split_seed)
        return self._split[1]
