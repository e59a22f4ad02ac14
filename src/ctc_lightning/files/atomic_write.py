"""Write files and folders whole or not at all; report a full or broken disk in one line."""

import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

_MAKE_ROOM = "make room there"
_ELSEWHERE = "change its permissions or choose another folder"
_OF_THE_DISK = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EROFS: "choose a folder that can be written to",
    errno.EIO: "check the disk",
}
_OF_THE_PATH = {
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.ENOTDIR: "a part of that path is a file; choose another folder",
    errno.EEXIST: "a part of that path is a file; choose another folder",
    errno.EISDIR: "it is a folder; remove it or choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}
# torch, numpy and safetensors replace the system's error by one of their own
_FOREIGN = re.compile(r"unexpected pos|PytorchStreamWriter|requested and \d+ written|\bos error (\d+)")

RERUN, RESUME = "rerun the same command", "rerun with resume=auto"


class WriteError(OSError):
    """One line: which path cannot be written, why, what is left there and what to do."""

    @classmethod
    def of(cls, error: Exception, path: Path, then: str, kept: str = "") -> "WriteError | None":
        """Recognise what the system, or a library in its place, says when ``path`` cannot be written.

        Args:
            error: any exception.
            path: a file or a folder.
            then: see `atomic_file`.
            kept: what is left there.
        """
        number = _number(error, path.parent)
        if number is None:
            return None
        reason = os.strerror(number) if number else " ".join(str(error).split()).partition(". ")[0]
        remedy = {**_OF_THE_DISK, **_OF_THE_PATH}.get(number, f"{_MAKE_ROOM} or check the disk")
        return cls(
            f"{path} cannot be written ({reason}, {_free(path) / 1e6:.0f} MB free){kept}: {remedy}, "
            f"then {then}."
        )


@contextmanager
def atomic_file(path: Path, then: str = RERUN) -> Iterator[Path]:
    """Yield a file beside ``path`` that is synced to disk and renamed to ``path`` when the block ends.

    A kill, an exception or a power cut leaves the previous version. Several processes may write the same
    path: the last one wins.

    Args:
        path: its folder is created.
        then: what to do once that is mended, for the error.

    Raises:
        WriteError: the system refuses to write.
    """
    with _beside(path, then) as beside:
        yield beside
        _sync(beside)
        beside.replace(path)
        _sync(path.parent)


@contextmanager
def atomic_folder(path: Path, then: str = RERUN) -> Iterator[Path]:
    """As `atomic_file`, for an empty folder to fill.

    If ``path`` exists, its files of the same names are replaced one by one and the others stay.
    """
    with _beside(path, then) as beside:
        beside.mkdir()
        yield beside
        for place in [*beside.rglob("*"), beside]:
            _sync(place)
        if path.is_dir():
            for file in sorted(beside.iterdir()):
                file.replace(path / file.name)
        else:
            beside.replace(path)
        _sync(path.parent)


def write_text(path: Path, text: str, then: str = RERUN) -> None:
    """Write UTF-8 text through `atomic_file`."""
    with atomic_file(path, then) as beside:
        beside.write_text(text, encoding="utf-8")


def append(path: Path, content: bytes, then: str = RERUN) -> None:
    """Add bytes at the end of a file and sync it; a kill may leave a part of them.

    Raises:
        WriteError: the system refuses to write; the file is as long as before.
    """
    with write_errors(path, then), path.open("ab", buffering=0) as file:
        size, left = file.tell(), memoryview(content)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            os.ftruncate(file.fileno(), size)
            raise
        os.fsync(file.fileno())


def reserve(path: Path) -> None:
    """Allocate the blocks of a sparse file: writing to its memory map on a full disk kills with SIGBUS.

    Raises:
        OSError: there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


@contextmanager
def write_errors(path: Path, then: str = RERUN) -> Iterator[None]:
    """Raise what keeps the block from writing to ``path`` as a `WriteError`; other exceptions pass.

    Args:
        path: a file or a folder.
        then: as `atomic_file`.
    """
    existed = os.path.lexists(path)
    try:
        yield
    except WriteError:
        raise
    except Exception as error:
        kept = "; the previous version is intact" if existed else "; nothing is left there"
        found = WriteError.of(error, path, then, kept)
        if found is None:
            raise
        raise found from error


def _number(error: Exception, folder: Path) -> int | None:
    """The system's number of a failure to write in a folder, 0 where a library hides it; else None."""
    if isinstance(error, OSError) and error.errno is not None:
        named = None if error.filename is None else Path(os.fsdecode(error.filename)).absolute()
        here = named is not None and named.is_relative_to(folder.absolute())
        return error.errno if error.errno in _OF_THE_DISK or (here and error.errno in _OF_THE_PATH) else None
    match = _FOREIGN.search(str(error))
    return int(match[1] or 0) if match else None


def _free(path: Path) -> int:
    """Bytes on the disk of a path that may not exist."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


@contextmanager
def _beside(path: Path, then: str) -> Iterator[Path]:
    """A free path in the same folder, removed in the end, as are those of killed processes."""
    host = re.sub(r"[^\w.-]", "_", socket.gethostname())
    prefix = f".{path.name}.{host}-"
    beside = path.with_name(f"{prefix}{os.getpid()}.tmp")
    with write_errors(path, then):
        path.parent.mkdir(parents=True, exist_ok=True)
        for place in path.parent.iterdir():
            if place.name.startswith(prefix) and (place == beside or not _is_running(place.stem)):
                _remove(place)
        try:
            yield beside
        except Exception as error:
            if _FOREIGN.search(str(error)):
                _write_more(beside)
            raise
        finally:
            _remove(beside)


def _write_more(beside: Path) -> None:
    """Make the system say why a library could not write.

    Raises:
        OSError: it does.
    """
    with (beside / "more" if beside.is_dir() else beside).open("ab") as file:
        file.write(bytes(2**20))


def _is_running(stem: str) -> bool:
    number = stem.rpartition("-")[2]
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except (PermissionError, ValueError):
        return True
    return True


def _remove(place: Path) -> None:
    with suppress(OSError):
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)


def _sync(place: Path) -> None:
    """Flush to disk; a folder: the names in it, where the file system can."""
    with suppress(OSError) if place.is_dir() else nullcontext():
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
