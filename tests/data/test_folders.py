"""Class folders become sorted names, paths and labels; what a user gets wrong is said in one sentence."""

import os
from pathlib import Path

import pytest

from ctc_lightning.data.folders import find_classes, list_class_folders


@pytest.fixture
def folder(tmp_path):
    """Two classes of images, one in a subfolder, among files and folders that are none."""
    for path in (
        "dog/b.JPEG",
        "dog/a.png",
        "dog/notes.txt",
        "dog/old/c.webp",
        "dog/.d.jpg",
        "cat/z.jpg",
        ".cache/x.jpg",
        "read_me.jpg",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    return tmp_path


def test_classes_and_images_are_sorted_and_everything_else_is_passed_over(folder):
    classes, paths, label_N = list_class_folders(folder)
    assert classes == ["cat", "dog"]
    assert paths == ["cat/z.jpg", "dog/a.png", "dog/b.JPEG", "dog/old/c.webp"]
    assert label_N.tolist() == [0, 1, 1, 1]


def test_files_that_are_no_images_are_counted_in_the_log(folder, caplog):
    list_class_folders(folder)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{folder / 'dog'}: 1 files are passed over")


def test_same_images_as_torchvision_lists(folder):
    from torchvision.datasets import ImageFolder

    (folder / ".cache" / "x.jpg").unlink()
    (folder / ".cache").rmdir()
    (folder / "dog" / ".d.jpg").unlink()
    theirs = ImageFolder(str(folder))
    classes, paths, label_N = list_class_folders(folder)
    assert classes == theirs.classes
    assert [
        (str(folder / path), label) for path, label in zip(paths, label_N.tolist(), strict=True)
    ] == theirs.samples


def test_given_classes_fix_the_labels_order(folder):
    classes, paths, label_N = list_class_folders(folder, ["dog", "cat"])
    assert classes == ["dog", "cat"]
    assert dict(zip(paths, label_N.tolist(), strict=True))["cat/z.jpg"] == 1


def test_only_those_classes(folder):
    assert list_class_folders(folder, ["cat"], only_those=True)[:2] == (["cat"], ["cat/z.jpg"])


def test_links_to_class_folders_are_followed(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "1.jpg").touch()
    (folder / "bird").symlink_to(elsewhere)
    classes, paths, _ = list_class_folders(folder)
    assert classes[0] == "bird"
    assert paths[0] == "bird/1.jpg"


@pytest.mark.parametrize(("start", "root"), [(".", "."), ("..", "NAME"), ("cat", ".."), (".", "./")])
def test_a_relative_root(folder, monkeypatch, start, root):
    whole = list_class_folders(folder)[1]
    monkeypatch.chdir(folder / start)
    assert list_class_folders(Path(root.replace("NAME", folder.name)))[1] == whole


def test_classes_are_found_without_looking_into_them(folder, monkeypatch):
    scanned = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(path) or scan(path))
    assert find_classes(folder) == ["cat", "dog"]
    assert scanned == [folder]


def one_sentence(error, *parts):
    message = str(error.value)
    assert message.endswith(".")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_no_such_folder(tmp_path):
    with pytest.raises(ValueError, match="There is no folder") as error:
        list_class_folders(tmp_path / "nowhere")
    one_sentence(error, str(tmp_path / "nowhere"), "data.root=FOLDER")


def test_a_file_instead_of_a_folder(folder):
    with pytest.raises(ValueError, match=r"is a file, must be a folder") as error:
        list_class_folders(folder / "read_me.jpg")
    one_sentence(error, str(folder / "read_me.jpg"))


def test_images_without_class_folders(tmp_path):
    (tmp_path / "1.jpg").touch()
    with pytest.raises(ValueError, match="has no class folders") as error:
        list_class_folders(tmp_path)
    one_sentence(error, str(tmp_path / "CLASS" / "image.jpg"))


def test_empty_class_folders_are_counted_and_three_named(folder):
    for name in "vwxyz":
        (folder / name).mkdir()
    with pytest.raises(ValueError, match="No images in 5 of the class folders") as error:
        list_class_folders(folder)
    one_sentence(error, "'v', 'w', 'x' and 2 more", ".jpeg")
    assert "'y'" not in str(error.value)
    assert "files ending" not in str(error.value)


def test_class_folders_with_files_that_are_no_images(folder):
    (folder / "cow").mkdir()
    (folder / "cow" / "1.heic").touch()
    with pytest.raises(ValueError, match="No images in 1 of") as error:
        list_class_folders(folder)
    one_sentence(error, "'cow'", "'.heic'")


def test_a_class_that_train_lacks(folder):
    with pytest.raises(ValueError, match="which the training images lack") as error:
        list_class_folders(folder, ["cat"])
    one_sentence(error, "'dog'", "'cat'")


def test_a_class_that_is_missing(folder):
    with pytest.raises(ValueError, match="lacks 'horse' of the 3 classes") as error:
        list_class_folders(folder, ["cat", "dog", "horse"])
    one_sentence(error)


def deny(monkeypatch, path):
    """Permission bits do not bind root, who runs tests in containers."""
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: str(p) != str(path) and allowed(p, mode))


@pytest.mark.parametrize("denied", [".", "dog", "dog/old"])
def test_a_folder_that_may_not_be_read(folder, monkeypatch, denied):
    deny(monkeypatch, folder / denied)
    with pytest.raises(ValueError, match=r"cannot be read \(Permission denied\)") as error:
        list_class_folders(folder)
    one_sentence(error, f"folder {folder / denied} ")


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    deny(monkeypatch, folder / "dog" / "a.png")
    with pytest.raises(ValueError, match="may not be read") as error:
        list_class_folders(folder)
    one_sentence(error, str(folder / "dog" / "a.png"))


@pytest.mark.parametrize("target", [".", "dog"])
def test_a_folder_that_links_to_one_above_it(folder, target):
    (folder / "dog" / "old" / "loop").symlink_to(folder / target)
    with pytest.raises(ValueError, match="is a link to a folder that it lies in: remove the link") as error:
        list_class_folders(folder)
    one_sentence(error, str(folder / "dog" / "old" / "loop"))


@pytest.mark.parametrize("place", ["loop", "dog/loop"])
def test_a_link_to_itself(folder, place):
    (folder / place).symlink_to(folder / place)
    with pytest.raises(ValueError, match="cannot be read") as error:
        list_class_folders(folder)
    one_sentence(error, str(folder / place), "mend or remove the link")


def test_two_links_to_one_folder_are_no_loop(folder):
    for name in ("1", "2"):
        (folder / "dog" / name).symlink_to(folder / "cat")
    assert list_class_folders(folder)[1][1:3] == ["dog/1/z.jpg", "dog/2/z.jpg"]


def test_a_single_class(tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "dog").mkdir()
    with pytest.raises(ValueError, match="has 1 class folder, 'photos', must have at least 2") as error:
        list_class_folders(tmp_path)
    one_sentence(error, f"data.root={tmp_path / 'photos'}", "2 folders are the classes")
