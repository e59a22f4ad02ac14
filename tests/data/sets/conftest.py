"""Tiny image files, each of which says in its pixels whose it is."""

import numpy as np
import pytest
from PIL import Image

SIZE = 8


class TinyImages:
    """Writes 8 x 8 images whose grey level is a number of the test's choice, and reads it back."""

    def write(self, path, level):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((SIZE, SIZE, 3), level, np.uint8)).save(path)

    def write_all(self, folder, names, level):
        for name in names:
            self.write(folder / name, level)

    def level(self, path):
        """Even of a JPEG: one grey level throughout survives its compression to one step."""
        with Image.open(path) as image:
            return round(float(np.asarray(image.convert("L")).mean()))

    def levels(self, files):
        """Of every file of an `ImageFiles`."""
        return [self.level(files.path(row)) for row in range(len(files))]


@pytest.fixture(scope="session")
def tiny_images():
    return TinyImages()


@pytest.fixture
def one_sentence():
    """Checks that an error is one sentence that holds some texts."""

    def check(error, *texts):
        message = str(error.value)
        assert message.endswith(".")
        assert "\n" not in message
        for text in texts:
            assert text in message

    return check
