"""Collections of a few small files, for tests of what all collections share."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from ctc_lightning.data import Collection, ImageFiles, ImageSet, glyphs
from ctc_lightning.data.glyph_images import draw_glyphs

CLASSES = 4


class Squares(Collection):
    """PNGs ``SPLIT/cCLASS/NUMBER.png``; image n of a split is of class n mod 4."""

    title = "Squares"
    folder = "squares"
    how_to_get = "draw them"

    def __init__(self, image_size=8, **counts):
        self.counts = counts or {"train": 40, "test": 12}
        self.num_classes = {"class": CLASSES, "parity": 2}
        self.needs = ("train",)
        self.image_size = image_size
        self._reads = 0

    @property
    def reads(self):
        """How often a split was read."""
        return self._reads

    def available(self, folder):
        return tuple(split for split in self.counts if (folder / split).is_dir())

    def read(self, folder, split):
        self._reads += 1
        paths = sorted((folder / split).rglob("*.png"), key=lambda path: path.stem)
        label = torch.tensor([int(path.parent.name[1:]) for path in paths])
        labels = {"class": label, "parity": label % 2}
        classes = {"class": ("c0", "c1", "c2", "c3"), "parity": ("even", "odd")}
        return ImageFiles.of(folder, paths, labels, classes)

    def path(self, root, split, number):
        """The file of an image."""
        return root / self.folder / split / f"c{number % CLASSES}" / f"{number:03d}.png"

    def draw(self, root, size=(8, 8)):
        """Write the files, of one colour each."""
        return self._write(root, lambda number: np.full((*size, 3), self.colour(number), np.uint8))

    def draw_noise(self, root, size=(8, 8)):
        """Write files that no two pixels are alike in; every second one lies on its side."""
        rng = np.random.default_rng(0)
        return self._write(
            root, lambda number: rng.integers(0, 256, (*size[:: 1 - 2 * (number % 2)], 3), np.uint8)
        )

    def _write(self, root, pixels_of):
        for split, count in self.counts.items():
            for number in range(count):
                path = self.path(root, split, number)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels_of(number)).save(path)
        return root

    @staticmethod
    def colour(number):
        """Of image ``number`` of a split."""
        return number, 255 - number, 2 * number


class Pixels(Squares):
    """The same as one tensor, as CIFAR is."""

    def read(self, folder, split):
        files = super().read(folder, split)
        image = torch.stack([pixels(files.path(row)) for row in range(len(files))])
        return ImageSet(image, files.labels, files.classes)


def pixels(path):
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.fixture(scope="session")
def squares():
    """The class of the files."""
    return Squares


@pytest.fixture(scope="session")
def arrays():
    """The class of the same as one tensor."""
    return Pixels


@pytest.fixture(scope="session")
def pixels_of():
    """Reads a file with Pillow: (C, H, W) uint8."""
    return pixels


@pytest.fixture
def untouched():
    """Asserts that the global random states are what they were when the test began."""

    def state():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    before = state()

    def check():
        assert state() == before

    return check


@pytest.fixture
def one_sentence():
    """Checks that an error is one sentence that holds some texts."""

    def check(error, *texts):
        message = str(error.value)
        assert message.endswith(".")
        assert "\n" not in message
        assert ". " not in message
        for text in texts:
            assert str(text) in message

    return check


@pytest.fixture(scope="module", autouse=True)
def _images_are_drawn_anew():
    """Not as in other tests, which share them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glyphs, "draw_glyphs", draw_glyphs)
        yield
