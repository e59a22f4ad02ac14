"""What a table holds of a target already: rows of other settings, or of other images by the same name."""

import logging
from collections.abc import Mapping, Sequence

from ctc_lightning.evaluation.results import FAILED, SOURCE, ResultsTable, Row, is_current, name_of_images

log = logging.getLogger(__name__)


class EarlierRows:
    """Rows that were measured before.

    Args:
        table: that holds them.
    """

    def __init__(self, table: ResultsTable) -> None:
        self.table = table
        self._reported: set[tuple[str, str]] = set()

    def make_current(self, settings: Mapping[str, str], rows: Sequence[Row], epoch: int, target: str) -> None:
        """Move what was measured with these settings to the end of the table, if other rows supersede it.

        Args:
            settings: by the protocol's name.
            rows: all rows of the table.
            epoch: at which.
            target: its name.
        """
        wanted = {(epoch, name, target): digest for name, digest in settings.items()}
        superseded = [
            row
            for row, current in zip(rows, is_current(rows), strict=True)
            if not current and wanted.get(row.unit) == row.settings
        ]
        if superseded:
            self.table.put(superseded)

    def report(self, settings: Mapping[str, str], rows: Sequence[Row], target: str, images: str) -> None:
        """Log what is about to be superseded, once for each protocol and target.

        Args:
            settings: of what is to be measured, by the protocol's name.
            rows: all rows of the table.
            target: its name.
            images: digest of its images.
        """
        for row in rows:
            about = row.protocol, row.target
            known = row.target == target and row.metric != FAILED and row.protocol in settings
            if not known or about in self._reported or row.settings == settings[row.protocol]:
                continue
            self._reported.add(about)
            if target == SOURCE or row.images in (images, ""):
                log.info(
                    "%s on %s: there are numbers of other settings, weights or code; they stay in %s, and "
                    "tables and reports show the latest.",
                    *about,
                    self.table.path,
                )
            else:
                names = name_of_images(target, row.images), name_of_images(target, images)
                log.warning(
                    "%s on %s: there are numbers of other images; they stay in %s, tables call them %s and "
                    "the new ones %s. Set data.name=NAME to choose the name.",
                    *about,
                    self.table.path,
                    *names,
                )
