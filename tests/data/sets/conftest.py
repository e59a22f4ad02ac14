"""What tests of data sets share: tiny images that say whose they are, and a web server to download from."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

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


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Tests print nothing."""


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A folder, and the address under which its files are served."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "web"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
