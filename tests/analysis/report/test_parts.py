"""An own part is on the page with figure, caption, table and CSV file, if the runs have what it needs."""

from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.report_part import ReportPart
from ctc_lightning.report import report

PART = ReportPart(
    "mine",
    "My part",
    lambda runs, protocol: Figure(),
    "How to read it.",
    lambda runs, protocol: f"{len(runs)} rows by {protocol}",
    numbers=lambda runs, protocol: pd.DataFrame({"rows": [len(runs)]}),
    csv="mine.csv",
)


def test_an_own_part_is_shown(write_study, tmp_path):
    text = report([write_study()], tmp_path / "out", parts=[PART])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<a href="#part-mine">My part</a>' in page
    assert '<h3 id="part-mine">My part</h3>' in page
    assert "<figcaption>How to read it.</figcaption>" in page
    (rows,) = pd.read_csv(tmp_path / "out" / "mine.csv")["rows"]
    assert f"{rows} rows by whitened" in text
    assert f"{rows} rows by whitened" in page
    assert "![My part](mine.png)" in (tmp_path / "out" / "trade_off.md").read_text(encoding="utf-8")


def test_a_part_without_what_it_needs_is_left_out(write_study, tmp_path):
    report([write_study()], tmp_path / "out", parts=[replace(PART, when=lambda *_: False)])
    assert "My part" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "mine.png").exists()
