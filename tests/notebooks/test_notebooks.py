"""Notebooks: each pair says the same, and each shows on small runs what it promises."""

import base64
import importlib.util
from io import BytesIO
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
from PIL import Image

from ctc_lightning.analysis import comparable, curves, information_curves, load_runs, sweep_table, trade_off

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = [path.stem for path in sorted(NOTEBOOKS.glob("[0-9]*.py"))]
LARGEST = 600_000  # bytes, or the repository grows by megabytes with each change


def load(name):
    """A script that is in no package."""
    spec = importlib.util.spec_from_file_location(name, NOTEBOOKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Execute a notebook in a folder of its own; what it shows."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def execute(name, **parameters):
        return Shown(load("execute").execute(NOTEBOOKS / f"{name}.py", parameters, tmp_path))

    return execute


class Shown:
    """The outputs of an executed notebook."""

    def __init__(self, notebook):
        self.outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]

    @property
    def pictures(self):
        """Those that are not blank."""
        data = [output.data["image/png"] for output in self.outputs if "image/png" in output.get("data", {})]
        images = [Image.open(BytesIO(base64.b64decode(png))).convert("L") for png in data]
        return [image for image in images if np.std(image) > 1]

    @property
    def text(self):
        """All that can be read, tables in plain text."""
        parts = [output.get("text", "") for output in self.outputs]
        for output in self.outputs:
            parts += [output.get("data", {}).get(kind, "") for kind in ("text/plain", "text/markdown")]
        return "\n".join(parts)

    def rows(self, *starts):
        """The numbers of the rows of tables that start with these words."""
        lines = [line.split() for line in self.text.splitlines()]
        return [line[len(starts) :] for line in lines if tuple(line[: len(starts)]) == starts]


def test_there_are_six_notebooks():
    assert NAMES == [
        "01_trade_off", "02_sweeps", "03_information_plane", "04_geometry", "05_your_own_images",
        "06_in_your_own_project",
    ]  # fmt: skip


def test_a_notebook_that_is_not_there_is_named():
    with pytest.raises(SystemExit, match="no notebook's name begins with 5; choose from 01_trade_off"):
        load("execute").main(["5"])


@pytest.mark.parametrize("name", NAMES)
def test_script_and_notebook_have_the_same_cells(name):
    script = jupytext.read(NOTEBOOKS / f"{name}.py")
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)

    def cells(one):
        return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in one.cells]

    assert cells(notebook) == cells(script), f"run python notebooks/execute.py {name[:2]}"


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_notebook_was_executed_in_order_and_is_small(name):
    path = NOTEBOOKS / f"{name}.ipynb"
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_parameters_have_a_cell_of_their_own(name):
    cells = jupytext.read(NOTEBOOKS / f"{name}.py").cells
    assert len([cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]) == 1


@pytest.mark.slow
def test_the_trade_off_shows_curves_peaks_and_words(shown, trade_off_runs, monkeypatch):
    monkeypatch.setenv("CTC_RUNS", str(trade_off_runs))
    found = shown("01_trade_off")
    assert len(found.pictures) == 3  # curves with plane, drop, best against last
    runs = comparable(load_runs(trade_off_runs))
    for method, of in runs.groupby("method"):
        (counted,) = found.rows("glyphs", method) or found.rows(method)
        assert counted == ["2", "4", "3", str(len(of))]  # seeds, checkpoints, epochs, numbers
    ends = trade_off(runs)
    peaks = ends[ends["method"] == "ce"].groupby("target", sort=False)["peak_epoch"].mean()
    printed = found.rows("CE")[0]
    assert sorted(printed) == sorted(f"{peak:.1f}" for peak in peaks)
    assert "- CE " in found.text  # the verdict


@pytest.mark.slow
def test_sweeps_show_the_numbers_of_every_pair_and_the_front(shown, sweep_runs, monkeypatch):
    monkeypatch.setenv("CTC_SWEEP", str(sweep_runs))
    found = shown("02_sweeps")
    assert len(found.pictures) == 2  # heat maps, plane
    table = sweep_table(comparable(load_runs(sweep_runs)))
    assert len(table) == 4
    for row in table.itertuples():
        assert f"{round(row.source_mean, 4):g}" in found.text
    # How much the temperature matters: the means over queue sizes, apart
    of_temperature = 100 * table.groupby("model.temperature")["transfer_mean"].mean()
    (effect,) = found.rows("transfer_mean")
    assert float(effect[0]) == pytest.approx(of_temperature.max() - of_temperature.min(), abs=0.006)


@pytest.mark.slow
def test_the_information_plane_shows_what_was_measured_curves_planes_and_words(
    shown, trade_off_runs, monkeypatch
):
    monkeypatch.setenv("CTC_RUNS", str(trade_off_runs))
    found = shown("03_information_plane")
    assert len(found.pictures) == 2  # over epochs, the plane
    measured = information_curves(comparable(load_runs(trade_off_runs)))
    for estimator, of in measured.groupby("estimator"):
        printed = next(line for line in found.text.splitlines() if f" {estimator} " in f" {line} ").split()
        assert {"2", "4", f"{of['value'].min():.2f}"} <= set(printed)  # methods and seeds, epochs, lowest
    assert "I(X;T_σ), σ = 1 (noisy channel) on source" in found.text
    assert "I(T;Y)" in found.text


@pytest.mark.slow
def test_geometry_shows_collapse_spectra_likeness_and_maps(shown, trade_off_runs, monkeypatch):
    monkeypatch.setenv("CTC_RUNS", str(trade_off_runs))
    found = shown("04_geometry", IMAGES=60)
    # numbers over time, spectra, CKA; for each of two methods principal components and UMAP
    assert len(found.pictures) == 3 + 2 * 2
    ends = curves(comparable(load_runs(trade_off_runs)))
    ends = ends[(ends["epoch"] == 3) & (ends["seed"] == 0) & (ends["target"] == "hue")]
    for method, name in {"ce": "CE", "ctc_queue": "queue"}.items():
        accuracy = 100 * ends.loc[ends["method"] == method, "test"].item()
        assert any(
            f"{accuracy:.1f}" == line.split()[-1] for line in found.text.splitlines() if "hue" in line
        ), name


@pytest.mark.slow
def test_own_images_go_from_a_folder_to_an_exported_backbone(shown, tmp_path):
    found = shown("05_your_own_images", WORK="work", IMAGES=160, EPOCHS=2)
    work = tmp_path / "work"
    assert len(list(work.glob("photos/shape_*/*.png"))) == 160
    assert len(found.pictures) == 3  # the images, the trade-off, the nearest
    assert (work / "exported" / "model.onnx").stat().st_size > 100_000
    assert (work / "exported" / "README.md").exists()
    assert "</html>" in (work / "report" / "report.html").read_text(encoding="utf-8")
    assert set(load_runs(work / "runs")["target"]) == {"source", "digits/digit"}
    commands = [line for line in found.text.splitlines() if line.startswith("python -m ctc_lightning.")]
    assert [line.split()[2] for line in commands] == [
        f"ctc_lightning.{name}" for name in ("train", "train", "transfer", "report", "export")
    ]
    assert "same class for" in found.text


@pytest.mark.slow
def test_a_project_of_ones_own_ends_with_the_same_network_loaded_again(shown, tmp_path):
    found = shown("06_in_your_own_project", WORK="work", IMAGES=160, EPOCHS=2)
    assert len(found.pictures) == 2  # the images, the accuracies
    assert {file.name for file in (tmp_path / "work").iterdir()} == {
        "start.pth",
        "mine.ckpt",
        "backbone.safetensors",
    }
    for method in ("cross-entropy", "temporal queue"):
        shape, hue = map(float, found.rows(*method.split())[0])
        assert 0 < shape <= 100
        assert 0 < hue <= 100
    assert "checkpoint: True" in found.text
    assert "backbone: True" in found.text
