"""Images whose encoded bytes lie in a column of a table, read as if each were a file."""

from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import Any, NamedTuple

from ctc_lightning.data.image_set import ImageFiles


@dataclass(frozen=True, eq=False, kw_only=True)
class TableFiles(ImageFiles):
    """N images in rows of a table; ``name`` holds the numbers of the rows.

    Attributes:
        table: ``table[row][column]`` has ``bytes``, or else the ``path`` of a file.
        column: of the images.
        source: what messages call the table.
    """

    table: Any
    column: str
    source: str

    def path(self, row: int) -> "TableImage":  # type: ignore[override]  # it reads and prints like a path
        """Where one image is."""
        return TableImage(self.table, self.column, int(self.name[row]), self.source)


class TableImage(NamedTuple):
    """One image of a table; reads and prints like a path.

    Attributes:
        table: see `TableFiles`.
        column: likewise.
        row: of the table.
        source: see `TableFiles`.
    """

    table: Any
    column: str
    row: int
    source: str

    def __str__(self) -> str:
        return f"image {self.row} of {self.source}"

    def read_bytes(self) -> bytes:
        """The encoded image.

        Raises:
            OSError: the row has none, or its file is gone.
        """
        found = self.table[self.row][self.column] or {}
        if found.get("bytes") is not None:
            return found["bytes"]
        if found.get("path") is None:
            raise FileNotFoundError(ENOENT, "the row is empty")
        return Path(found["path"]).read_bytes()
