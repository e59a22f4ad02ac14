"""FGVC-Aircraft as its archive has it: "0034309 737-700" a line, names with spaces, lists of three levels."""

import pytest

from ctc_lightning.data.sets.fgvc_aircraft import FGVCAircraft

VARIANTS = ["707-320", "A340-200", "Cessna 172"]
# Split -> image -> (variant, grey level)
IMAGES = {
    "train": {"0034309": ("Cessna 172", 10), "0034958": ("707-320", 20), "1": ("A340-200", 30)},
    "val": {"0926593": ("A340-200", 40)},
    "test": {"1514522": ("707-320", 50), "0747566": ("Cessna 172", 60)},
}


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "fgvc-aircraft-2013b" / "data"
    base.mkdir(parents=True)
    (base / "variants.txt").write_text("".join(f"{name}\n" for name in VARIANTS))
    (base / "families.txt").write_text("Boeing 707\nA340\nCessna 172\n")
    for split, images in IMAGES.items():
        lines = [f"{name} {variant}\n" for name, (variant, _) in images.items()]
        (base / f"images_variant_{split}.txt").write_text("".join(lines))
        (base / f"images_family_{split}.txt").write_text("".join(reversed(lines)))
        for name, (_, level) in images.items():
            tiny_images.write(base / "images" / f"{name}.jpg", level)
    return tmp_path


@pytest.mark.parametrize(
    ("split", "label_of_level"),
    [("train", {10: 2, 20: 0, 30: 1}), ("val", {40: 1}), ("test", {50: 0, 60: 2})],
)
def test_every_image_has_the_label_of_its_variant(folder, tiny_images, split, label_of_level):
    files = FGVCAircraft().read(folder, split)
    assert files.classes["class"] == tuple(VARIANTS)
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == label_of_level


def test_found_where_torchvision_puts_it(folder):
    collection = FGVCAircraft()
    assert collection.find(folder) == folder
    (folder / "fgvc-aircraft-2013b" / "data" / "images_variant_val.txt").unlink()
    assert collection.missing(folder) == ["fgvc-aircraft-2013b/data/images_variant_val.txt"]


def test_a_variant_that_the_list_of_variants_lacks(folder, one_sentence):
    (folder / "fgvc-aircraft-2013b" / "data" / "variants.txt").write_text("707-320\n")
    with pytest.raises(ValueError, match=r"lists of FGVC-Aircraft .* cannot be read") as error:
        FGVCAircraft().read(folder, "train")
    one_sentence(error, "Cessna 172")


def test_an_image_that_is_listed_but_not_there(folder, one_sentence):
    (folder / "fgvc-aircraft-2013b" / "data" / "images" / "0747566.jpg").unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 2 images") as error:
        FGVCAircraft().read(folder, "test")
    one_sentence(error, "0747566.jpg")
