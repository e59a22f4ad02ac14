"""Predictions of a folder are those of the network on its images, for every kind of checkpoint."""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from torchvision.transforms.v2 import functional as tv

import ctc_lightning
import programs
from ctc_lightning import CTCModule, load_data
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.results import ResultsTable
from ctc_lightning.export.command import export
from ctc_lightning.prediction.predict import write_predictions

NAMES = ["0.png", "B/deep/er/1.png", "a b.jpg", "a/2.png", "a/3.PNG", "b/c.png", "b/grey.png", "é/4.png"]
BROKEN = ["a/cut.png", "b/empty.jpg"]
CLASSES = ["ant", "bee", "cat", "dog", "elk", "fox"]
SIZE, MEAN, STD = 16, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A tree of images of several sizes, two broken ones, and files that are no images."""
    root = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels[..., 0] if "grey" in name else pixels).save(file)
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, "PNG")
    (root / BROKEN[0]).write_bytes(whole.getvalue()[:200])
    (root / BROKEN[1]).touch()
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(whole.getvalue())
    return root


@pytest.fixture(scope="module", params=["timm/resnet10t", "cifar/resnet8"])
def run(request, tmp_path_factory):
    """A run directory, and the module that it holds."""
    folder = tmp_path_factory.mktemp("run")
    module = CTCModule.from_preset("ce", backbone=request.param, num_classes=6, image_size=SIZE).eval()
    for parameter in module.classifier.parameters():
        torch.nn.init.normal_(parameter)
    checkpoint = {
        "state_dict": module.state_dict(),
        "config": {**module.config, "method": "ce", "seed": 0, "trainer": {"max_epochs": 1}}
        | {"data": {"name": "pets", "crop_share": 0.8, "interpolation": "bicubic"}},
        "classes": CLASSES,
        "input": {"shape": (3, SIZE, SIZE), "mean": MEAN, "std": STD},
        "loops": {
            "fit_loop": {
                "epoch_progress": {"current": {"ready": 1, "processed": 1}},
                "epoch_loop.batch_progress": {"current": {"completed": 3}, "total": {"completed": 3}},
            }
        },
        "global_step": 3,
    }
    (folder / "checkpoints").mkdir()
    torch.save(checkpoint, folder / "checkpoints" / "last.ckpt")
    return folder, module


def expected(module, images):
    """Features and probabilities by path, computed one by one with torchvision."""
    found = {}
    for name in NAMES:
        pixels = torch.from_numpy(np.array(Image.open(images / name).convert("RGB"))).permute(2, 0, 1)
        pixels = tv.resize(pixels, [SIZE * 5 // 4], tv.InterpolationMode.BICUBIC, antialias=True)
        x_BCHW = tv.normalize(tv.center_crop(pixels, [SIZE, SIZE]) / 255, MEAN, STD)[None]
        with torch.no_grad():
            found[name] = (module.backbone(x_BCHW)[0].numpy(), module(x_BCHW).softmax(1)[0].numpy())
    return found


def test_rows_are_the_images_by_path_with_the_networks_own_probabilities(run, images, tmp_path):
    folder, module = run
    output, embeddings = tmp_path / "new" / "predictions.csv", tmp_path / "embeddings.npy"
    frame = ctc_lightning.predict(folder, images, output=output, embeddings=embeddings, num_workers=0, top=3)
    assert frame["path"].tolist() == sorted([*NAMES, *BROKEN])
    written = pd.read_csv(output).fillna({"error": ""})
    assert written.columns.tolist() == frame.columns.tolist()
    assert written["path"].tolist() == frame["path"].tolist()
    assert written["error"].tolist() == frame["error"].tolist()
    np.testing.assert_array_equal(written["probability"].astype("f4"), frame["probability"].astype("f4"))

    by_path, truth = frame.set_index("path"), expected(module, images)
    features = dict(zip(frame["path"], np.load(embeddings), strict=True))
    for name in NAMES:
        feature, probability = truth[name]
        np.testing.assert_allclose(features[name], feature, rtol=1e-4, atol=1e-5)
        order = np.argsort(-probability)
        assert by_path.loc[name, "error"] == ""
        for place, suffix in enumerate(["", "_2", "_3"]):
            assert by_path.loc[name, f"class{suffix}"] == CLASSES[order[place]]
            assert by_path.loc[name, f"probability{suffix}"] == pytest.approx(
                probability[order[place]], rel=1e-4
            )
    for name in BROKEN:
        assert by_path.loc[name].drop("error").isna().all()
        assert name in by_path.loc[name, "error"]
        assert np.isnan(features[name]).all()


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 3}, {"num_workers": 2}])
def test_batch_size_and_workers_do_not_change_the_results(run, images, options):
    folder, _ = run
    one, other = (
        ctc_lightning.predict(folder, images, num_workers=0),
        ctc_lightning.predict(folder, images, **options),
    )
    exact = [name for name in one if "probability" not in name]
    pd.testing.assert_frame_equal(one[exact], other[exact])
    pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-4)


@pytest.mark.parametrize("kind", ["safetensors", "timm"])
@pytest.mark.parametrize("classifier", [True, False])
def test_an_export_gives_what_its_run_gives(run, images, tmp_path, kind, classifier):
    folder, module = run
    if kind == "timm" and "timm/" not in module.config["network"]["backbone"]:
        return  # cannot be exported so
    words = [
        f"checkpoint={folder}",
        f"format={kind}",
        f"classifier={classifier}",
        f"output={tmp_path / 'out'}",
    ]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        place = export(compose("export", words), kind)
    ours, theirs = tmp_path / "run.npy", tmp_path / "export.npy"
    of_run = ctc_lightning.predict(folder, images, embeddings=ours)
    of_export = ctc_lightning.predict(place, images, embeddings=theirs)
    np.testing.assert_allclose(np.load(ours), np.load(theirs), rtol=1e-4, atol=1e-5)
    if classifier:
        pd.testing.assert_frame_equal(of_run, of_export, check_exact=False, rtol=1e-4)
    else:
        assert of_export.columns.tolist() == ["path", "error"]
        with pytest.raises(ValueError, match=r"holds no classifier.*embeddings=FILE\.npy"):
            ctc_lightning.predict(place, images)


def test_parquet_holds_paths_and_features(run, images, tmp_path):
    folder, _ = run
    for ending in ("npy", "parquet"):
        write_predictions(folder, images, None, str(tmp_path / f"features.{ending}"), batch_size=4)
    frame = pd.read_parquet(tmp_path / "features.parquet")
    assert frame["path"].tolist() == sorted([*NAMES, *BROKEN])
    rows = np.load(tmp_path / "features.npy")
    for row, (path, feature) in zip(rows, frame.itertuples(index=False), strict=True):
        assert (feature is None) == (path in BROKEN)
        if feature is not None:
            np.testing.assert_array_equal(row, feature)


def test_nothing_has_the_final_name_before_all_is_written(run, images, tmp_path, monkeypatch):
    folder, _ = run
    output = tmp_path / "predictions.csv"
    output.write_text("before")
    calls = []

    def interrupted(self, *arguments):
        calls.append(output.read_text())
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, *arguments)

    predictor = sys.modules["ctc_lightning.prediction.predictor"].Predictor
    original = predictor.__call__
    monkeypatch.setattr(predictor, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ctc_lightning.predict(folder, images, output=output, batch_size=2)
    assert calls == ["before", "before"]
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]
    assert output.read_text() == "before"


def test_the_program_writes_and_counts(run, images, tmp_path):
    folder, _ = run
    arguments = [f"checkpoint={folder}", f"images={images}", "output=p.csv", "embeddings=e.npy", "top=1"]
    done = programs.run("predict", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"10 images of {images}: p.csv, e.npy" in done.stdout
    assert "2 of them cannot be read" in done.stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == ["e.npy", "p.csv"]
    assert pd.read_csv(tmp_path / "p.csv").columns.tolist() == ["path", "class", "probability", "error"]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"images": "nowhere"}, "images=nowhere does not exist: give a folder"),
        ({"images": "text/a.txt"}, "is a file, must be a folder"),
        ({"images": "text"}, r"no images, but files ending in '.txt'.*\.png"),
        ({"checkpoint": "nowhere"}, "checkpoint=nowhere does not exist; give a run directory"),
        ({"checkpoint": "text"}, "holds no checkpoints"),
        ({"output": "p.xlsx"}, r"output is p.xlsx; its name must end in \.csv"),
        ({"embeddings": "e.csv"}, r"embeddings is e.csv; its name must end in \.npy or \.parquet"),
        ({"output": "text/a.txt/p.csv"}, "cannot be written"),
        ({"output": None}, "nothing to write; set output=FILE.csv"),
        ({"top": 7}, "top is 7; it must be at most the 6 classes"),
        ({"top": 0}, "top is 0; it must be a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size is 0; it must be a whole number of at least 1"),
        ({"num_workers": -1}, "num_workers is -1; it must be a whole number of at least 0"),
        ({"device": "tpu9"}, "device=tpu9 cannot be used"),
        ({"which": 3}, "no checkpoint epoch_003; choose which= of last"),
    ],
)
def test_bad_input_is_one_line(run, images, tmp_path, monkeypatch, changed, sentence):
    monkeypatch.chdir(tmp_path)
    Path("text").mkdir()
    Path("text/a.txt").touch()
    before = sorted(Path().rglob("*"))
    arguments = {"checkpoint": run[0], "images": images, "output": "p.csv", "embeddings": None} | changed
    with pytest.raises((ValueError, OSError), match=sentence) as raised:
        write_predictions(**arguments)
    assert "\n" not in str(raised.value)
    assert sorted(Path().rglob("*")) == before


def test_a_bare_trainers_checkpoint_of_a_named_data_set_is_a_runs(images, tmp_path):
    data = load_data("digits", num_train=64, num_val=20, num_test=40, batch_size=16)
    module = CTCModule.from_preset(
        "ce", backbone="cifar/resnet8", num_classes=2, image_channels=1, image_size=8
    )
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", use_distributed_sampler=False, **quiet)
    trainer.fit(module, datamodule=data)
    file = tmp_path / "mine.ckpt"
    trainer.save_checkpoint(file)

    frame = ctc_lightning.predict(file, images, top=1)
    pixels = torch.from_numpy(np.array(Image.open(images / "b/grey.png")))[None]
    pixels = tv.center_crop(tv.resize(pixels, [8], antialias=True), [8, 8]) / 255
    with torch.no_grad():
        logits = module.eval()(tv.normalize(pixels, data.mean.tolist(), data.std.tolist())[None])
    probability = frame.set_index("path").loc["b/grey.png", "probability"]
    assert probability == pytest.approx(logits.softmax(1).max().item(), rel=1e-4)

    words = [f"checkpoint={file}", "target=digit", "protocol=knn", f"output={tmp_path / 'measured'}"]
    done = programs.run("transfer", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = ResultsTable(tmp_path / "measured" / "results.csv").rows()
    assert {("classifier", "source"), ("knn", "digit")} <= {(row.protocol, row.target) for row in rows}


def test_an_export_of_another_library_is_refused(run, images, tmp_path):
    place = shutil.copytree(run[0], tmp_path / "export", ignore=lambda *_: ["checkpoints"])
    (place / "README.md").touch()
    (place / "model.onnx").touch()
    with pytest.raises(ValueError, match=r"no whole model\.safetensors.*format=safetensors or format=timm"):
        ctc_lightning.predict(place, images)


def test_a_mistake_ends_with_code_2(tmp_path):
    done = programs.run("predict", "checkpoint=nowhere", f"images={tmp_path}", "output=p.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: images=")
