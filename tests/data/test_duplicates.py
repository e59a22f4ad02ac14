"""Files of the same bytes in two classes or splits are counted and named; other files are hardly read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctc_lightning.data import CachedDataModule, FileDataModule
from ctc_lightning.data.sets.image_folder import ImageFolder


@pytest.fixture
def folder(tmp_path):
    """JPEGs and PNGs of noise, 6 of each class for training and 3 for each of the other splits."""
    rng = np.random.default_rng(0)
    for split, count in {"train": 6, "val": 3, "test": 3}.items():
        for name in ("cat", "dog"):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for number in range(count):
                ending = "jpg" if number % 2 else "png"
                image = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
                image.save(tmp_path / "photos" / split / name / f"{number}.{ending}")
    return tmp_path / "photos"


def files(folder, **options):
    options = {"image_size": 8, "mean": [0.5] * 3, "std": [0.2] * 3} | options
    return FileDataModule(**arguments(folder), **options)


def cached(folder):
    return CachedDataModule(**arguments(folder), image_size=8)


def arguments(folder):
    return {
        "collection": ImageFolder(),
        "name": "photos",
        "root": str(folder),
        "cache_dir": str(folder.parent / "cache"),
        "batch_size": 4,
        "num_workers": 0,
    }


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if "same content" in r.getMessage()]


def copy(folder, source, *targets):
    for target in targets:
        (folder / target).write_bytes((folder / source).read_bytes())


@pytest.mark.parametrize("make", [files, cached])
def test_no_word_where_every_image_is_another(make, folder, caplog):
    make(folder).setup()
    assert not warnings(caplog)


@pytest.mark.parametrize("make", [files, cached])
def test_they_are_counted_and_named_each_time(make, folder, caplog):
    copy(folder, "train/cat/0.png", "train/cat/copy.png")  # neither two classes nor two splits
    copy(folder, "train/cat/1.jpg", "train/dog/copy.jpg")
    copy(folder, "train/dog/0.png", "val/dog/copy.png")
    for _ in range(2):
        caplog.clear()
        make(folder).setup()
        (line,) = warnings(caplog)
        assert line == (
            "data=photos has images of the same content: "
            f"1 in two classes ({folder}/train/cat/1.jpg and {folder}/train/dog/copy.jpg), "
            f"1 in two splits ({folder}/train/dog/0.png and {folder}/val/dog/copy.png); remove one of each."
        )


def test_three_examples_are_named(folder, caplog):
    for number in range(0, 6, 2):
        copy(folder, f"train/cat/{number}.png", f"val/cat/copy_{number}.png")
    copy(folder, "train/dog/0.png", "val/dog/copy.png")
    files(folder).setup()
    (line,) = warnings(caplog)
    assert "4 in two splits" in line
    assert line.count(" and ") == 3
    assert "; …)" in line


def test_only_files_of_equal_size_are_read_and_once(folder, monkeypatch, caplog):
    copy(folder, "train/cat/1.jpg", "train/dog/copy.jpg")
    sizes = [path.stat().st_size for path in folder.rglob("*.*")]
    alike = {path.name for path in folder.rglob("*.*") if sizes.count(path.stat().st_size) > 1}
    read = []
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *mode, **as_: read.append(path) or opened(path, *mode, **as_)
    )

    def read_images():
        found = [path for path in read if folder in path.parents]
        read.clear()
        return found

    module = files(folder)
    splits = {split: module.collection.read(folder, split) for split in ("train", "val", "test")}
    first = module.find_duplicates(splits)
    assert {path.name for path in read_images()} <= alike
    assert module.find_duplicates(splits) == first
    assert not read_images()
    (folder / "train/dog/copy.jpg").write_bytes(b"another image")
    assert module.find_duplicates(splits) is None


def test_more_images_are_compared_by_a_full_check_only(folder, monkeypatch, caplog):
    monkeypatch.setattr("ctc_lightning.data.from_files.MOST", 10)
    copy(folder, "train/cat/1.jpg", "train/dog/copy.jpg")
    files(folder).setup()
    assert not warnings(caplog)
    files(folder, check="full").setup()
    assert len(warnings(caplog)) == 1


def test_splits_of_the_same_images_are_no_duplicates(folder, caplog):
    for path in folder.glob("test/*/*"):
        path.unlink()
    for path in (*folder.glob("test/*"), folder / "test"):
        path.rmdir()
    files(folder).setup()
    assert not warnings(caplog)


def test_one_class_by_labels_is_refused(folder, one_sentence):
    for path in folder.glob("*/dog/*"):
        path.unlink()
    for path in folder.glob("*/dog"):
        path.rmdir()
    with pytest.raises(ValueError, match="has 1 class folder, 'cat', must have at least 2") as error:
        files(folder).setup()
    one_sentence(error)


def test_a_root_that_is_a_file(folder, one_sentence):
    (folder.parent / "photos.zip").touch()
    with pytest.raises(ValueError, match=r"photos\.zip is a file, must be a folder") as error:
        files(folder.parent / "photos.zip").setup()
    one_sentence(error)


@pytest.mark.parametrize("options", [{}, {"check": "full"}])
def test_all_files_unreadable_though_they_are_skipped(folder, options, one_sentence):
    for path in folder.glob("*/*/*"):
        path.write_bytes(b"no image")
    module = files(folder, on_error="skip", **options)

    def start():
        module.setup()
        module.to_samples(next(iter(module.train_dataloader())))

    with pytest.raises(ValueError, match="repair or remove them") as error:
        start()
    one_sentence(error)
    assert "on_error" not in str(error.value)
