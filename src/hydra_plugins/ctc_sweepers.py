"""Where Hydra finds our sweepers: it takes none that is defined elsewhere."""  # noqa: INP001  # a namespace

from ctc_lightning.sweep import grid, search


class GridSweeper(grid.GridSweeper):
    """See `ctc_lightning.sweep.grid`."""


class OptunaSweeper(search.OptunaSweeper):
    """See `ctc_lightning.sweep.search`."""
