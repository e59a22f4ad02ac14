"""VOC2007 as its archives have it: an XML file of objects for each image, lists in ImageSets/Main."""

import pytest

from ctc_lightning.data.sets.voc2007 import VOC2007

# The 20 classes in the order of the challenge's results, which is alphabetic
CLASSES = (  # noqa: SIM905  # as one reads it
    "aeroplane bicycle bird boat bottle bus car cat chair cow "
    "diningtable dog horse motorbike person pottedplant sheep sofa train tvmonitor"
).split()
# Image -> (grey level, its objects and whether they are difficult)
IMAGES = {
    "000012": (10, [("car", 0)]),
    "000017": (20, [("person", 0), ("horse", 0)]),
    "000023": (30, [("bicycle", 1), ("person", 1), ("person", 0), ("person", 1)]),
    "000005": (40, [("chair", 1), ("tvmonitor", 0)]),
    "000001": (50, [("dog", 0), ("dog", 1)]),
    "000002": (60, []),
}
SPLITS = {"train": ["000017", "000012"], "val": ["000005", "000023"], "test": ["000001", "000002"]}
# Grey level -> class -> label, where it is not 0
EXPECTED = {
    10: {"car": 1},
    20: {"person": 1, "horse": 1},
    30: {"bicycle": -1, "person": 1},
    40: {"chair": -1, "tvmonitor": 1},
    50: {"dog": 1},
    60: {},
}


def annotation(name, things):
    objects = "".join(
        f"<object><name>{kind}</name><pose>Left</pose><truncated>0</truncated><difficult>{difficult}</difficult>"
        "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>8</ymax></bndbox>"
        # Parts of persons have names too
        "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for kind, difficult in things
    )
    return f"<annotation><folder>VOC2007</folder><filename>{name}.jpg</filename>{objects}</annotation>"


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "VOCdevkit" / "VOC2007"
    (base / "Annotations").mkdir(parents=True)
    (base / "ImageSets" / "Main").mkdir(parents=True)
    for name, (level, things) in IMAGES.items():
        tiny_images.write(base / "JPEGImages" / f"{name}.jpg", level)
        (base / "Annotations" / f"{name}.xml").write_text(annotation(name, things))
    for split, names in SPLITS.items():
        (base / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return tmp_path


@pytest.mark.parametrize(("split", "levels"), [("train", [20, 10]), ("val", [40, 30]), ("test", [50, 60])])
def test_every_image_has_the_labels_of_its_objects(folder, tiny_images, split, levels):
    files = VOC2007().read(folder, split)
    assert files.classes["class"] == tuple(CLASSES)
    assert tiny_images.levels(files) == levels
    label_NL = files.labels["class"]
    assert label_NL.shape == (2, 20)
    assert str(label_NL.dtype) == "torch.int8"
    for level, label_L in zip(levels, label_NL.tolist(), strict=True):
        assert {name: label for name, label in zip(CLASSES, label_L, strict=True) if label} == EXPECTED[level]


def test_found_where_torchvision_puts_it(folder):
    assert VOC2007().find(folder) == folder
    (folder / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").unlink()
    assert VOC2007().missing(folder) == ["VOCdevkit/VOC2007/ImageSets/Main/test.txt"]


@pytest.mark.parametrize("text", [annotation("x", [("unicorn", 0)]), "<annotation>", ""])
def test_an_annotation_that_is_none(folder, one_sentence, text):
    (folder / "VOCdevkit" / "VOC2007" / "Annotations" / "000005.xml").write_text(text)
    with pytest.raises(ValueError, match=r"lists of PASCAL VOC 2007 .* cannot be read") as error:
        VOC2007().read(folder, "val")
    one_sentence(error)


def test_an_annotation_that_is_not_there(folder, one_sentence):
    (folder / "VOCdevkit" / "VOC2007" / "Annotations" / "000005.xml").unlink()
    with pytest.raises(ValueError, match="cannot be read") as error:
        VOC2007().read(folder, "val")
    one_sentence(error, "000005.xml")


def test_an_image_that_is_listed_but_not_there(folder, one_sentence):
    (folder / "VOCdevkit" / "VOC2007" / "JPEGImages" / "000012.jpg").unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 2 images") as error:
        VOC2007().read(folder, "train")
    one_sentence(error, "000012.jpg")
