"""ImageNet-100: ImageNet, but only the classes that a list names."""

from collections.abc import Mapping
from pathlib import Path

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.sets.imagenet import FOLDERS, ImageNet, read_wnids, wordnet_names


class ImageNet100(Collection):
    """A hundred classes of ImageNet, or as many as the list has; labels are in the order of the WordNet IDs.

    Several lists of a hundred classes are in use, and accuracies on them cannot be compared: say which one
    yours is.

    Args:
        class_list: a text file with a WordNet ID in every line, which words may follow; empty lines and those
            that begin with # are passed over. None: the table of data sets can name it, nobody can read it.

    Raises:
        ValueError: no such file, fewer than two IDs in it, one twice, one that is no class of ImageNet.
    """

    title = "ImageNet-100"
    counts: Mapping[str, int] = {}
    num_classes: Mapping[str, int | None] = {"class": None}
    folder = ImageNet.folder
    needs = ImageNet.needs
    how_to_get = ImageNet.how_to_get
    notes = "The classes of data.collection.class_list."

    def __init__(self, class_list: str | Path | None = None) -> None:
        self.wnids: list[str] = []
        if class_list is None:
            return
        self.wnids = _read_list(Path(class_list).expanduser())
        self.num_classes = {"class": len(self.wnids)}
        self.notes = f"The {len(self.wnids)} classes of {Path(class_list).name}; {ImageNet.notes}"

    def choices(self) -> dict[str, str]:
        """The classes, whatever their list is called."""
        return {"wnids": " ".join(self.wnids)}

    def available(self, folder: Path) -> tuple[str, ...]:
        """See `Collection.available`."""
        return tuple(FOLDERS)

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        if not self.wnids:
            raise ValueError(
                "ImageNet-100 has no list of classes: set data.collection.class_list to a text file with one "
                "WordNet ID a line."
            )
        return read_wnids(folder, split, self.wnids, only_those=True)


def _read_list(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(
            f"There is no class list {path}: set data.collection.class_list to a text file with one WordNet "
            "ID a line, such as n01440764."
        )
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    wnids = [words[0] for words in lines if words and not words[0].startswith("#")]
    if len(wnids) < 2:
        raise ValueError(
            f"{path} names {len(wnids)} class(es), must name at least 2: add WordNet IDs, one a line."
        )
    if twice := sorted({wnid for wnid in wnids if wnids.count(wnid) > 1}):
        raise ValueError(f"{path} names {twice[0]} twice ({len(twice)} such ID(s)): remove the repetition.")
    if unknown := sorted(set(wnids) - set(wordnet_names())):
        raise ValueError(
            f"{path} names {unknown[0]}, which is no class of ImageNet ({len(unknown)} such line(s)): begin "
            "every line with a WordNet ID, such as n01440764."
        )
    return sorted(wnids)
