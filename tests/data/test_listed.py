"""Files that a data set lists: checked to be there; whatever goes wrong on the way is one sentence."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from ctc_lightning.data.listed import from_lists, from_pairs, missing, reading, undecoded
from ctc_lightning.data.sets.caltech101 import Caltech101
from ctc_lightning.data.sets.dtd import DTD
from ctc_lightning.data.sets.eurosat import EuroSAT
from ctc_lightning.data.sets.fgvc_aircraft import FGVCAircraft
from ctc_lightning.data.sets.flowers102 import Flowers102
from ctc_lightning.data.sets.food101 import Food101
from ctc_lightning.data.sets.oxford_pets import OxfordPets
from ctc_lightning.data.sets.voc2007 import VOC2007

DOWNLOADS = [Caltech101, DTD, EuroSAT, FGVCAircraft, Flowers102, Food101, OxfordPets, VOC2007]


@pytest.fixture
def folder(tmp_path):
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def one_sentence(error):
    message = str(error.value)
    return message.endswith(".") and "\n" not in message


def test_paths_keep_their_order_and_become_relative(folder):
    paths = [folder / "b/3.jpg", folder / "a/1.jpg"]
    files = from_lists(paths, torch.tensor([1, 0]), folder, ["x", "y"], "Set")
    assert [files.path(row) for row in range(2)] == paths
    assert files.name.tolist() == [b"b/3.jpg", b"a/1.jpg"]
    assert files.classes == {"class": ("x", "y")}


def test_a_relative_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    base = Path(folder.name)
    files = from_lists([base / "a/1.jpg"], torch.tensor([0]), base, [], "Set")
    assert files.path(0).is_file()


def test_pairs_of_path_and_class(folder):
    files = from_pairs([(folder / "a/2.jpg", 4), (folder / "b/3.jpg", 0)], folder, [], "Set")
    assert files.labels["class"].tolist() == [4, 0]
    assert files.labels["class"].dtype == torch.int64
    assert [files.path(row).name for row in range(2)] == ["2.jpg", "3.jpg"]


class Old:
    """A data set as torchvision 0.21 has it, most of them; it decodes what one asks for."""

    def __init__(self, root, split):
        self._image_files = [root / split / "1.jpg", root / split / "2.jpg"]
        self._labels = [3, 0]

    def __getitem__(self, row):
        raise AssertionError("decoded")


class OldCars(Old):
    """As that version has Stanford Cars."""

    def __init__(self, root, split):
        self._samples = [(str(root / split / "1.jpg"), 3), (str(root / split / "2.jpg"), 0)]


class New:
    """As torchvision has them since 0.22."""

    def __init__(self, root, split, loader):
        self.paths, self.loader = [str(root / split / "1.jpg"), str(root / split / "2.jpg")], loader

    def __len__(self):
        return 2

    def __getitem__(self, row):
        return self.loader(self.paths[row]), [3, 0][row]


@pytest.mark.parametrize("make", [Old, OldCars, New])
def test_every_torchvision_tells_paths_without_decoding(tmp_path, make):
    dataset, pairs = undecoded(make, tmp_path, split="a")
    assert isinstance(dataset, make)
    assert pairs == [(tmp_path / "a" / "1.jpg", 3), (tmp_path / "a" / "2.jpg", 0)]


def test_files_and_folders_that_are_missing(folder):
    wanted = [folder / name for name in ("a/1.jpg", "a/4.jpg", "c/1.jpg", "b/3.jpg")]
    assert missing(wanted) == [folder / "a/4.jpg", folder / "c/1.jpg"]
    with pytest.raises(ValueError, match=r"Set: .* lacks 2 of the 4 images") as error:
        from_lists(wanted, torch.zeros(4), folder, [], "Set")
    assert one_sentence(error)
    assert "a/4.jpg the first" in str(error.value)


def test_empty_lists(folder):
    with pytest.raises(ValueError, match="name no images") as error:
        from_lists([], torch.zeros(0), folder, [], "Set")
    assert one_sentence(error)


def test_what_a_reader_stumbles_over_is_one_sentence(folder):
    with (
        pytest.raises(ValueError, match=r"lists of Set .* \(KeyError: 'x y'\)") as error,
        reading("Set", folder),
    ):
        raise KeyError("x\n  y".replace("\n ", ""))
    assert one_sentence(error)
    with pytest.raises(ValueError, match=r"two lines\)") as error, reading("Set", folder):
        raise RuntimeError("two\nlines.")
    assert one_sentence(error)


def test_a_file_that_may_not_be_read_is_left_to_who_can_name_it(folder):
    with pytest.raises(PermissionError), reading("Set", folder):
        raise PermissionError(13, "Permission denied", "x")


@pytest.mark.parametrize("collection", DOWNLOADS)
def test_a_download_without_connection(collection, tmp_path, monkeypatch):
    asked = []

    def refuse(request, *args, **kwargs):
        asked.append(request.full_url)
        raise URLError("no connection")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert collection.downloads
    assert f"ctc_lightning.data get {collection.__module__.rpartition('.')[2]}" in collection.how_to_get
    with pytest.raises(ValueError, match=r"could not be downloaded into .*no connection") as error:
        collection().download(tmp_path)
    assert one_sentence(error)
    assert asked
