"""Tiny ImageNet: the published layout and the rearranged ones give the same classes."""

import random
import shutil
from io import BytesIO

import pytest
import torch
from PIL import Image

from ctc_lightning.data.sets.tiny_imagenet import TinyImageNet

WNIDS = [f"n{10_000_000 + 37 * n}" for n in range(200)]  # sorted
EACH = 2


def jpeg(level):
    """A grey image, of one channel as some of the published ones: it shows which class it is of."""
    data = BytesIO()
    Image.new("L", (64, 64), level).save(data, "JPEG", quality=95)
    return data.getvalue()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The layout of tiny-imagenet-200.zip, with two train images and one of val per class."""
    root = tmp_path_factory.mktemp("published")
    top = root / "tiny-imagenet-200"
    shuffled = random.Random(6).sample(range(200), 200)
    (top / "val" / "images").mkdir(parents=True)
    annotations = []
    for n, label in enumerate(shuffled):
        wnid, data = WNIDS[label], jpeg(label)
        (top / "train" / wnid / "images").mkdir(parents=True)
        (top / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t63\t63\n")
        for i in range(EACH):
            (top / "train" / wnid / "images" / f"{wnid}_{i}.JPEG").write_bytes(data)
        (top / "val" / "images" / f"val_{n}.JPEG").write_bytes(data)
        annotations.append(f"val_{n}.JPEG\t{wnid}\t0\t0\t62\t62\n")
    (top / "val" / "val_annotations.txt").write_text("".join(annotations))
    (top / "wnids.txt").write_text("".join(f"{WNIDS[label]}\n" for label in shuffled))
    return root


@pytest.fixture
def root(published, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(published, tmp_path / "copy")


def check(files, each):
    assert len(files) == each * 200
    assert files.labels["class"].dtype == torch.int64
    assert files.labels["class"].tolist() == [label for label in range(200) for _ in range(each)]
    assert files.classes == {"class": tuple(WNIDS)}
    shown = [Image.open(files.path(row)).getpixel((32, 32)) for row in range(len(files))]
    assert shown == files.labels["class"].tolist()


def test_the_published_numbers():
    collection = TinyImageNet()
    assert collection.counts == {"train": 100_000, "test": 10_000}
    assert collection.num_classes == {"class": 200}
    assert (collection.metric, collection.channels, collection.image_size) == ("top1", 3, 64)
    assert "official val" in collection.notes


def test_the_published_layout(published):
    assert TinyImageNet().missing(published) == []
    train = TinyImageNet().read(published, "train")
    check(train, EACH)
    assert [train.path(row).name for row in (0, 1, 2)] == [
        f"{WNIDS[0]}_0.JPEG",
        f"{WNIDS[0]}_1.JPEG",
        f"{WNIDS[1]}_0.JPEG",
    ]
    check(TinyImageNet().read(published, "test"), 1)


@pytest.mark.parametrize("below", ["", "images"])
@pytest.mark.parametrize("empty_folder_is_left", [False, True])
def test_a_val_rearranged_by_class(root, below, empty_folder_is_left):
    val = root / "tiny-imagenet-200" / "val"
    for line in (val / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        (val / wnid / below).mkdir(parents=True)
        (val / "images" / name).rename(val / wnid / below / name)
    (val / "val_annotations.txt").unlink()
    if not empty_folder_is_left:
        (val / "images").rmdir()
    check(TinyImageNet().read(root, "test"), 1)


def lose_annotations(val):
    (val / "val_annotations.txt").unlink()


def lose_an_image(val):
    (val / "images" / "val_7.JPEG").unlink()


def lose_a_line(val):
    path = val / "val_annotations.txt"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "val_7.JPEG" not in line))


def name_another_class(val):
    path = val / "val_annotations.txt"
    path.write_text(path.read_text().replace(WNIDS[3], "n99999999"))


def lose_the_columns(val):
    (val / "val_annotations.txt").write_text("val_7.JPEG\n")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lose_annotations, "has neither val_annotations.txt nor a folder for each of the 200 classes"),
        (lose_an_image, "differ in 1 images, val_7.JPEG is one"),
        (lose_a_line, "differ in 1 images, val_7.JPEG is one"),
        (name_another_class, "names the class 'n99999999', which wnids.txt lacks"),
        (lose_the_columns, "names the class '', which wnids.txt lacks"),
    ],
)
def test_a_val_that_is_not_whole_is_one_sentence(root, damage, problem):
    damage(root / "tiny-imagenet-200" / "val")
    with pytest.raises(ValueError, match=problem) as refused:
        TinyImageNet().read(root, "test")
    assert str(refused.value).endswith(": unpack tiny-imagenet-200.zip again.")
    assert len(str(refused.value).splitlines()) == 1


def test_a_list_of_other_classes_is_refused(root):
    path = root / "tiny-imagenet-200" / "wnids.txt"
    path.write_text("\n".join(WNIDS[:199]))
    with pytest.raises(ValueError, match=f"{path} names 199 classes, must be 200: unpack"):
        TinyImageNet().read(root, "train")


def test_a_class_without_its_folder_is_named(root):
    shutil.rmtree(root / "tiny-imagenet-200" / "train" / WNIDS[5])
    with pytest.raises(ValueError, match=f"lacks '{WNIDS[5]}'"):
        TinyImageNet().read(root, "train")


def test_the_command_that_downloads_says_where_it_is_instead(tmp_path):
    with pytest.raises(
        ValueError, match=r"Tiny ImageNet cannot be downloaded by a command: .*tiny-imagenet-200\.zip"
    ):
        TinyImageNet().download(tmp_path)
