"""Birdsnap as its authors list it: tab-separated tables; images that are gone are left out and counted."""

import logging

import pytest

from ctc_lightning.data.sets.birdsnap import Birdsnap

SPECIES = ["Acadian Flycatcher", "Blue Jay", "Cooper's Hawk"]
# Path -> (species from 1, grey level)
IMAGES = {
    "Coopers_Hawk/1.jpg": (3, 10),
    "Coopers_Hawk/2.jpg": (3, 20),
    "Blue_Jay/3.jpg": (2, 30),
    "Acadian_Flycatcher/4.jpg": (1, 40),
    "Blue_Jay/5.jpg": (2, 50),
}
TEST = ["Coopers_Hawk/2.jpg", "Blue_Jay/5.jpg"]


@pytest.fixture(params=["images", "download/images"])
def folder(request, tmp_path, tiny_images):
    base = tmp_path / "birdsnap"
    base.mkdir()
    rows = ["id\tcommon\tscientific\tdir"]
    rows += [f"{number}\t{name}\tAves\t{name.replace(' ', '_')}" for number, name in enumerate(SPECIES, 1)]
    (base / "species.txt").write_text("".join(f"{row}\n" for row in rows))
    rows = ["url\tmd5\tpath\tspecies_id\tbb_x1\tback_x"]
    rows += [f"http://x/{path}\tabc\t{path}\t{number}\t1\tnull" for path, (number, _) in IMAGES.items()]
    (base / "images.txt").write_text("".join(f"{row}\n" for row in rows))
    (base / "test_images.txt").write_text("".join(f"{row}\n" for row in ["path", *TEST]))
    for path, (_, level) in IMAGES.items():
        tiny_images.write(base / request.param / path, level)
    return base


@pytest.mark.parametrize(
    ("split", "label_of_level"), [("train", {10: 2, 30: 1, 40: 0}), ("test", {20: 2, 50: 1})]
)
def test_every_image_has_the_label_of_its_species(folder, tiny_images, split, label_of_level):
    files = Birdsnap().read(folder, split)
    assert files.classes["class"] == tuple(SPECIES)
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == label_of_level


def test_images_that_are_gone_are_left_out_and_counted(folder, tiny_images, caplog):
    next(folder.rglob("Coopers_Hawk/1.jpg")).unlink()
    with caplog.at_level(logging.WARNING):
        files = Birdsnap().read(folder, "train")
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == {30: 1, 40: 0}
    assert "lacks 1 of the 3 published train images" in caplog.text


def test_nothing_is_said_where_nothing_is_gone(folder, caplog):
    Birdsnap().read(folder, "test")
    assert not caplog.text


def test_published_numbers_of_which_copies_may_have_fewer():
    collection = Birdsnap()
    assert collection.counts == {"train": 47386, "test": 2443}
    assert sum(collection.counts.values()) == 49829
    assert collection.num_classes == {"class": 500}
    assert collection.counts_may_differ
    assert "differ" in collection.notes


def test_found_below_the_data_root(folder):
    assert Birdsnap().find(folder.parent) == folder
    (folder / "species.txt").unlink()
    assert Birdsnap().missing(folder) == ["species.txt"]


def test_no_images_at_all(folder, one_sentence):
    for path in list(folder.rglob("*.jpg")):
        path.unlink()
    with pytest.raises(ValueError, match="has none of the train images") as error:
        Birdsnap().read(folder, "train")
    one_sentence(error, "get_birdsnap.py")


def test_no_folder_of_images(folder, one_sentence):
    for name in ("images", "download"):
        if (folder / name).exists():
            (folder / name).rename(folder / "elsewhere")
    with pytest.raises(ValueError, match="has no images") as error:
        Birdsnap().read(folder, "train")
    one_sentence(error, "images/ or in download/images/")


def test_a_table_without_its_header(folder, one_sentence):
    path = folder / "images.txt"
    path.write_text(path.read_text().partition("\n")[2])
    with pytest.raises(ValueError, match=r"lists of Birdsnap .* cannot be read") as error:
        Birdsnap().read(folder, "train")
    one_sentence(error, "path")
