"""Collections decoded to memory: the files' pixels, their labels, and what happens to unreadable ones."""

import logging
import os
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from pytorch_lightning.plugins.precision import Precision
from torchvision.transforms import InterpolationMode, v2

from ctc_lightning.data import CachedDataModule, RandomCrop
from ctc_lightning.data.image_set import ImageFiles


@pytest.fixture
def make(tmp_path):
    """A data module of a collection below ``tmp_path``, set up."""

    def make(collection, *, setup=True, **options):
        options = {
            "root": str(tmp_path),
            "cache_dir": str(tmp_path / "cache"),
            "batch_size": 8,
            "eval_batch_size": 5,
            "val_share": 0.2,
            "num_workers": 0,
            **options,
        }
        data = CachedDataModule(name="squares", collection=collection, **options)
        if setup:
            data.setup()
        return data

    return make


def numbers(image_NCHW):
    """Which image of its split each is, of images of one colour."""
    assert torch.equal(image_NCHW[:, 0] + image_NCHW[:, 1], torch.full_like(image_NCHW[:, 0], 255))
    return image_NCHW[:, 0, 0, 0].tolist()


def standardised(data, image):
    return (image.double() / 255 - data.mean[:, None, None]) / data.std[:, None, None]


# ---------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("num_workers", [0, 2])
def test_pixels_and_labels_are_those_of_the_files(num_workers, squares, make, tmp_path, pixels_of):
    collection = squares()
    collection.draw_noise(tmp_path)
    data = make(collection, num_workers=num_workers)
    for split, images in data.splits().items():
        cached = data.image_sets["source"][split]
        assert isinstance(images, ImageFiles)
        for row in range(len(images)):
            assert torch.equal(cached.image[row], pixels_of(images.path(row)))
        assert cached.labels.keys() == images.labels.keys()
        assert all(torch.equal(cached.labels[label], images.labels[label]) for label in images.labels)
        assert cached.classes == images.classes


@pytest.mark.parametrize("size", [8, 5, 13])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_arrays_and_files_agree_at_any_size(size, interpolation, squares, arrays, make, tmp_path):
    squares().draw_noise(tmp_path)
    of_files = make(squares(), image_size=size, interpolation=interpolation)
    of_arrays = make(arrays(), image_size=size, interpolation=interpolation)
    for split in ("train", "val", "test"):
        one, other = (data.image_sets["source"][split] for data in (of_files, of_arrays))
        assert one.image.shape[1:] == (3, size, size)
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.labels["class"], other.labels["class"])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "image_size"), [((12, 9), 6), ((7, 10), 11), ((6, 15), 6)])
def test_resizing_is_torchvision_s(size, image_size, interpolation, squares, make, tmp_path, pixels_of):
    collection = squares(image_size=None)
    collection.draw_noise(tmp_path, size)
    data = make(collection, image_size=image_size, interpolation=interpolation)
    mode = InterpolationMode(interpolation)
    expected = v2.Compose([v2.Resize(image_size, mode, antialias=True), v2.CenterCrop(image_size)])
    files = data.splits()["test"]
    for row, image_CSS in enumerate(data.image_sets["source"]["test"].image):
        assert torch.equal(image_CSS, expected(pixels_of(files.path(row))))


@pytest.mark.parametrize("kind", ["squares", "arrays"])
def test_without_validation_images_the_test_images_are_both(kind, make, tmp_path, request):
    collection = request.getfixturevalue(kind)
    collection().draw(tmp_path)
    for _ in range(2):  # built, then found
        source = make(collection(), val_share=0).image_sets["source"]
        for split in ("val", "test"):
            assert numbers(source[split].image) == list(range(12))
            assert source[split].labels["class"].tolist() == [number % 4 for number in range(12)]
        assert len(source["train"]) == 40


def test_images_of_many_sizes_need_an_image_size(squares, make, tmp_path, one_sentence):
    squares().draw_noise(tmp_path, (12, 9))
    with pytest.raises(ValueError, match="different sizes") as error:
        make(squares(image_size=None))
    one_sentence(error, "data=squares", "data.image_size")


# ---------------------------------------------------------------------------------------------------- labels


def test_what_the_network_needs_comes_from_the_data(squares, make, tmp_path):
    squares().draw(tmp_path, (7, 7))
    data = make(squares(), image_size=6)
    assert (data.source_label, data.num_classes, data.classes) == ("class", 4, ("c0", "c1", "c2", "c3"))
    assert (data.num_images, data.image_shape) == (32, (3, 6, 6))
    images = data.image_sets["source"]["train"].image.double() / 255
    assert data.mean.tolist() == pytest.approx(images.mean((0, 2, 3)).tolist(), abs=1e-6)
    assert data.std.tolist() == pytest.approx(images.std((0, 2, 3), correction=0).tolist(), abs=1e-6)


def test_another_label_can_be_the_source_and_the_rest_are_targets(squares, make, tmp_path):
    squares().draw(tmp_path)
    assert make(squares()).targets == {"parity": "source"}
    data = make(squares(), source_label="parity")
    assert data.targets == {"class": "source"}
    assert (data.num_classes, data.classes) == (2, ("even", "odd"))
    (batch, *_) = (data.on_after_batch_transfer(rows, 0) for rows in data.test_dataloader())
    assert batch.label.tolist() == [0, 1, 0, 1]
    assert torch.equal(data.train_label, data.image_sets["source"]["train"].labels["class"] % 2)


def test_an_unknown_source_label_is_refused_before_anything_is_read(squares, make, one_sentence):
    with pytest.raises(ValueError, match="source_label") as error:
        make(squares(), setup=False, source_label="colour")
    one_sentence(error, "'colour'", "class, parity")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"image_size": 0}, ("image_size is 0", "at least 1")),
        ({"val_share": 1.0}, ("val_share is 1.0", "below 1")),
        ({"split_seed": -1}, ("split_seed is -1",)),
        ({"num_workers": -1}, ("num_workers is -1",)),
        ({"interpolation": "nearest"}, ("interpolation is 'nearest'", "'bilinear', 'bicubic'")),
        ({"on_error": "ignore"}, ("on_error is 'ignore'", "'stop', 'skip'")),
    ],
)
def test_refuses_wrong_options(option, words, squares, make, one_sentence):
    with pytest.raises(ValueError, match="is ") as error:
        make(squares(), setup=False, **option)
    one_sentence(error, *words)


# --------------------------------------------------------------------------------------------------- batches


def test_a_batch_is_images_labels_and_rows_that_belong_together(squares, make, tmp_path):
    collection = squares(train=24, val=8, test=12)
    collection.draw(tmp_path)
    data = make(collection)
    for split, loader in {"train": data.train_dataloader(), "test": data.test_dataloader()}.items():
        seen = []
        for rows in loader:
            batch = data.on_after_batch_transfer(rows, 0)
            image = data.image_sets["source"][split].image[batch.index]
            torch.testing.assert_close(batch.view.double(), standardised(data, image), atol=1e-5, rtol=0)
            assert numbers(image) == batch.index.tolist()
            assert batch.label.tolist() == [row % 4 for row in batch.index.tolist()]
            seen += batch.index.tolist()
        assert sorted(seen) == list(range(len(data.image_sets["source"][split])))


def test_the_index_is_the_data_set_s_row_on_every_rank(squares, make, tmp_path):
    collection = squares(train=24, val=8, test=12)
    collection.draw(tmp_path)
    seen = []
    for rank in range(2):
        data = make(collection, batch_size=4)
        data.trainer = SimpleNamespace(world_size=2, global_rank=rank, precision_plugin=Precision())
        for rows in data.train_dataloader():
            batch = data.on_after_batch_transfer(rows, 0)
            image = data.image_sets["source"]["train"].image[batch.index]
            torch.testing.assert_close(batch.view.double(), standardised(data, image), atol=1e-5, rtol=0)
            seen += batch.index.tolist()
    assert sorted(seen) == list(range(24))


def test_no_global_random_state_is_touched(squares, make, tmp_path, untouched):
    squares().draw(tmp_path)
    data = make(squares(), augmentation=RandomCrop(1), key_augmentation=RandomCrop(1), num_workers=1)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for rows in loader:
            data.on_after_batch_transfer(rows, 0)
    untouched()


# ----------------------------------------------------------------------------------------------------- cache


def test_the_second_run_reads_no_file(squares, make, tmp_path):
    squares().draw(tmp_path)
    first = make(squares())
    again = squares()
    second = make(again)
    assert again.reads == 0
    for split in ("train", "val", "test"):
        one, other = (data.image_sets["source"][split] for data in (first, second))
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.labels["class"], other.labels["class"])
        assert one.classes == other.classes


def test_changed_files_give_new_pixels_even_those_that_the_collection_does_not_list(squares, make, tmp_path):
    collection = squares(train=24, val=8, test=12)
    collection.draw(tmp_path)
    assert numbers(make(collection).image_sets["source"]["test"].image) == list(range(12))
    assert collection.needs == ("train",)
    Image.new("RGB", (8, 8), collection.colour(99)).save(collection.path(tmp_path, "test", 5))
    seen = numbers(make(collection).image_sets["source"]["test"].image)
    assert seen == [0, 1, 2, 3, 4, 99, 6, 7, 8, 9, 10, 11]


def test_other_options_are_not_served_from_the_same_cache(squares, make, tmp_path):
    squares().draw_noise(tmp_path)
    make(squares())
    assert make(squares(), image_size=4).image_shape == (3, 4, 4)
    assert len(make(squares(), val_share=0.4).image_sets["source"]["val"]) == 16
    one, other = (
        make(squares(), image_size=5, interpolation=interpolation).image_sets["source"]["test"].image
        for interpolation in ("bilinear", "bicubic")
    )
    assert not torch.equal(one, other)


def test_a_cache_below_the_data_set_s_own_folder_is_found_again(squares, make, tmp_path):
    """The data root may be the data set's folder, and hold the cache as well."""
    squares().draw(tmp_path)
    root = str(tmp_path / "squares")
    again = squares()
    for collection in (squares(), again):
        make(collection, root=root, cache_dir=f"{root}/cache")
    assert again.reads == 0


# ------------------------------------------------------------------------------------------------ unreadable


@pytest.fixture
def broken(squares, tmp_path):
    """Training images 3, 4 and 23 of 24 are no images."""
    collection = squares(train=24, val=8, test=12)
    collection.draw(tmp_path)
    for number in (3, 4, 23):
        collection.path(tmp_path, "train", number).write_bytes(b"not an image")
    return collection


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_files_stop_and_are_named(num_workers, broken, make, tmp_path, one_sentence):
    with pytest.raises(ValueError, match="3 of 24 files") as error:
        make(broken, num_workers=num_workers)
    one_sentence(error, *(broken.path(tmp_path, "train", n) for n in (3, 4, 23)), "data.on_error=skip")


def test_repaired_files_are_read(broken, make, tmp_path):
    with pytest.raises(ValueError, match="unreadable"):
        make(broken)
    broken.draw(tmp_path)
    data = make(broken)
    assert numbers(data.image_sets["source"]["train"].image) == list(range(24))
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1  # nothing half-built


@pytest.mark.parametrize("num_workers", [0, 2])
def test_skipping_replaces_by_the_next_readable_image_with_its_labels(num_workers, broken, make, caplog):
    expected = list(range(24))
    expected[3], expected[4], expected[23] = 5, 5, 0
    for _ in range(2):  # built, then found
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            data = make(broken, on_error="skip", num_workers=num_workers)
        train = data.image_sets["source"]["train"]
        assert numbers(train.image) == expected
        assert train.labels["class"].tolist() == [number % 4 for number in expected]
        assert train.labels["parity"].tolist() == [number % 2 for number in expected]
        assert data.num_replaced == 3
        assert "3 unreadable images" in caplog.text


def test_skipping_cannot_replace_all_of_them(squares, make, tmp_path):
    collection = squares(train=8, val=4, test=4)
    collection.draw(tmp_path)
    for number in range(4):
        collection.path(tmp_path, "val", number).write_bytes(b"")
    with pytest.raises(ValueError, match="4 of 4 files") as error:
        make(collection, on_error="skip")
    assert str(error.value).endswith(": repair or remove them.")


def test_names_of_another_encoding(squares, make, tmp_path):
    collection = squares()
    collection.draw(tmp_path)
    expected = make(collection).image_sets["source"]["train"].image
    path = collection.path(tmp_path, "train", 5)
    path.rename(path.with_name(os.fsdecode(b"005\xe9.png")))
    renamed = make(collection)
    assert torch.equal(renamed.image_sets["source"]["train"].image, expected)


def test_large_images_are_unreadable_or_allowed(squares, make, tmp_path, one_sentence):
    squares().draw(tmp_path)
    with pytest.raises(ValueError, match="unreadable") as error:
        make(squares(), max_pixels=63)
    one_sentence(error, "64 pixels", "at most 63", "max_pixels")
    assert make(squares(), max_pixels=64).num_images
    with pytest.raises(ValueError, match="max_pixels is 0"):
        make(squares(), max_pixels=0)
