"""The report's command: what it prints, what it writes, and how it fails."""

import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from ctc_lightning import report

HUE = {"ce": (0.92, 0.30), "ctc_queue": (0.95, 0.90)}  # at epoch 1 and at the end


def write_run(folder, method, seed, data="glyphs"):
    """Two targets with known ends: hue as above, fine at 80 %, each a point higher for seed 1."""
    folder.mkdir(parents=True)
    shift = 0.01 * seed
    curves = {("classifier", "source"): [0.25, 0.60, 0.99]}
    for protocol, penalty in {"whitened": 0, "standardised": 0.02, "knn": 0.1}.items():
        peak, final = HUE[method]
        curves[protocol, "hue"] = [0.5, peak + shift - penalty, final + shift - penalty]
        curves[protocol, "fine"] = [0.5, 0.8 + shift - penalty, 0.8 + shift - penalty]
    rows = [
        (folder.name, method, seed, epoch, epoch, protocol, target, metric, value)
        for (protocol, target), curve in curves.items()
        for epoch, value in enumerate(curve)
        for metric in ("top1", "val_top1")
    ]
    columns = ["run", "method", "seed", "epoch", "step", "protocol", "target", "metric", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "results.csv", index=False)
    (folder / "config.yaml").write_text(f"data:\n  name: {data}\n")
    (folder / "provenance.json").write_text('{"commit": "abc1234", "hardware": "1 × cpu", "seconds": 30}')


@pytest.fixture
def runs(tmp_path):
    for method in HUE:
        for seed in (0, 1):
            write_run(tmp_path / "runs" / f"{method}-{seed}", method, seed)
    return tmp_path / "runs"


def run_command(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", "ctc_lightning.report", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_and_writes_the_report(runs, tmp_path):
    done = run_command(runs, "--output", "made/here", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 runs, 2 seeds, 2.0 minutes; hardware: 1 × cpu; commit: abc1234" in done.stdout
    for heading in ("PCA-whitened", "standardised features", "nearest neighbours", "- CE loses hue"):
        assert heading in done.stdout
    written = {path.name for path in (tmp_path / "made/here").iterdir()}
    assert written == {"trade_off.png", "trade_off.csv", "trade_off.md"}
    with Image.open(tmp_path / "made/here/trade_off.png") as image:
        assert image.size == (2100, 1200)


def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path):
    done = run_command("nowhere", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: nowhere does not exist: give a run directory or a folder of runs\n"
    assert done.stdout == ""


def test_the_output_folder_is_the_current_one_by_default(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert report.main([str(runs)]) == 0
    assert (tmp_path / "trade_off.png").exists()


def test_bad_input_writes_nothing(tmp_path, capsys):
    assert report.main([str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_an_error(runs, tmp_path, capsys):
    (tmp_path / "taken").touch()
    assert report.main([str(runs), "--output", str(tmp_path / "taken")]) == 2
    assert "taken" in capsys.readouterr().err


def test_no_argument_is_a_usage_error():
    with pytest.raises(SystemExit) as stop:
        report.main([])
    assert stop.value.code == 2


def test_the_csv_the_markdown_and_the_terminal_show_the_same_numbers(runs, tmp_path):
    text = report.report([runs], tmp_path)
    page = (tmp_path / "trade_off.md").read_text(encoding="utf-8")
    table = pd.read_csv(tmp_path / "trade_off.csv")
    at_the_end = table.query(
        "method == 'ce' and protocol == 'whitened' and target == 'hue' and stopped == 'at the end'"
    )
    assert at_the_end["final_mean"].item() == pytest.approx(0.305)  # of 0.30 and 0.31
    assert at_the_end["final_std"].item() == pytest.approx(0.01 / 2**0.5)
    for row in table.itertuples():
        assert f"{100 * row.final_mean:.1f}±{100 * row.final_std:.1f}" in page
        assert f"{100 * row.final_mean:.1f}" in text


def test_each_data_set_has_its_own_section_and_picture(runs, tmp_path):
    write_run(runs / "other", "ce", 0, data="digits")
    text = report.report([runs], tmp_path)
    assert "glyphs\n======" in text
    assert "digits\n======" in text
    assert {path.name for path in tmp_path.glob("*.png")} == {"trade_off_glyphs.png", "trade_off_digits.png"}
    assert "(trade_off_digits.png)" in (tmp_path / "trade_off.md").read_text(encoding="utf-8")


def test_runs_without_provenance_are_of_unknown_origin(runs, tmp_path):
    for file in runs.glob("*/provenance.json"):
        file.write_text("{half")
    assert "hardware: unknown; commit: unknown" in report.report([runs], tmp_path)


def test_an_unfinished_run_is_said_to_be_one(runs, tmp_path):
    assert "unfinished:" not in report.report([runs], tmp_path)
    (runs / "ce-1" / "provenance.json").write_text('{"status": "running"}')
    assert "(1 unfinished:" in report.report([runs], tmp_path)


def test_one_broken_run_does_not_stop_the_report(runs, tmp_path, caplog):
    (runs / "ce-1" / "config.yaml").unlink()
    assert "3 runs, 2 seeds" in report.report([runs], tmp_path)
    assert "ce-1/config.yaml is missing" in caplog.text
