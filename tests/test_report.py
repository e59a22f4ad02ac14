"""The report's command: what it prints, what it writes, and how it fails."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import programs
from ctc_lightning import report

HUE = {"ce": (0.92, 0.30), "ctc_queue": (0.95, 0.90)}  # at epoch 1 and at the end


def write_run(folder, method, seed, data="glyphs", *, config="", more=(), source=True):
    """Two targets with known ends: hue as above, fine at 80 %, each a point higher for seed 1.

    ``more`` are further rows: epoch, protocol, target, metric, value, note.
    """
    folder.mkdir(parents=True)
    shift = 0.01 * seed
    curves = {("classifier", "source"): [0.25, 0.60, 0.99]} if source else {}
    for protocol, penalty in {"whitened": 0, "standardised": 0.02, "knn": 0.1}.items():
        peak, final = HUE.get(method, (0.7, 0.7))
        curves[protocol, "hue"] = [0.5, peak + shift - penalty, final + shift - penalty]
        curves[protocol, "fine"] = [0.5, 0.8 + shift - penalty, 0.8 + shift - penalty]
    rows = [
        (folder.name, method, seed, epoch, epoch, protocol, target, metric, value)
        for (protocol, target), curve in curves.items()
        for epoch, value in enumerate(curve)
        for metric in ("top1", "val_top1")
    ]
    columns = ["run", "method", "seed", "epoch", "step", "protocol", "target", "metric", "value", "note"]
    table = pd.DataFrame([(*row, "") for row in rows], columns=columns)
    if more:
        fixed = (folder.name, method, seed)
        added = [(*fixed, epoch, epoch, *names) for epoch, *names in more]
        table = pd.concat([table, pd.DataFrame(added, columns=columns)])
    table.to_csv(folder / "results.csv", index=False)
    (folder / "config.yaml").write_text(f"data:\n  name: {data}\n{config}")
    (folder / "provenance.json").write_text('{"commit": "abc1234", "hardware": "1 × cpu", "seconds": 30}')


def estimates(*, plane=True, further=()):
    """Rows of two epochs: I(X;T) of the source, with ``plane`` also I(T;Y); of further estimators too."""
    protocols = ["xt_noisy_channel/0.5", *further, *(["ty_classifier"] if plane else [])]
    return [
        (epoch, protocol, "source", "information", 3.25 - epoch, "near its ceiling")
        for protocol in protocols
        for epoch in (1, 2)
    ]


def write_runs(folder):
    for method in HUE:
        for seed in (0, 1):
            write_run(folder / f"{method}-{seed}", method, seed)
    return folder


@pytest.fixture
def runs(tmp_path):
    return write_runs(tmp_path / "runs")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The command's whole report, above the runs that it shows: its folder, and what the command printed."""
    folder = write_runs(tmp_path_factory.mktemp("drawn") / "runs")
    write_run(folder / "ce-2", "ce", 2, more=estimates(further=["xt_mine/pixels/0.5"]))
    done = programs.run("report", folder, "--output", "runs", cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_command_prints_and_writes_the_report(drawn):
    folder, printed = drawn
    assert "5 runs, 3 seeds, 2.5 minutes; hardware: 1 × cpu; commit: abc1234" in printed
    for heading in ("PCA-whitened", "standardised features", "nearest neighbours", "- CE loses hue"):
        assert heading in printed
    written = {path.name for path in folder.iterdir() if path.is_file()}
    figures = ["trade_off", "best_against_last", "drop", "log_odds"]
    figures += ["information", "information_plane", "information_xt_mine"]
    assert written == {
        *("trade_off.csv", "results.csv", "information.csv", "trade_off.md", "report.html"),
        *(f"{figure}.{kind}" for figure in figures for kind in ("png", "svg")),
    }
    with Image.open(folder / "trade_off.png") as image:
        assert image.size == (2100, 1200)


def test_the_output_folder_is_the_current_one_by_default(runs, tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    assert report.main([str(runs)]) == 0
    assert (tmp_path / "trade_off.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere does not exist: give a run directory or a folder of runs\n"),
        (["empty", "--output", "out"], "empty holds no run"),
        (["runs", "--output", "taken"], "taken"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    arguments, message, runs, tmp_path, monkeypatch, capsys, quick
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    (tmp_path / "empty").mkdir()
    assert report.main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert message in said.err
    assert (said.err.count("\n"), said.out) == (1, "")
    assert {path.name for path in tmp_path.iterdir()} == {"taken", "empty", "runs"}


def test_no_argument_is_a_usage_error():
    with pytest.raises(SystemExit) as stop:
        report.main([])
    assert stop.value.code == 2


def test_the_csv_the_markdown_and_the_terminal_show_the_same_numbers(runs, tmp_path, quick):
    text = report.report([runs], tmp_path)
    page = (tmp_path / "trade_off.md").read_text(encoding="utf-8")
    table = pd.read_csv(tmp_path / "trade_off.csv")
    at_the_end = table.query(
        "method == 'ce' and protocol == 'whitened' and target == 'hue' and stopped == 'at the end'"
    )
    assert at_the_end["final_mean"].item() == pytest.approx(0.305)  # of 0.30 and 0.31
    assert at_the_end["final_std"].item() == pytest.approx(0.01 / 2**0.5)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert set(table["metric"]) == {"top1", "log_odds"}
    for row in table.itertuples():
        digits, unit = (2, 1) if row.metric == "log_odds" else (1, 100)
        final = f"{unit * row.final_mean:.{digits}f}±{unit * row.final_std:.{digits}f}"
        assert final in page
        assert final in html
        assert f"{unit * row.final_mean:.{digits}f}" in text
        if row.stopped == "at the end":
            assert f"{unit * row.peak_mean:.{digits}f}±{unit * row.peak_std:.{digits}f}" in html


def test_each_data_set_has_its_own_section_and_picture(runs, tmp_path, quick):
    write_run(runs / "other", "ce", 0, data="digits")
    text = report.report([runs], tmp_path)
    assert "glyphs\n======" in text
    assert "digits\n======" in text
    assert {path.name for path in tmp_path.glob("trade_off*.png")} == {
        "trade_off_glyphs.png",
        "trade_off_digits.png",
    }
    assert "(trade_off_digits.png)" in (tmp_path / "trade_off.md").read_text(encoding="utf-8")


def test_runs_without_provenance_are_of_unknown_origin(runs, tmp_path, quick):
    for file in runs.glob("*/provenance.json"):
        file.write_text("{half")
    assert "hardware: unknown; commit: unknown" in report.report([runs], tmp_path)


def test_an_unfinished_run_is_said_to_be_one(runs, tmp_path, quick):
    assert "unfinished:" not in report.report([runs], tmp_path)
    (runs / "ce-1" / "provenance.json").write_text('{"status": "running"}')
    assert "(1 unfinished:" in report.report([runs], tmp_path)


def test_one_broken_run_does_not_stop_the_report(runs, tmp_path, caplog, quick):
    (runs / "ce-1" / "config.yaml").unlink()
    assert "3 runs, 2 seeds" in report.report([runs], tmp_path)
    assert "ce-1/config.yaml is missing" in caplog.text


def test_every_row_of_every_run_is_in_the_tidy_table(runs, tmp_path, quick):
    report.report([runs], tmp_path / "out", parquet=True)
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    alone = pd.concat([pd.read_csv(file) for file in sorted(runs.glob("*/results.csv"))])
    assert table["value"].tolist() == alone["value"].tolist()
    assert {"data", "path", "variant", "low", "high", "n"} <= set(table)
    parquet = pd.read_parquet(tmp_path / "out" / "results.parquet")
    np.testing.assert_array_equal(parquet["value"], table["value"])
    assert list(parquet) == list(table)


def test_parquet_without_its_package_is_one_sentence(runs, tmp_path, capsys, monkeypatch, quick):
    def missing(*_, **__):
        raise ImportError

    monkeypatch.setattr(pd.DataFrame, "to_parquet", missing)
    assert report.main([str(runs), "--output", str(tmp_path), "--parquet"]) == 2
    assert "pip install 'ctc-lightning[parquet]'" in capsys.readouterr().err


def test_the_table_of_a_run_is_never_overwritten(runs, capsys, quick):
    before = (runs / "ce-0" / "results.csv").read_bytes()
    assert report.main([str(runs), "--output", str(runs / "ce-0")]) == 2
    assert "holds the results.csv of a run" in capsys.readouterr().err
    assert (runs / "ce-0" / "results.csv").read_bytes() == before


def test_a_report_written_again_above_its_runs_is_the_same(drawn, monkeypatch):
    folder, printed = drawn
    first = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    monkeypatch.chdir(folder.parent)
    assert report.report(["runs"], "runs") in printed
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == first


def test_a_run_without_targets_is_one_sentence_with_the_remedy(tmp_path, capsys, quick):
    run = tmp_path / "bare"
    run.mkdir()
    rows = [(0, "classifier", "source", metric, 0.5) for metric in ("top1", "val_top1")]
    columns = ["run", "method", "seed", "step", "epoch", "protocol", "target", "metric", "value"]
    table = pd.DataFrame([("bare", "ce", 0, 0, *row) for row in rows], columns=columns)
    table.to_csv(run / "results.csv", index=False)
    (run / "config.yaml").write_text("data: {name: glyphs}")
    assert report.main([str(run), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"python -m ctc_lightning.transfer run={run} target=" in error
    assert error.count("\n") == 1


def test_failures_stand_in_the_terminal_and_on_the_page(runs, tmp_path, quick):
    more = [(2, "logreg", "pets", "failed", None, "pets has no test <images>.")]
    write_run(runs / "ce-2", "ce", 2, more=more)
    text = report.report([runs], tmp_path)
    assert "1 measurement failed:\n- " in text
    assert "logreg on pets: pets has no test <images>. (in" in text
    assert "pets has no test &lt;images&gt;." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "## 1 measurement failed" in (tmp_path / "trade_off.md").read_text(encoding="utf-8")


def test_when_all_failed_the_sentence_says_why(tmp_path, capsys, quick):
    run = tmp_path / "ce"
    run.mkdir()
    (run / "config.yaml").write_text("data: {name: glyphs}")
    (run / "results.csv").write_text(
        "run,method,seed,epoch,step,protocol,target,metric,value,note\n"
        "ce,ce,0,0,0,classifier,source,top1,0.5,\n"
        "ce,ce,0,0,0,logreg,pets,failed,,no images\n"
    )
    assert report.main([str(run), "--output", str(tmp_path / "out")]) == 2
    assert "1 measurement failed, the first:" in capsys.readouterr().err


def test_targets_without_the_source_are_reported_without_the_plane(tmp_path, quick):
    write_run(tmp_path / "run", "ce", 0, source=False)
    text = report.report([tmp_path / "run"], tmp_path / "out")
    assert "The plane of source against transfer is left out" in text
    assert "hue" in text
    assert (tmp_path / "out" / "trade_off.png").exists()


def test_a_sweep_is_told_apart_by_what_was_swept(tmp_path, quick):
    for temperature in (0.1, 0.2):
        folder = tmp_path / "sweep" / str(temperature)
        write_run(folder, "ctc_queue", 0, config=f"model: {{temperature: {temperature}}}\n")
    text = report.report([tmp_path / "sweep"], tmp_path / "out")
    assert "CTC, temporal queue, temperature=0.1" in text.replace("\n", " ")
    assert set(pd.read_csv(tmp_path / "out" / "results.csv")["variant"]) == {
        "temperature=0.1",
        "temperature=0.2",
    }


def test_scores_bring_their_ranking(tmp_path, quick):
    more = [(epoch, "scores", "hue", "logme", value, "") for epoch, value in enumerate((0.1, 0.3, 0.2))]
    write_run(tmp_path / "run", "ce", 0, more=more)
    report.report([tmp_path / "run"], tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"ranking.csv", "ranking.png", "ranking.svg"} <= written
    assert "LogME" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_scores_without_measured_transfer_bring_none(tmp_path, quick):
    write_run(tmp_path / "run", "ce", 0, more=[(1, "scores", "other", "logme", 0.1, "")])
    report.report([tmp_path / "run"], tmp_path / "out")
    assert not (tmp_path / "out" / "ranking.csv").exists()


def test_a_backbone_alone_has_a_table(tmp_path, quick):
    write_run(tmp_path / "run", "timm/resnet50", 0, data="null", source=False)
    text = report.report([tmp_path / "run"], tmp_path / "out")
    assert "timm/resnet50, not" in text
    assert "1 backbone, 1 seed" in text


def test_every_picture_is_valid_and_the_page_asks_nobody(drawn):
    pictures = list(drawn[0].glob("*.svg"))
    for file in pictures:
        ids = [element.get("id") for element in ET.parse(file).iter() if element.get("id")]
        assert len(set(ids)) == len(ids)
    text = (drawn[0] / "report.html").read_text(encoding="utf-8")
    HTMLParser().feed(text)
    assert "http" not in text
    assert text.count("<svg") == len(pictures)


def test_of_many_methods_ten_are_shown_and_all_are_in_the_table(tmp_path, quick):
    for method in range(12):
        config = f"model: {{temperature: {method / 100}}}\n"
        write_run(tmp_path / "runs" / f"{method}", "ctc_queue", 0, config=config)
    assert "… and 2 more methods in trade_off.csv" in report.report([tmp_path / "runs"], tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "trade_off.csv")["method"].nunique() == 12


def test_targets_of_another_protocol_have_figures_and_words_of_their_own(tmp_path, quick):
    more = [
        (epoch, "logreg", "pets", metric, value, "")
        for epoch, value in enumerate((0.2, 0.8, 0.3))
        for metric in ("mean_per_class", "val_mean_per_class")
    ]
    write_run(tmp_path / "run", "ce", 0, more=more)
    text = report.report([tmp_path / "run"], tmp_path / "out")
    assert "- CE loses pets (80.0 → 30.0)." in text
    assert (tmp_path / "out" / "trade_off_logreg.png").exists()
    assert not (tmp_path / "out" / "trade_off_knn.png").exists()  # it measured no other target
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "pets (mean per class)" in page
    assert "In words (logreg)" in page


def test_information_has_figures_words_and_a_table(tmp_path, quick):
    write_run(tmp_path / "run", "ce", 0, more=estimates(further=["xt_mine/pixels/0.5"]))
    text = report.report([tmp_path / "run"], tmp_path / "out")
    names = ("information", "information_plane", "information_xt_mine")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {f"{name}.{kind}" for name in names for kind in ("png", "svg")} | {"information.csv"} <= written
    assert all(name in text for name in written)
    table = pd.read_csv(tmp_path / "out" / "information.csv")
    assert set(table["estimator"]) == {"noisy_channel", "mine", "classifier"}
    np.testing.assert_allclose(table[["peak_mean", "end_mean", "change_mean"]], [[2.25, 1.25, -1]] * 3)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    notes = (tmp_path / "out" / "trade_off.md").read_text(encoding="utf-8")
    for place in (text, page, notes):
        assert "Flagged, near its ceiling" in place
        assert "2.25" in place
    assert page.index("Information plane</h3>") < page.index("<summary>I(X;T_σ) by MINE")
    assert "![Information plane](information_plane.png)" in notes


def test_runs_with_information_alone_have_a_report_of_that_part(tmp_path, quick):
    folder = tmp_path / "run"
    write_run(folder, "ce", 0, more=estimates(plane=False))
    table = pd.read_csv(folder / "results.csv")
    table[table["protocol"].isin(["classifier", "xt_noisy_channel/0.5"])].to_csv(
        folder / "results.csv", index=False
    )
    text = report.report([folder], tmp_path / "out")
    assert "1 run, 1 seed" in text
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html", "trade_off.md", "results.csv", "information.csv", "information.png", "information.svg",
    }  # fmt: skip


def test_a_run_with_information_alone_leaves_the_others_accuracies_as_they_are(runs, tmp_path, quick):
    before = report.report([runs], tmp_path / "before")
    write_run(runs / "bank", "ctc_bank", 0, more=estimates())
    table = pd.read_csv(runs / "bank" / "results.csv")
    alone = table["protocol"].str.match("classifier|xt_|ty_")
    table[alone].to_csv(runs / "bank" / "results.csv", index=False)
    after = report.report([runs], tmp_path / "after")
    accuracies = [pd.read_csv(tmp_path / name / "trade_off.csv") for name in ("before", "after")]
    pd.testing.assert_frame_equal(*accuracies)
    assert before.split("Written to")[0].partition("\n\n")[2].strip() in after


def test_without_estimates_there_is_no_part_on_information(runs, tmp_path, quick):
    report.report([runs], tmp_path)
    assert not list(tmp_path.glob("information*"))
