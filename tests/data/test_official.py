"""The splits of a collection on disk: what is refused, and what is held out."""

import json
import logging
from pathlib import Path

import pytest
import torch

from ctc_lightning.data.splits_on_disk import complete_splits, locate, read_splits


@pytest.fixture
def read(tmp_path):
    """Find and read a collection below ``tmp_path``."""

    def read(collection, root=tmp_path, **options):
        options = {"val_share": 0.2, "split_seed": 0, "sizes": {}, **options}
        folder = locate(collection, root, "squares")
        own = read_splits(collection, folder, name="squares", check_counts=options.pop("check_counts", True))
        records = tmp_path / "records"
        return complete_splits(
            own, folder, name="squares", choices=collection.choices(), records=records, **options
        )

    return read


def names(images):
    return [images.name[row].decode() for row in range(len(images))]


# ---------------------------------------------------------------------------------------------- what is there


def test_a_missing_root_is_named_with_how_to_get_the_data(squares, tmp_path, read, one_sentence):
    with pytest.raises(ValueError, match="does not exist") as error:
        read(squares(), tmp_path / "nowhere")
    one_sentence(error, "data=squares", tmp_path / "nowhere", "draw them", "data.root")


def test_a_data_set_that_is_not_whole_is_refused_with_what_it_lacks(squares, tmp_path, one_sentence):
    collection = squares()
    collection.draw(tmp_path)
    collection.needs = ("train", "test", "meta/list.txt")
    with pytest.raises(ValueError, match=r"lacks meta/list\.txt") as error:
        locate(collection, tmp_path, "squares")
    one_sentence(error, tmp_path / "squares", "draw them", "data.root")


def test_the_root_may_be_the_data_set_s_own_folder(squares, tmp_path):
    squares().draw(tmp_path)
    assert locate(squares(), tmp_path, "squares") == tmp_path / "squares"
    assert locate(squares(), tmp_path / "squares", "squares") == tmp_path / "squares"


def test_wrong_counts_are_refused_with_both_numbers(squares, tmp_path, read, one_sentence):
    squares(train=40, test=11).draw(tmp_path)
    with pytest.raises(ValueError, match="instead of") as error:
        read(squares(train=41, test=12))
    one_sentence(error, "40 train images instead of 41", "11 test images instead of 12", "check_counts=false")


def test_wrong_counts_are_accepted_on_request_and_where_counts_may_differ(squares, tmp_path, read):
    squares().draw(tmp_path)
    assert len(read(squares(train=41, test=12), check_counts=False)["test"]) == 12
    lost = squares(train=41, test=12)
    lost.counts_may_differ = True
    assert len(read(lost)["test"]) == 12


def test_a_file_that_may_not_be_read_is_named(squares, tmp_path, read, one_sentence):
    class Locked(squares):
        def read(self, folder, split):
            raise PermissionError(13, "Permission denied", str(folder / split / "list.txt"))

    squares().draw(tmp_path)
    with pytest.raises(ValueError, match="permissions") as error:
        read(Locked())
    one_sentence(error, "data=squares", tmp_path / "squares" / "train" / "list.txt")


def test_a_root_that_may_not_be_entered_is_named(squares, tmp_path, read, one_sentence, monkeypatch):
    def exists(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", exists)  # chmod does not stop the superuser, who may run the tests
    with pytest.raises(ValueError, match="permissions") as error:
        read(squares())
    one_sentence(error, "data=squares", tmp_path / "squares" / "train")


# ------------------------------------------------------------------------------------------------- held out


def test_validation_images_are_held_out_of_the_training_images(squares, tmp_path, read):
    collection = squares()
    collection.draw(tmp_path)
    whole = collection.read(tmp_path / "squares", "train")
    splits = read(collection)
    assert (len(splits["train"]), len(splits["val"]), len(splits["test"])) == (32, 8, 12)
    assert sorted(names(splits["train"]) + names(splits["val"])) == sorted(names(whole))
    for images in splits.values():  # names and labels still belong together
        assert images.labels["class"].tolist() == [int(name.split("/")[1][1:]) for name in names(images)]


def test_what_is_held_out_is_stratified(squares, tmp_path, read):
    squares().draw(tmp_path)
    assert torch.bincount(read(squares())["val"].labels["class"]).tolist() == [2, 2, 2, 2]


def test_what_is_held_out_is_the_same_the_second_time_and_differs_by_seed(squares, tmp_path, read):
    squares().draw(tmp_path)
    first = names(read(squares())["val"])
    assert names(read(squares())["val"]) == first
    assert names(read(squares(), split_seed=1)["val"]) != first


def test_what_is_held_out_is_written_down_once_for_each_choice(squares, tmp_path, read):
    squares().draw(tmp_path)
    for options in ({}, {}, {"split_seed": 1}, {"val_share": 0.1}):
        read(squares(), **options)
    written = [json.loads(path.read_text()) for path in (tmp_path / "records").iterdir()]
    assert sorted((record["share"], record["seed"]) for record in written) == [(0.1, 0), (0.2, 0), (0.2, 1)]
    assert {record["of"] for record in written} == {40}
    assert {record["folder"] for record in written} == {str(tmp_path / "squares")}


def test_a_folder_of_records_that_cannot_be_written_to_is_named(squares, tmp_path, read, one_sentence):
    squares().draw(tmp_path)
    (tmp_path / "records").touch()
    with pytest.raises(OSError, match="cannot be written") as error:
        read(squares())
    one_sentence(error, tmp_path / "records", "data.cache_dir")


@pytest.mark.parametrize("older", [False, True])
def test_changed_data_are_refused_until_a_new_split_is_asked_for(
    older, squares, tmp_path, read, one_sentence
):
    squares().draw(tmp_path)
    read(squares())
    (record,) = (tmp_path / "records").iterdir()
    if older:  # as earlier versions wrote it
        written = json.loads(record.read_text())
        del written["classes"]
        record.write_text(json.dumps(written))
    squares(train=42, test=12).draw(tmp_path)
    with pytest.raises(ValueError, match="has changed") as error:
        read(squares(), check_counts=False)
    counts = [] if older else ["10 then and 11 now of 'c0', 10 then and 11 now of 'c1'"]
    one_sentence(error, "40 images to hold out of then, 42 now", *counts, "data.resplit=true")
    splits = read(squares(), check_counts=False, resplit=True)
    assert len(splits["train"]) + len(splits["val"]) == 42
    assert names(read(squares(), check_counts=False)["val"]) == names(splits["val"])


def test_a_part_of_a_split_is_a_stratified_draw_of_what_remains(squares, tmp_path, read):
    squares().draw(tmp_path)
    whole = read(squares())
    part = read(squares(), sizes={"train": 8, "val": None, "test": 100})
    assert torch.bincount(part["train"].labels["class"]).tolist() == [2, 2, 2, 2]
    assert set(names(part["train"])) < set(names(whole["train"]))
    assert names(part["val"]) == names(whole["val"])
    assert names(part["test"]) == names(whole["test"])


def test_all_but_a_few_images_of_a_split_can_be_used(squares, tmp_path, read):
    squares().draw(tmp_path)
    assert len(read(squares(), sizes={"test": 11})["test"]) == 11


def test_another_choice_of_the_collection_has_a_record_of_its_own(squares, tmp_path, read):
    """As EMNIST's splits and SVHN's extra images, which lie in one folder and differ in number."""
    for num in (40, 44, 44):
        squares(train=num, test=12).draw(tmp_path)
        splits = read(squares(train=num, test=12))
        assert len(splits["train"]) + len(splits["val"]) == num
    assert len(list((tmp_path / "records").iterdir())) == 2


def test_a_validation_split_of_its_own_is_left_alone(squares, tmp_path, read):
    collection = squares(train=16, val=8, test=4)
    collection.draw(tmp_path)
    splits = read(collection)
    assert [len(splits[split]) for split in ("train", "val", "test")] == [16, 8, 4]
    assert not (tmp_path / "records").exists()


def test_with_a_share_of_0_validation_is_the_test_split_and_says_so(squares, tmp_path, read, caplog):
    squares().draw(tmp_path)
    with caplog.at_level(logging.WARNING):
        splits = read(squares(), val_share=0)
    assert splits["val"] is splits["test"]
    assert len(splits["train"]) == 40
    (said,) = caplog.messages
    assert "validation uses the test images, as data.val_share is 0, " in said
    assert "best.ckpt" in said
    assert said.endswith("set data.val_share=0.1 to hold out training images instead.")


def test_a_number_of_images_of_a_split_that_there_is_not_is_said_to_have_no_effect(
    squares, tmp_path, read, caplog
):
    collection = squares(train=16, val=8)
    collection.draw(tmp_path)
    with caplog.at_level(logging.WARNING):
        splits = read(collection, sizes={"val": 4, "test": 2})
    assert len(splits["test"]) == len(splits["val"]) == 4
    assert "data.num_test has no effect" in caplog.text


def test_without_test_images_the_validation_images_are_both_and_says_so(squares, tmp_path, read, caplog):
    collection = squares(train=16, val=8)
    collection.draw(tmp_path)
    with caplog.at_level(logging.WARNING):
        splits = read(collection)
    assert splits["test"] is splits["val"]
    (said,) = caplog.messages
    assert "there are no test images, so the test uses the validation images, " in said
    assert said.endswith("; add a test split.")


def test_training_images_alone_need_a_share_to_hold_out(squares, tmp_path, read, one_sentence):
    collection = squares(train=16)
    collection.draw(tmp_path)
    with pytest.raises(ValueError, match="training images only") as error:
        read(collection, val_share=0)
    one_sentence(error, "data.val_share is 0", "data.val_share=0.1")
    splits = read(collection, val_share=0.25)
    assert (len(splits["train"]), len(splits["val"])) == (12, 4)
