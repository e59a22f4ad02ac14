"""W&B offline: what the files of a killed and resumed run hold, read back record by record."""

import base64
import hashlib
import json
import struct
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from PIL import Image
from wandb.proto.wandb_internal_pb2 import Record

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.files.digests import digest_of
from ctc_lightning.train import train
from ctc_lightning.training.loggers.wandb_run import WandBRun


def pieces(content, block=2**15):
    """The records of LevelDB's log format behind W&B's seven bytes of header."""
    at, record = 7, b""
    while at < len(content):
        if block - at % block < 7:
            at += block - at % block  # padding
            continue
        _, size, kind = struct.unpack_from("<IHB", content, at)  # kind: whole 1, first 2, middle 3, last 4
        record = (b"" if kind in (1, 2) else record) + content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield record


def records(file, kind):
    """The records of one kind."""
    found = (Record.FromString(data) for data in pieces(file.read_bytes()))
    return [getattr(record, kind) for record in found if record.WhichOneof("record_type") == kind]


def values(items):
    """Names and values; of an image the first part of its names leads to the others."""
    found = {}
    for item in items:
        name, *rest = item.nested_key or [item.key]
        value = json.loads(item.value_json)
        if rest:
            found.setdefault(name, {})[rest[0]] = value
        else:
            found[name] = value
    return found


@pytest.fixture
def files(resumed):
    """Of both processes, in their order."""
    found = sorted(resumed.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(found) == 2
    return found


def test_the_resumed_training_goes_on_in_the_same_run(files, resumed):
    name = (resumed / "wandb" / "ctc_run_id").read_text().strip()
    assert {record.run_id for file in files for record in records(file, "run")} == {name}
    (run,) = records(files[1], "run")
    assert (run.project, run.display_name, run.run_group) == (
        "ctc_lightning",
        "glyphs_ctc_queue_seed_3",
        "glyphs_ctc_queue",
    )


def test_the_configuration_is_the_composed_one_with_a_record_of_the_images(files, resumed):
    expected = yaml.safe_load((resumed / "config.yaml").read_text())
    expected["images"] = torch.load(resumed / "checkpoints" / "last.ckpt", weights_only=True)["images"]
    config = {}
    for record in (*records(files[1], "run"), *records(files[1], "config")):
        config |= values(getattr(record, "config", record).update)
    config.pop("_wandb", None)
    assert config == expected


def test_every_number_of_metrics_csv_is_in_the_history(files, resumed):
    table = pd.read_csv(resumed / "metrics.csv", float_precision="round_trip")
    expected = [row.dropna().to_dict() for _, row in table.iterrows()]
    history = [values(record.item) for record in records(files[1], "history")]
    begins = min(row["trainer/global_step"] for row in history)  # before it is what the killed process logged
    history = [
        row
        for row in (values(record.item) for record in records(files[0], "history"))
        if row["trainer/global_step"] < begins
    ] + history
    found = []
    for row in history:
        numbers = {k: v for k, v in row.items() if not k.startswith("_") and isinstance(v, int | float)}
        numbers["step"] = numbers.pop("trainer/global_step")
        found += [numbers] if len(numbers) > 1 else []
    assert found == expected


def test_the_figure_is_an_image_in_the_runs_directory(files):
    (shown,) = [
        logged["figures/trade_off"]
        for logged in (values(record.item) for record in records(files[1], "history"))
        if "figures/trade_off" in logged
    ]
    (name,) = shown["filenames"]
    with Image.open(files[1].parent / "files" / name) as image:
        assert image.size == (1400, 800)
        assert len(image.convert("L").getcolors()) > 50  # something is drawn


def test_the_artefact_holds_the_checkpoints_and_where_they_come_from(files, resumed):
    assert records(files[0], "artifact") == []  # it was killed
    (artefact,) = records(files[1], "artifact")
    assert artefact.type == "model"
    checkpoints = resumed / "checkpoints"
    for entry in artefact.manifest.contents:
        digest = hashlib.md5((checkpoints / entry.path).read_bytes()).digest()
        assert entry.digest == base64.b64encode(digest).decode()
        assert entry.local_path == str(checkpoints / entry.path)  # not copied
    assert {entry.path for entry in artefact.manifest.contents} == {"last.ckpt", "best.ckpt"}
    metadata = json.loads(artefact.metadata)
    last = torch.load(checkpoints / "last.ckpt", weights_only=True)
    assert metadata["checkpoints"]["last.ckpt"] == {
        "epoch": 3,
        "step": last["global_step"],
        "stage": "contrast",
    }
    provenance = json.loads((resumed / "provenance.json").read_text())
    assert metadata["data"] == {"name": "glyphs"} | provenance["data"]
    assert (metadata["run"], metadata["method"], metadata["seed"]) == ("run", "ctc_queue", 3)
    assert metadata["commit"] == provenance["commit"]
    config = yaml.safe_load((resumed / "config.yaml").read_text())
    assert metadata["config_digest"] == digest_of(config)
    assert "epoch_003" in artefact.aliases


def test_the_run_has_ended_well(files):
    assert [record.exit_code for record in records(files[1], "exit")] == [0]
    assert records(files[0], "exit") == []


def test_nothing_large_is_written_outside_the_runs_directory(resumed, program):
    outside = sum(file.stat().st_size for file in program.home.rglob("*") if file.is_file())
    checkpoint = (resumed / "checkpoints" / "last.ckpt").stat().st_size
    assert outside < checkpoint


def test_online_the_run_also_takes_note_of_its_data(tmp_path):
    """With what W&B's run is asked for in place of a server."""
    used, logged = [], []
    logger = WandBRun(run_dir=str(tmp_path), project="p", checkpoints=["last", "best"])
    logger.config = {"data": {"name": "glyphs"}, "method": "ce", "seed": 0}
    logger._experiment = SimpleNamespace(
        id="abc",
        offline=False,
        use_artifact=used.append,
        log_artifact=lambda artefact, aliases: logged.append((artefact, aliases)),
        finish=lambda exit_code: None,
    )
    (tmp_path / "checkpoints").mkdir()
    torch.save({"epoch": 6, "global_step": 70}, tmp_path / "checkpoints" / "last.ckpt")
    logger.finalize("success")
    assert [(artefact.type, artefact.name) for artefact in used] == [("dataset", "glyphs")]
    ((model, aliases),) = logged
    assert (model.type, aliases) == ("model", ["latest", "epoch_007"])
    assert [*model.manifest.entries] == ["last.ckpt"]


def test_an_interrupted_training_logs_no_artefact_and_ends_its_run(tmp_path):
    codes = []
    logger = WandBRun(run_dir=str(tmp_path), project="p", checkpoints=["last"])
    logger._experiment = SimpleNamespace(finish=lambda **ended: codes.append(ended["exit_code"]))
    (tmp_path / "checkpoints").mkdir()
    torch.save({"epoch": 6, "global_step": 70}, tmp_path / "checkpoints" / "last.ckpt")
    logger.finalize("failed")
    assert codes == [1]


def test_a_run_that_begins_again_is_another_one(tmp_path):
    first = WandBRun(run_dir=str(tmp_path), project="p").run_id()
    assert WandBRun(run_dir=str(tmp_path), project="p", resume="auto").run_id() == first
    for resume in (None, "never"):
        assert WandBRun(run_dir=str(tmp_path), project="p", resume=resume).run_id() != first


def test_without_a_key_one_sentence_before_training(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    overrides = ["debug=fast", "logger=wandb", f"paths.run_dir={tmp_path}/run"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", overrides=overrides)
    refused = r"^logger=wandb: W&B cannot begin a run \([^\n]*\); run `wandb login`, .*\.offline=true\.$"
    with pytest.raises(ValueError, match=refused):
        train(cfg)
    assert not (tmp_path / "run" / "results.csv").exists()


def test_a_time_limit_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"init_timeout is 0; it must be above 0"):
        WandBRun(run_dir=str(tmp_path), project="p", init_timeout=0)
