"""Image files to uint8 tensors: upright, 8 bits, RGB or grey, or one sentence that says why not."""

# C channels, H rows, W columns

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import unpack_from
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

from ctc_lightning.data.png import without_metadata

try:
    from torchvision.io import ImageReadMode, decode_jpeg
except ImportError:  # announced for a later torchvision: the pixels stay the same, decoding takes longer
    decode_jpeg = None

START, END = b"\xff\xd8\xff", b"\xff\xd9"
# Start-of-frame markers stand for the coding; three numbers of their range are other things.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SCAN, EXIF = 0xDA, 0xE1
MAX_PIXELS = 89_478_485
"""Of one image, by default: as many as Pillow allows, 268 MB once decoded to RGB."""
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SEVERAL_VIEWS = "MPO"  # a camera's JPEG that carries previews behind the picture


class UnreadableImage(ValueError):  # noqa: N818  # the name says what is wrong
    """A file that holds no single image; its one sentence names the file and the reason."""


class JpegHead(NamedTuple):
    """What a JPEG file says before its pixels.

    Attributes:
        bits: per sample.
        size: (rows, columns) as stored, before any rotation.
        components: 1 grey, 3 YCbCr or RGB, 4 CMYK or YCCK.
        exif: whether there is an Exif segment, which may ask for a rotation.
    """

    bits: int
    size: tuple[int, int]
    components: int
    exif: bool


def decode(path: Path, channels: int = 3, max_pixels: int | None = MAX_PIXELS) -> Tensor:
    """Read and decode one file, see `decode_bytes`.

    Raises:
        UnreadableImage: also where the file cannot be read.
    """
    return decode_bytes(read(path), printable(path), channels, max_pixels)


def conversion_error(path: object, problem: Exception) -> UnreadableImage:
    """What nobody foresaw, as lack of memory, with the file's name."""
    reason = f"{type(problem).__name__}: {' '.join(str(problem).split())}".rstrip(".: ")
    return UnreadableImage(f"{printable(path)} cannot be converted ({reason}).")


def printable(path: object) -> str:
    """A path as text that any terminal and file can take, whatever the encoding of its name."""
    return os.fsencode(str(path)).decode("utf-8", "backslashreplace")


def read(path: Path) -> bytes:
    """A file's content.

    Raises:
        UnreadableImage: it is missing, no file, or may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as problem:
        raise UnreadableImage(
            f"{printable(path)} cannot be read: {problem.strerror or problem}."
        ) from problem


def decode_bytes(data: bytes, name: str, channels: int = 3, max_pixels: int | None = MAX_PIXELS) -> Tensor:
    """Decode one image, whatever its file is called: the content says what it is.

    Grey is repeated to RGB; CMYK, palette, 1-bit images and those with alpha (which is dropped) become what
    Pillow's ``convert`` makes of them; 16-bit grey v becomes round(v / 257); Exif orientation is applied.
    Metadata that cannot be read is ignored.

    Bytes changed in the middle of a JPEG pass, with wrong pixels, as they do with Pillow: libjpeg only warns.

    JPEG goes through torchvision, which ``benchmarks/decoders.py`` found faster than Pillow at equal pixels,
    all else through Pillow.

    Args:
        data: the file's content.
        name: what errors call it.
        channels: 3 for RGB, 1 for grey.
        max_pixels: the most that an image may have; None: any number.

    Returns:
        (C, H, W) uint8; colour in channels-last memory.

    Raises:
        UnreadableImage: empty, no image, truncated, corrupt, several frames, too many pixels, pixels of 32
            bits, whose range no file states, or too little memory.
    """
    if not data:
        raise UnreadableImage(f"{name} is empty.")
    # A decoder fills what is missing with grey: without its end a file is Pillow's to judge.
    head = jpeg_head(data) if decode_jpeg and data.endswith(END) else None
    if head and head.bits == 8 and head.components in {1, 3}:
        _check_size(head.size, name, max_pixels)
        read_mode = ImageReadMode.RGB if channels == 3 else ImageReadMode.GRAY
        try:
            # The copy is writable, as torch demands.
            coded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            return decode_jpeg(coded, read_mode, apply_exif_orientation=head.exif)
        except RuntimeError:  # Pillow tells why, or can read it after all
            pass
    mode = "RGB" if channels == 3 else "L"
    return _to_tensor(upright(open_image(data, name, max_pixels), name, mode))


def jpeg_head(data: bytes) -> JpegHead | None:
    """Read a JPEG's segments up to its pixels; None for all else, and where they make no sense."""
    if not data.startswith(START):
        return None
    at, head = 2, None
    exif = False
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = unpack_from(">BH", data, at + 1)
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == SCAN:
            return head and head._replace(exif=exif)
        if marker in FRAMES:
            bits, rows, columns, components = unpack_from(">BHHB", data, at + 4)
            head = JpegHead(bits, (rows, columns), components, exif)
        exif |= marker == EXIF and data.startswith(b"Exif", at + 4)
        at += 2 + length
    return None


def open_image(data: bytes, name: str, max_pixels: int | None = MAX_PIXELS) -> Image.Image:
    """Open one image with Pillow; its pixels are not decoded yet.

    Raises:
        UnreadableImage: see `decode_bytes`.
    """
    try:
        with warnings.catch_warnings(), _any_size():
            warnings.simplefilter("ignore")  # what Pillow warns of is either an error below or no concern
            image = Image.open(io.BytesIO(without_metadata(data)))
            _check_size((image.height, image.width), name, max_pixels)
            num_frames = getattr(image, "n_frames", 1)
    except UnreadableImage:
        raise
    except Image.UnidentifiedImageError as problem:
        raise UnreadableImage(f"{name} is not an image of a known format.") from problem
    except Exception as problem:  # Pillow's plugins raise whatever a damaged header provokes
        raise UnreadableImage(f"{name} is corrupt: {str(problem).rstrip('.')}.") from problem
    if num_frames > 1 and image.format != SEVERAL_VIEWS:
        raise UnreadableImage(f"{name} has {num_frames} frames, must have 1: export one of them as an image.")
    if image.mode in {"I", "F"} and not has_16_bits(image):
        raise UnreadableImage(f"{name} has pixels of 32 bits, must have 8 or 16: scale and export it.")
    return image


def has_16_bits(image: Image.Image) -> bool:
    """Whether it is grey of 16 bits; Pillow scales portable grey maps to that range, in a mode of 32."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def is_upright(image: Image.Image) -> bool:
    """Whether Exif asks for no rotation."""
    return _orientation(image) not in _TURNED


def _orientation(image: Image.Image) -> int:
    """What Exif says; 1, which is upright, where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  # Pillow raises whatever damaged metadata provokes
        return 1


def upright(image: Image.Image, name: str, mode: str) -> Image.Image:
    """Decode, rotate as Exif says, and convert to ``mode`` "RGB" or "L".

    Raises:
        UnreadableImage: see `decode_bytes`.
    """
    try:
        is_deep = has_16_bits(image)
        with _any_size():
            image.load()
        if (orientation := _orientation(image)) in _TURNED:
            image = image.transpose(_TURNED[orientation])
        if is_deep:
            image = Image.fromarray(_scaled(np.asarray(image)))
        elif image.mode in {"P", "PA"} and "transparency" in image.info:
            image = image.convert("RGBA")  # straight to RGB, Pillow may take transparency for a colour
        return image if image.mode == mode else image.convert("RGB").convert(mode)
    except Exception as problem:  # damaged data surface as many kinds of errors
        raise UnreadableImage(f"{name} is truncated or corrupt: {str(problem).rstrip('.')}.") from problem


def _check_size(size: tuple[int, int], name: str, max_pixels: int | None) -> None:
    if max_pixels is not None and size[0] * size[1] > max_pixels:
        raise UnreadableImage(
            f"{name} has {size[0] * size[1]} pixels, must have at most {max_pixels}: shrink it, or raise "
            "max_pixels."
        )


@contextmanager
def _any_size() -> Iterator[None]:
    """Lift Pillow's own limit, which is the process's."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _scaled(value_HW: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Sixteen bits to eight: 65535 / 257 = 255."""
    return ((value_HW.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _to_tensor(image: Image.Image) -> Tensor:
    pixel = torch.from_numpy(np.array(image))
    return pixel[None] if pixel.ndim == 2 else pixel.permute(2, 0, 1)
