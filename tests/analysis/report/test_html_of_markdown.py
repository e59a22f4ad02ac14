"""What Markdown says, HTML says, and nothing in it becomes a tag."""

import xml.etree.ElementTree as ET

from ctc_lightning.analysis.report.html_of_markdown import html_of_markdown


def parsed(text):
    return ET.fromstring(f"<body>{html_of_markdown(text)}</body>")


def test_a_list_of_two_levels():
    body = parsed("- one\n  - under one\n  - too\n- two")
    outer = body.find("ul")
    assert [item.text for item in outer.findall("li")] == ["one", "two"]
    assert [item.text for item in outer.findall("li/ul/li")] == ["under one", "too"]


def test_a_table_a_paragraph_bold_and_code():
    body = parsed("**Title.** run `x`\n\n|  | a | b |\n| --- | --- | --- |\n| CE | 1 | 2 |")
    assert (body.find("p/b").text, body.find("p/code").text) == ("Title.", "x")
    assert [cell.text for cell in body.findall(".//thead/tr/th")] == [None, "a", "b"]
    assert [cell.text for cell in body.findall(".//tbody//td") or body.findall(".//td")] == ["1", "2"]


def test_markup_is_escaped():
    assert parsed("a <script> & b").find("p").text == "a <script> & b"
