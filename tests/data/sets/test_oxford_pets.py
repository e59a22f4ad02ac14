"""Oxford-IIIT Pets as its archives have it: "Maine_Coon_12 20 1 9" a line, comments in list.txt."""

import pytest

from ctc_lightning.data.sets.oxford_pets import OxfordPets

# Split -> lines of its list; an image's grey level is its number
LINES = {
    "trainval": ["Abyssinian_10 1 1 1", "great_pyrenees_20 3 2 2", "american_bulldog_30 2 2 1"],
    "test": [
        "american_bulldog_40 2 2 1",
        "Abyssinian_50 1 1 1",
        "Abyssinian_60 1 1 1",
        "great_pyrenees_70 3 2 2",
    ],
}


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    header = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n"
    everything = "\n".join(LINES["trainval"] + LINES["test"])
    (base / "annotations" / "list.txt").write_text(header + everything + "\n")
    for split, lines in LINES.items():
        (base / "annotations" / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
        for line in lines:
            name = line.split()[0]
            tiny_images.write(base / "images" / f"{name}.jpg", int(name.rpartition("_")[2]))
    return tmp_path


@pytest.mark.parametrize(
    ("split", "label_of_level"),
    [("train", {10: 0, 20: 2, 30: 1}), ("test", {40: 1, 50: 0, 60: 0, 70: 2})],
)
def test_every_image_has_the_label_of_its_breed(folder, tiny_images, split, label_of_level):
    files = OxfordPets().read(folder, split)
    assert files.classes["class"] == ("Abyssinian", "american bulldog", "great pyrenees")
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == label_of_level


def test_labels_are_those_of_torchvision(folder):
    from torchvision.datasets import OxfordIIITPet

    theirs = OxfordIIITPet(folder, split="test")
    ours = OxfordPets().read(folder, "test")
    assert ours.labels["class"].tolist() == [theirs[row][1] for row in range(len(theirs))]
    assert [name.lower() for name in theirs.classes] == [name.lower() for name in ours.classes["class"]]


def test_found_where_torchvision_puts_it(folder):
    assert OxfordPets().find(folder) == folder
    (folder / "oxford-iiit-pet" / "annotations" / "test.txt").unlink()
    assert OxfordPets().missing(folder) == ["oxford-iiit-pet/annotations/test.txt"]


def test_an_image_that_is_listed_but_not_there(folder, one_sentence):
    (folder / "oxford-iiit-pet" / "images" / "Abyssinian_60.jpg").unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 4 images") as error:
        OxfordPets().read(folder, "test")
    one_sentence(error, "Abyssinian_60.jpg")


@pytest.mark.parametrize("text", ["Abyssinian_10 one 1 1\n", "Abyssinian_10\n", "Abyssinian_10 2 1 1\n"])
def test_a_list_that_is_none(folder, one_sentence, text):
    (folder / "oxford-iiit-pet" / "annotations" / "trainval.txt").write_text(text)
    with pytest.raises(ValueError, match=r"lists of Oxford-IIIT Pets .* cannot be read") as error:
        OxfordPets().read(folder, "train")
    one_sentence(error)


def test_an_empty_list(folder, one_sentence):
    (folder / "oxford-iiit-pet" / "annotations" / "trainval.txt").write_text("")
    with pytest.raises(ValueError, match="name no images") as error:
        OxfordPets().read(folder, "train")
    one_sentence(error)
