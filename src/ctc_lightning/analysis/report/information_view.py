"""What a data set's report says of information: figures, words and tables, the headline's first."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.captions import READING
from ctc_lightning.analysis.figures.information import information_figure
from ctc_lightning.analysis.figures.information_plane import information_plane_figure, plane_settings
from ctc_lightning.analysis.figures.style import save
from ctc_lightning.analysis.frames.information import (
    QUANTITIES,
    estimators_of,
    information_curves,
    settings_of,
)
from ctc_lightning.analysis.frames.information_change import information_summary
from ctc_lightning.analysis.report.html_of_markdown import html_of_markdown
from ctc_lightning.analysis.report.information_table import information_table
from ctc_lightning.analysis.report.information_words import information_words
from ctc_lightning.analysis.report.page import Block, Picture, inline_svg
from ctc_lightning.analysis.report.told import Told


def information_view(runs: pd.DataFrame, output: Path, suffix: str) -> Told | None:
    """Draw and save the figures of one data set, and write its paragraphs; None where nothing was estimated.

    The headline is I(X;T) by noisy_channel, else info_nce, else another estimator, and I(T;Y) by classifier,
    else another one; what further estimators and further noises have is folded on the page.

    Args:
        runs: its comparable runs.
        output: the folder for the figures.
        suffix: of their names.
    """
    measured = information_curves(runs)
    if measured.empty:
        return None
    numbers = information_summary(runs)
    estimators = {quantity: estimators_of(measured, quantity) for quantity in QUANTITIES}
    headline = [
        setting for name, of in estimators.items() if of for setting in settings_of(measured, name, of[0])
    ]
    words = information_words(numbers, headline)
    tables = "\n\n".join(information_table(numbers, setting) for setting in headline)
    spoken = [words] if words else []
    trained = not measured["plain"].all()
    planes = plane_settings(measured)
    pictures: list[Picture] = []
    if trained:
        pictures.append(_picture(information_figure(runs), "information", output, suffix))
    if planes:
        plane = information_plane_figure(runs, planes[0])
        pictures.append(_picture(plane, "information_plane", output, suffix))
    blocks = [Block("Information in words", html_of_markdown(words))] if words else []
    blocks.append(Block("Information at its peak and at the end", html_of_markdown(tables)))
    view = Told(
        terminal=[tables, *spoken],
        markdown=[*(f"![{picture.heading}]({picture.name}.png)" for picture in pictures), *spoken, tables],
        parts=[*pictures, *blocks],
        files=[name for picture in pictures for name in _files(picture)],
        numbers=numbers,
    )
    for setting in planes[1:]:
        plane = information_plane_figure(runs, setting)
        side = "_".join(filter(None, (setting.x, f"{setting.noise:g}")))
        _fold(
            view,
            f"Information plane: {setting.title}",
            _picture(plane, "information_plane", output, f"_{side}{suffix}"),
            "",
        )
    for quantity, of in estimators.items():
        for estimator in of[1:]:
            settings = settings_of(measured, quantity, estimator)
            stem = f"_{quantity}_{estimator}{suffix}"
            figure = information_figure(runs, {quantity: estimator}) if trained else None
            picture = _picture(figure, "information", output, stem) if figure else None
            of_settings = [information_table(numbers, setting) for setting in settings]
            text = "\n\n".join(filter(None, [information_words(numbers, settings), *of_settings]))
            _fold(view, f"{settings[0].symbol} by {settings[0].by}", picture, text)
    return view


def _picture(figure: Figure, name: str, output: Path, suffix: str) -> Picture:
    stem = f"{name}{suffix}"
    save(figure, output / stem)
    return Picture(stem, (output / f"{stem}.svg").read_text(encoding="utf-8"), *READING[name])


def _files(picture: Picture) -> list[str]:
    return [f"{picture.name}.png", f"{picture.name}.svg"]


def _fold(view: Told, heading: str, picture: Picture | None, text: str) -> None:
    """Into a folded block of the page, and below in Markdown."""
    html = html_of_markdown(text)
    if picture is not None:
        html = f"<figure>{inline_svg(picture.svg, picture.name)}</figure>\n{html}"
        view.markdown.append(f"![{heading}]({picture.name}.png)")
        view.files.extend(_files(picture))
    if text:
        view.markdown.append(text)
    view.parts.append(Block(heading, html, folded=True))
