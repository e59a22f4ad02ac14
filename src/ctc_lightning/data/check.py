"""Goes over every file of an image set in parallel, as `data.check=full` and ``prepare`` do."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from torch.utils.data import Dataset
from tqdm import tqdm

from ctc_lightning.data.decode import (
    MAX_PIXELS,
    UnreadableImage,
    conversion_error,
    decode_bytes,
    has_16_bits,
    is_upright,
    open_image,
    printable,
    read,
)
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.workers import WorkerLoader

log = logging.getLogger(__name__)

Result = TypeVar("Result")
FILES_A_TASK = 16
SHOWN = 3


def decode_all(
    files: ImageFiles,
    num_workers: int,
    what: str,
    max_pixels: int | None = MAX_PIXELS,
    *,
    skip: bool = False,
) -> Counter[str]:
    """Decode every image once, with a progress bar.

    Args:
        files: any number.
        num_workers: processes; 0 works in this one.
        what: what errors, log and progress bar call the set, "the training images".
        max_pixels: the most that an image may have; None: any number.
        skip: only warn of unreadable files, if any other is readable.

    Returns:
        How many files there are of each kind that `decode_bytes` has to convert; one file may be of several.

    Raises:
        ValueError: any are unreadable, all of them with ``skip``; says how many, and of the first three why.
    """
    kinds: Counter[str] = Counter()
    problems = []
    for found in over_files(files, partial(kinds_of, max_pixels=max_pixels), num_workers, what):
        if isinstance(found, UnreadableImage):
            problems.append(found)
        else:
            kinds.update(found)
    if problems:
        none_left = len(problems) == len(files)
        remedy = None if none_left else "set data.on_error=skip"
        text = unreadable(problems, len(files), what, None if skip else remedy)
        if none_left or not skip:
            raise ValueError(text)
        log.warning("%s", text)
        return kinds
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "none to convert"
    log.info("Decoded all %d of %s: %s.", len(files), what, counted)
    return kinds


def unreadable(problems: Sequence[UnreadableImage], num_files: int, what: str, skip: str | None) -> str:
    """One sentence about unreadable files, of which it shows three; ``skip`` is how to pass them over.

    None where that is no remedy, as when all files are unreadable.
    """
    shown = "; ".join(str(problem).rstrip(".") for problem in problems[:SHOWN])
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return (
        f"{len(problems)} of {num_files} files of {what} are unreadable ({shown}{more}): "
        f"repair or remove them{f', or {skip}' if skip else ''}."
    )


def over_files(
    files: ImageFiles, work: Callable[[Path], Result], num_workers: int, what: str
) -> Iterator[Result | UnreadableImage]:
    """What ``work`` returns for each file, in the order of the files; its `UnreadableImage` is yielded too.

    Args:
        files: any number.
        work: runs in the workers, hence a function of a module.
        num_workers: processes; 0 works in this one.
        what: heads the progress bar, which counts files.
    """
    loader = WorkerLoader(
        _Each(files, work), batch_size=FILES_A_TASK, num_workers=num_workers, collate_fn=_as_list
    )
    with tqdm(total=len(files), desc=what, unit=" files") as progress:
        for results in loader:
            progress.update(len(results))
            yield from results


def kinds_of(path: Path, max_pixels: int | None) -> list[str]:
    """Decode one file; what about it had to be converted.

    Raises:
        UnreadableImage: as `decode`.
    """
    data = read(path)
    decode_bytes(data, printable(path), max_pixels=max_pixels)
    image = open_image(data, printable(path), max_pixels)
    mode = image.mode
    kinds = {
        "grey": mode in {"1", "L", "LA"} or has_16_bits(image),
        "16-bit": has_16_bits(image),
        "CMYK": mode == "CMYK",
        "palette": mode in {"P", "PA"},
        "with alpha": mode in {"LA", "PA", "RGBA"} or "transparency" in image.info,
        "rotated by Exif": not is_upright(image),
    }
    return [kind for kind, is_one in kinds.items() if is_one]


class _Each(Dataset[Any]):
    """The results of ``work`` on every file."""

    def __init__(self, files: ImageFiles, work: Callable[[Path], Any]) -> None:
        self.files, self.work = files, work

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Any:
        try:
            return self.work(self.files.path(row))
        except UnreadableImage as problem:
            return problem
        except Exception as problem:  # noqa: BLE001  # as lack of memory: of one file, which is named
            return conversion_error(self.files.path(row), problem)


def _as_list(results: list[Any]) -> list[Any]:
    return results
