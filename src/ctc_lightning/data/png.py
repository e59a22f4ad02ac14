"""PNG files without metadata: a damaged description shall not keep anyone from the pixels."""

from struct import unpack_from
from zlib import crc32

_START = b"\x89PNG\r\n\x1a\n"
_KEPT = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT"})  # transparency, and the frames of an animation
_XMP = b"XML:com.adobe.xmp\0\0"  # not compressed


def without_metadata(data: bytes) -> bytes:
    """Keep the chunks that pixels depend on, and what may say how the image is turned if it is whole.

    Anything that is no PNG is returned as it is.
    """
    if not data.startswith(_START):
        return data
    kept, at = [_START], len(_START)
    while at + 12 <= len(data):
        length, kind = unpack_from(">I4s", data, at)
        chunk = data[at : at + length + 12]  # length, kind, content, checksum
        turned = kind == b"eXIf" or (kind == b"iTXt" and chunk.startswith(_XMP, 8))
        is_whole = turned and crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if kind[:1].isupper() or kind in _KEPT or is_whole:  # upper case: critical
            kept.append(chunk)
        at += len(chunk)
    return b"".join(kept)
