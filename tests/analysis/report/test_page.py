"""The page stands alone: it parses, its links lead somewhere, and it asks nobody for anything."""

from html.parser import HTMLParser

from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.style import svg
from ctc_lightning.analysis.report.page import inline_svg, page

VOID = {"meta", "br", "img", "path", "use", "rect"}


class Outline(HTMLParser):
    """Ids, links and whether tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "xlink:href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def picture(name):
    figure = Figure()
    figure.subplots().plot([0, 1], [0, 1], marker="o")
    return part(name, svg=inline_svg(svg(figure, name), name), caption="The line rises.")


def part(name, **fields):
    empty = {"svg": "", "caption": "", "html": "", "folded": False, "folded_table": ""}
    return {"anchor": f"part-{name}", "heading": f"Part {name}", **empty, **fields}


def section(title, *parts):
    return {"title": title, "anchor": title, "origin": "", "parts": parts}


def test_the_page_is_whole():
    parts = [picture("a"), picture("b"), part("<&>", html="<p>1</p>", folded=True)]
    text = page("A <title>", [section("glyphs", *parts), section("digits", picture("c"))])
    outline = Outline(text)
    assert outline.open == []
    assert "http" not in text
    assert "<script" not in text
    assert len(set(outline.ids)) == len(outline.ids)
    assert all(link.startswith("#") and link[1:] in outline.ids for link in outline.links)
    assert text.count("<figcaption>The line rises.</figcaption>") == 3
    assert "A &lt;title&gt;" in text


def test_two_figures_of_the_same_ids_do_not_meet():
    figure = Figure()
    figure.subplots().plot([0, 1], [0, 1], marker="o")
    drawn = svg(figure, "same")
    one, other = (set(Outline(inline_svg(drawn, prefix)).ids) for prefix in ("x", "y"))
    assert one
    assert not one & other
