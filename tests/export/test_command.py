"""The program as its user meets it, on a run that the real training left."""

import sys

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file

import programs
from ctc_lightning import train as training
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.results import ResultsTable


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A CTC network of digits, trained for two epochs."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    overrides = ["experiment=digits_ctc_queue", "data.num_train=128", "data.num_val=60", "data.num_test=60"]
    overrides += ["trainer.max_epochs=2", "trainer.enable_progress_bar=false", "model.queue_size=64"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        training.train(compose("train", overrides=[*overrides, f"paths.run_dir={folder}"]))
    return folder


def program(folder, *arguments):
    return programs.run("export", *arguments, cwd=folder)


def test_a_run_becomes_a_folder_with_weights_figures_and_commit(run_dir, tmp_path):
    done = program(tmp_path, f"checkpoint={run_dir}", "which=1", "format=safetensors", "classifier=true")
    assert (done.returncode, done.stderr) == (0, "")
    folder = run_dir / "export" / "epoch_001_safetensors"
    assert done.stdout.endswith(f" is in {folder}\n")
    assert len(done.stdout.splitlines()) == 1, "something is said of the temporary folder"
    assert not list(tmp_path.iterdir()), "Hydra left something behind"

    state = torch.load(run_dir / "checkpoints" / "epoch_001.ckpt", weights_only=True)["state_dict"]
    written = load_file(folder / "model.safetensors")
    parts = {"network.backbone.": "", "network.classifier.": "classifier."}
    expected = {
        own + name.removeprefix(prefix): tensor
        for prefix, own in parts.items()
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in expected.items())

    card = (folder / "README.md").read_text()
    rows = ResultsTable(run_dir / "results.csv").rows()
    (value,) = [
        row.value
        for row in rows
        if (row.epoch, row.protocol, row.target, row.metric) == (1, "whitened", "digit", "top1")
    ]
    assert f"| digit | whitened | top1 | {value:.4f} |" in card
    assert "Commit: " in card
    assert str(run_dir) not in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["format=timm"], "checkpoint has no value"),
        (["checkpoint=RUN", "format=tensorflow"], "format=tensorflow does not exist"),
        (["checkpoint=RUN", "format=timm"], "timm has no resnet8"),
        (["checkpoint=RUN", "which=77", "format=safetensors"], "has no checkpoint epoch_077"),
        (["checkpoint=RUN", "format=safetensors", "output=RUN"], "exists; name another folder"),
        (["checkpoint=RUN/config.yaml", "format=safetensors"], "no complete checkpoint"),
        (["checkpoint=RUN", "format=safetensors", "clasifier=true"], "did you mean classifier"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence_each(arguments, message, run_dir, monkeypatch, capsys):
    from ctc_lightning.export.command import main

    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards
    monkeypatch.setattr(sys, "argv", ["export.py", *(a.replace("RUN", str(run_dir)) for a in arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
