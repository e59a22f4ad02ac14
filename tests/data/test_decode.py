"""Decoding promises: any usual image file becomes upright 8-bit RGB or grey, or one sentence says why not."""

import io
import os
import struct
from zlib import compress, crc32

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from ctc_lightning.data.decode import (
    UnreadableImage,
    decode,
    decode_bytes,
    is_upright,
    jpeg_head,
    open_image,
)

ROWS, COLUMNS = 40, 60
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def gradient():
    """(H, W, C) uint8 whose rows, columns and channels all differ."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    return np.stack([4 * row, 3 * column, 255 - row - column], axis=2).astype(np.uint8)


def write(path, image, *, kind=None, **options):
    image.save(path, format=kind, **options)
    return path


def pixels(path, channels=3):
    """(H, W, C), or (H, W) for one channel."""
    image_CHW = decode(path, channels)
    assert image_CHW.dtype == torch.uint8
    assert len(image_CHW) == channels
    return image_CHW.permute(1, 2, 0).numpy() if channels == 3 else image_CHW[0].numpy()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_lossless_formats_give_the_pixels_that_were_written(tmp_path, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    path = write(tmp_path / "image", Image.fromarray(gradient()), kind=kind, **options)
    np.testing.assert_array_equal(pixels(path), gradient())


@pytest.mark.parametrize(
    "options", [{"quality": 90}, {"quality": 90, "progressive": True}, {"subsampling": 0}]
)
def test_a_colour_jpeg_has_the_pixels_that_pillow_gives(tmp_path, options):
    path = write(tmp_path / "image.jpg", Image.fromarray(gradient()), **options)
    np.testing.assert_array_equal(pixels(path), np.asarray(Image.open(path)))


@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_takes_over_where_torchvision_has_no_decoder(monkeypatch, channels):
    fast = decode_bytes(encoded("JPEG", quality=95), "it", channels)
    monkeypatch.setattr("ctc_lightning.data.decode.decode_jpeg", None)
    slow = decode_bytes(encoded("JPEG", quality=95), "it", channels)
    torch.testing.assert_close(slow, fast, rtol=0, atol=0 if channels == 3 else 2)


def test_colour_is_laid_out_as_channels_last():
    assert decode_bytes(encoded("JPEG"), "it").stride() == (1, 3 * COLUMNS, 3)
    assert decode_bytes(encoded("PNG"), "it").stride() == (1, 3 * COLUMNS, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_grey_is_repeated_in_every_channel(tmp_path, kind):
    grey_HW = gradient()[..., 0]
    path = write(tmp_path / "grey", Image.fromarray(grey_HW), kind=kind)
    rgb = pixels(path)
    np.testing.assert_array_equal(rgb, np.repeat(np.asarray(Image.open(path))[..., None], 3, axis=2))
    np.testing.assert_array_equal(rgb[..., 0], pixels(path, channels=1))


def test_one_channel_is_the_brightness_of_a_colour_image(tmp_path):
    for colour, brightness in ((RED, 76), (GREEN, 150), (BLUE, 29)):  # ITU-R BT.601: 0.299, 0.587, 0.114
        path = write(tmp_path / "colour.png", Image.new("RGB", (8, 8), colour))
        np.testing.assert_array_equal(pixels(path, channels=1), brightness)
        path = write(tmp_path / "colour.jpg", Image.new("RGB", (8, 8), colour), quality=100)
        np.testing.assert_allclose(pixels(path, channels=1), brightness, atol=2)


@pytest.mark.parametrize("adobe", [0, 2], ids=["CMYK", "YCCK"])
def test_four_component_jpegs_are_what_pillow_makes_of_them(tmp_path, adobe):
    path = tmp_path / "ink.jpg"
    write(path, Image.fromarray(gradient()).convert("CMYK"), quality=95)
    data = bytearray(path.read_bytes())
    data[data.index(b"Adobe") + 11] = adobe  # how the colours are coded
    path.write_bytes(data)
    assert jpeg_head(bytes(data)).components == 4
    np.testing.assert_array_equal(pixels(path), np.asarray(Image.open(path).convert("RGB")))


def test_cyan_ink_is_not_red(tmp_path):
    path = write(tmp_path / "cyan.jpg", Image.new("CMYK", (8, 8), (255, 0, 0, 0)), quality=100)
    np.testing.assert_allclose(pixels(path)[4, 4], (0, 255, 255), atol=3)


def test_palettes_become_their_colours_whatever_is_transparent(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putdata([0, 1])
    expected = np.array([[RED, GREEN]])
    np.testing.assert_array_equal(pixels(write(tmp_path / "plain.png", image)), expected)
    np.testing.assert_array_equal(pixels(write(tmp_path / "one.png", image, transparency=0)), expected)
    np.testing.assert_array_equal(
        pixels(write(tmp_path / "each.png", image, transparency=b"\x80\x00")), expected
    )
    np.testing.assert_array_equal(pixels(write(tmp_path / "image.gif", image)), expected)


def test_alpha_is_dropped(tmp_path):
    path = write(tmp_path / "rgba.png", Image.new("RGBA", (4, 4), (10, 20, 30, 0)))
    np.testing.assert_array_equal(pixels(path)[0, 0], (10, 20, 30))
    path = write(tmp_path / "la.png", Image.new("LA", (4, 4), (70, 5)))
    np.testing.assert_array_equal(pixels(path)[0, 0], (70, 70, 70))


def test_one_bit_is_black_or_white(tmp_path):
    image = Image.new("1", (2, 1))
    image.putdata([0, 1])
    np.testing.assert_array_equal(pixels(write(tmp_path / "bits.png", image))[0], [[0] * 3, [255] * 3])


@pytest.mark.parametrize(
    ("kind", "order"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2"), ("PPM", "<u2")]
)
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, kind, order):
    level = np.array([[0, 128, 129, 257, 1000, 32768, 65279, 65535]])
    path = write(tmp_path / "deep", Image.fromarray(level.astype(order)), kind=kind)
    np.testing.assert_array_equal(pixels(path, channels=1), np.rint(level / 65535 * 255))
    np.testing.assert_array_equal(pixels(path)[..., 2], np.rint(level / 65535 * 255))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image_upright(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    path = write(tmp_path / "image", Image.fromarray(gradient()), kind=kind, exif=exif, **options)
    stored = np.asarray(Image.open(path)) if kind == "JPEG" else gradient()
    turned = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: stored[::-1].transpose(1, 0, 2),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: stored[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    np.testing.assert_array_equal(pixels(path), turned)
    assert decode(path, 1).shape[1:] == turned.shape[:2]


def test_the_content_decides_not_the_name(tmp_path):
    for kind in ("PNG", "JPEG", "GIF"):
        write(tmp_path / f"{kind}.JPEG", Image.fromarray(gradient()), kind=kind)
    write(tmp_path / "photo.png", Image.fromarray(gradient()), kind="JPEG")
    np.testing.assert_array_equal(pixels(tmp_path / "PNG.JPEG"), gradient())
    np.testing.assert_array_equal(pixels(tmp_path / "photo.png"), pixels(tmp_path / "JPEG.JPEG"))
    assert pixels(tmp_path / "GIF.JPEG").shape == (ROWS, COLUMNS, 3)


def test_a_photograph_with_previews_behind_it_is_the_photograph(tmp_path):
    image = Image.fromarray(gradient())
    path = write(tmp_path / "camera.jpg", image, kind="MPO", save_all=True, append_images=[image.rotate(180)])
    np.testing.assert_array_equal(pixels(path), np.asarray(Image.open(path)))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(tmp_path, kind):
    image = Image.fromarray(gradient())
    frames = [image.rotate(90), ImageOps.invert(image)]
    path = write(tmp_path / "moving", image, kind=kind, save_all=True, append_images=frames)
    with pytest.raises(UnreadableImage) as problem:
        decode(path)
    assert str(problem.value) == f"{path} has 3 frames, must have 1: export one of them as an image."


def encoded(kind, **options):
    file = io.BytesIO()
    Image.fromarray(gradient()).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_half_a_file_is_refused(kind):
    data = encoded(kind)
    with pytest.raises(UnreadableImage, match=r"^half is .*(truncated|corrupt|known format).*\.$"):
        decode_bytes(data[: len(data) // 2], "half")


@pytest.mark.parametrize("missing", [50, 300])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_that_lacks_pixels_is_not_filled_up_with_grey(missing, options):
    with pytest.raises(UnreadableImage, match=r"^cut is truncated or corrupt: image file is truncated .*\.$"):
        decode_bytes(encoded("JPEG", quality=95, **options)[:-missing], "cut")


def test_bytes_behind_the_end_of_a_jpeg_do_no_harm():
    whole = encoded("JPEG")
    torch.testing.assert_close(decode_bytes(whole + bytes(7), "padded"), decode_bytes(whole, "whole"))


def test_a_jpeg_of_another_coding_is_refused_in_one_sentence():
    data = bytearray(encoded("JPEG"))
    data[data.index(b"\xff\xc0") + 1] = 0xC3  # claims to be lossless
    with pytest.raises(UnreadableImage, match=r"^odd is (truncated or )?corrupt: .*[^.]\.$"):
        decode_bytes(bytes(data), "odd")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "it is empty."),
        (b"no image at all", "it is not an image of a known format."),
        (b"\xff\xd8\xff", "it is not an image of a known format."),
    ],
)
def test_what_is_no_image_is_called_so(data, sentence):
    with pytest.raises(UnreadableImage) as problem:
        decode_bytes(data, "it")
    assert str(problem.value) == sentence


@pytest.mark.parametrize("values", [np.float32, np.int32])
def test_pixels_of_32_bits_are_refused_rather_than_clipped(tmp_path, values):
    path = write(tmp_path / "deep.tif", Image.fromarray(np.full((4, 4), 1000, values)))
    with pytest.raises(UnreadableImage) as problem:
        decode(path)
    assert str(problem.value) == f"{path} has pixels of 32 bits, must have 8 or 16: scale and export it."


def test_files_that_cannot_be_opened_are_named(tmp_path, monkeypatch):
    gone = tmp_path / "gone.jpg"
    with pytest.raises(UnreadableImage) as problem:
        decode(gone)
    assert str(problem.value) == f"{gone} cannot be read: No such file or directory."
    with pytest.raises(UnreadableImage, match=r"cannot be read: Is a directory\.$"):
        decode(tmp_path)

    def locked(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(gone), "read_bytes", locked)  # the superuser may read any file
    with pytest.raises(UnreadableImage, match=r"gone\.jpg cannot be read: Permission denied\.$"):
        decode(gone)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF"])
@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch, kind):
    num = ROWS * COLUMNS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", num // 3)  # Pillow's own limit is not ours
    with pytest.raises(UnreadableImage) as problem:
        decode_bytes(encoded(kind), "bomb", max_pixels=num - 1)
    assert str(problem.value) == (
        f"bomb has {num} pixels, must have at most {num - 1}: shrink it, or raise max_pixels."
    )
    for allowed in (num, None):
        assert decode_bytes(encoded(kind), "largest", max_pixels=allowed).shape == (3, ROWS, COLUMNS)
    assert num // 3 == Image.MAX_IMAGE_PIXELS


DAMAGED = {
    "no TIFF": b"Exif\0\0not a TIFF header at all",
    "cut": b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12",
    "beyond": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "empty": b"",
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "TIFF"])
@pytest.mark.parametrize("exif", DAMAGED.values(), ids=DAMAGED)
def test_an_exif_block_that_cannot_be_read_is_ignored(kind, exif):
    options = {"lossless": True} if kind == "WEBP" else {}
    if kind != "TIFF":  # there, Exif is the file's own structure
        options["exif"] = exif
    pixel_CHW = decode_bytes(encoded(kind, **options), "photograph")
    expected = decode_bytes(encoded(kind, **({"lossless": True} if kind == "WEBP" else {})), "plain")
    assert torch.equal(pixel_CHW, expected)
    assert is_upright(open_image(encoded(kind, **options), "photograph"))


def chunk(kind, content, checksum=None):
    """One of a PNG's."""
    checksum = crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize(
    "metadata",
    [
        chunk(b"tEXt", b"Comment\0text", checksum=0),
        chunk(b"eXIf", b"MM", checksum=0),
        chunk(b"iCCP", b"profile\0\0not compressed"),
        chunk(b"pHYs", b""),
        chunk(b"zTXt", b"Comment\0\0" + compress(bytes(2**21))),
    ],
    ids=["text", "Exif", "colours", "resolution", "long"],
)
def test_metadata_of_a_png_do_not_decide(metadata, place):
    data = encoded("PNG")
    at = data.index(b"IDAT") - 4 if place == "before" else data.index(b"IEND") - 4
    pixel_CHW = decode_bytes(data[:at] + metadata + data[at:], "photograph")
    np.testing.assert_array_equal(pixel_CHW.permute(1, 2, 0).numpy(), gradient())


def test_a_name_of_another_encoding_is_printable(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    with pytest.raises(UnreadableImage) as problem:
        decode(path)
    str(problem.value).encode()
    assert r"caf\xe9.png cannot be read" in str(problem.value)
    write(path, Image.fromarray(gradient()))
    np.testing.assert_array_equal(pixels(path), gradient())


def test_an_unreadable_image_is_a_mistake_of_the_users_and_crosses_processes():
    import pickle

    problem = pickle.loads(pickle.dumps(UnreadableImage("it is empty.")))
    assert isinstance(problem, ValueError)
    assert str(problem) == "it is empty."
