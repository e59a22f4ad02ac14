"""Going over all files promises: the unreadable are counted and named, the others told by kind."""

import logging

import pytest
import torch
from PIL import ExifTags, Image

from ctc_lightning.data.check import decode_all, over_files, unreadable
from ctc_lightning.data.decode import UnreadableImage
from ctc_lightning.data.image_set import ImageFiles


def image_files(folder, names):
    return ImageFiles.of(folder, list(names), {"class": torch.zeros(len(names), dtype=torch.int64)}, {})


@pytest.fixture
def readable(tmp_path):
    """Two usual images and one of each kind that has to be converted."""
    rotated = Image.Exif()
    rotated[ExifTags.Base.Orientation] = 6
    upright = Image.Exif()
    upright[ExifTags.Base.Orientation] = 1
    written = {
        "usual.jpg": ("RGB", {}),
        "upright.jpg": ("RGB", {"exif": upright}),
        "grey.jpg": ("L", {}),
        "ink.jpg": ("CMYK", {}),
        "deep.png": ("I;16", {}),
        "turned.jpg": ("RGB", {"exif": rotated}),
        "palette.png": ("P", {}),
        "alpha.png": ("RGBA", {}),
    }
    for name, (mode, options) in written.items():
        Image.new(mode, (12, 8)).save(tmp_path / name, **options)
    return image_files(tmp_path, written)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_had_to_be_converted_is_counted_and_logged(readable, caplog, num_workers):
    caplog.set_level(logging.INFO)
    kinds = decode_all(readable, num_workers, "photographs, train")
    expected = {"grey": 2, "16-bit": 1, "CMYK": 1, "rotated by Exif": 1, "palette": 1, "with alpha": 1}
    assert kinds == expected
    (line,) = [r.getMessage() for r in caplog.records if r.name == "ctc_lightning.data.check"]
    assert line.startswith("Decoded all 8 of photographs, train: 2 grey, ")
    assert all(f"{count} {kind}" in line for kind, count in expected.items())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_one_sentence_counts_the_unreadable_and_names_three(readable, num_workers):
    names = [name.decode() for name in readable.name]
    for bad in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (readable.root / bad).write_bytes(b"")
    files = image_files(readable.root, [names[0], "a.jpg", *names[1:], "b.jpg", "gone.jpg", "c.jpg", "d.jpg"])
    with pytest.raises(ValueError, match="unreadable") as problem:
        decode_all(files, num_workers, "photographs, train")
    root = readable.root
    assert str(problem.value) == (
        f"5 of 13 files of photographs, train are unreadable ({root / 'a.jpg'} is empty; "
        f"{root / 'b.jpg'} is empty; {root / 'gone.jpg'} cannot be read: No such file or directory; "
        "and 2 more): repair or remove them, or set data.on_error=skip."
    )


def test_a_few_are_all_named():
    sentence = unreadable([UnreadableImage("it is empty.")], 7, "images", "give --on-error skip")
    assert sentence == (
        "1 of 7 files of images are unreadable (it is empty): repair or remove them, or give --on-error skip."
    )


def size_of(path):
    if path.name == "bad":
        raise UnreadableImage("bad.")
    return path.stat().st_size


@pytest.mark.parametrize("num_workers", [0, 2])
def test_results_come_in_the_order_of_the_files(tmp_path, num_workers):
    names = [f"{number:03}" for number in range(50)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes(number))
    results = list(over_files(image_files(tmp_path, [*names, "bad"]), size_of, num_workers, "files"))
    assert results[:-1] == list(range(50))
    assert isinstance(results[-1], UnreadableImage)


def test_the_global_generator_is_left_alone(readable):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    decode_all(readable, 0, "photographs")
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
