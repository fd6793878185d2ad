"""HTML to what a reader sees, and a count of what the reader is not to see."""

import pytest

from filterd.mail.html import MAX_HTML, MAX_LINKS, visible_text
from filterd.mail.message import Link
from filterd.mail.style import colour_of
from filterd.mail.unicode import collapse


def shown(html):
    return collapse(visible_text(html).text)


HIDDEN = {
    "display none": '<p style="display:none">secret</p>',
    "display none, spaced and shouted": '<p style="DISPLAY : NONE !important">secret</p>',
    "display none further out": '<div style="display:none"><p><b>secret</b></p></div>',
    "nothing inside undoes it": '<div style="display:none"><p style="display:block">secret</p></div>',
    "visibility hidden": '<p style="visibility:hidden">secret</p>',
    "opacity zero": '<p style="opacity:0.0">secret</p>',
    "font of no size": '<p style="font-size:0">secret</p>',
    "font of a pixel": '<p style="font-size:1px">secret</p>',
    "font of no percent": '<p style="font-size: 0%">secret</p>',
    "white on white": '<p style="color:#fff">secret</p>',
    "nearly white on white": '<p style="color: rgb(250, 251, 252)">secret</p>',
    "white on white by name": '<font color="white">secret</font>',
    "black on black": '<td bgcolor="#000000">secret</td>',
    "the same on the same": '<p style="color:#336699;background:#346698">secret</p>',
    "body's own colours": '<body bgcolor="navy" text="#000080">secret</body>',
    "transparent": '<p style="color:transparent">secret</p>',
    "no height": '<div style="max-height:0;overflow:hidden">secret</div>',
    "off the screen to the left": '<p style="position:absolute;left:-9999px">secret</p>',
    "indented off the screen": '<p style="text-indent:-999px">secret</p>',
    "the attribute hidden": "<p hidden>secret</p>",
    "class of a style sheet": "<style>.x { display: none }</style><p class='y x'>secret</p>",
    "class in a list": "<style>p.a, div.x{color:red;display:none}</style><p class=x>secret</p>",
    "class behind a comment": "<style>/* { */ .x{display:none}</style><p class=x>secret</p>",
    "class in a second sheet": "<style>p{}</style><style>.x{display:none}</style><p class=x>secret</p>",
    "picture's words": '<div style="display:none"><img alt="secret"></div>',
}  # fmt: skip


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_hidden_text_is_counted_and_not_shown(hidden):
    text = visible_text(f"before {hidden} after")
    assert text.text.split() == ["before", "after"]
    assert text.hidden_characters == len("secret")


VISIBLE = {
    "after the hidden": '<p style="display:none"></p>plain',
    "white on black": '<td style="background:#000;color:#fff">plain</td>',
    "white on a picture": '<td background="x.png"><font color=white>plain</font></td>',
    "white on a picture by style": '<p style="color:#fff;background:url(x.png)">plain</p>',
    "white on what a style sheet paints": "<style>.x{background:#00f}</style><p class=x><font color=white>plain</font>",
    "small": '<p style="font-size:8px">plain</p>',
    "set visible again": '<div style="visibility:hidden"><p style="visibility:visible">plain</p></div>',
    "set larger again": '<div style="font-size:0"><p style="font-size:12px">plain</p></div>',
    "hidden by @media only": "<style>@media print{.x{display:none}}</style><p class=x>plain</p>",
    "of another class": "<style>.x{display:none}</style><p class=xy>plain</p>",
    "below a class": "<style>.x .y{display:none}</style><p class=y>plain</p>",
    "in a comment of a style sheet": "<style>/*.x{display:none}*/</style><p class=x>plain</p>",
    "in an unknown colour": '<p style="color:papayawhip">plain</p>',
    "opaque": '<p style="opacity:0.9">plain</p>',
    "without overflow": '<div style="height:0">plain</div>',
    "of half a declaration": '<p style="display">plain</p>',
}  # fmt: skip


@pytest.mark.parametrize("visible", VISIBLE.values(), ids=VISIBLE)
def test_what_can_be_seen_is_shown_and_not_counted(visible):
    text = visible_text(visible)
    assert (text.text.strip(), text.hidden_characters) == ("plain", 0)


def test_white_space_does_not_count_as_hidden():
    assert visible_text("<p hidden> a \n b </p>").hidden_characters == 2


@pytest.mark.parametrize(
    "html",
    [
        "<script>secret</script>",
        "<style>secret{}</style>",
        "<title>secret</title>",
        "<!-- secret -->",
        "<noscript><p>secret</p></noscript>",
        "<textarea>secret</textarea>",
        "<select><option>secret</option></select>",
        "<svg><text>secret</text></svg>",
        "<script>'<p>'; secret",
        "<img src=secret title=secret>",
    ],
)
def test_what_no_program_shows_as_text_is_neither_shown_nor_counted(html):
    text = visible_text("plain" + html)
    assert (text.text.strip(), text.hidden_characters) == ("plain", 0)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("one\ntwo", "one two"),
        ("<pre>one\ntwo</pre>", "one\ntwo"),
        ("<ul><li>one<li>two</ul>", "one\n\ntwo"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("<table><tr><td>a<td>b</table>", "a b"),
        ("in<b>si</b>de", "inside"),
        ("&lt;b&gt; &amp; &eacute;&#8364;&#x41;", "<b> & é€A"),
        ("&#0;&#xd800;&#x110000;", "\ufffd\ufffd\ufffd"),
        ("&notanentity;", "¬anentity;"),
        ('<img alt="[logo]"> and <input type=submit value=" Pay now ">', "[logo] and Pay now"),
        ("<b><i>mis</b>nested</i> tags", "misnested tags"),
        ("<p>never closed", "never closed"),
        ("</p></div></html>only ends", "only ends"),
        ("a < b and c > d", "a < b and c > d"),
        ("cut in a tag <a href='", "cut in a tag"),
        ("", ""),
    ],
)
def test_the_text_has_lines_where_a_reader_sees_them(html, text):
    assert shown(html) == text


def test_a_hidden_paragraph_ends_where_the_next_begins():
    text = visible_text('<p style="display:none">secret<p>plain')
    assert (text.text.strip(), text.hidden_characters) == ("plain", 6)


def test_a_hidden_cell_ends_where_the_next_begins():
    text = visible_text("<table><tr><td hidden>secret<td>plain</table>")
    assert (text.text.strip(), text.hidden_characters) == ("plain", 6)


def test_mis_nested_tags_do_not_hide_what_follows():
    assert shown("<b><i style='display:none'>secret</b>plain</i>") == "plain"


@pytest.mark.parametrize(
    ("html", "links"),
    [
        ('<a href="http://a.example/x">here</a>', [Link("a.example", "")]),
        (
            '<a href="http://evil.example/">www.<b>bank</b>.example</a>',
            [Link("evil.example", "www.bank.example")],
        ),
        ("<a href=http://a.example>", [Link("a.example", "")]),
        (
            "<a href=http://a.example>one<a href=http://b.example>www.two.example</a>",
            [Link("a.example", ""), Link("b.example", "www.two.example")],
        ),
        ('<map><area href="//a.example"></map>', [Link("a.example", "")]),
        ('<a href="mailto:a@b.example">a</a><a name=x>b</a><a href="#top">c</a>', []),
        ('<a href="&#104;ttp://a.example">a</a>', [Link("a.example", "")]),
        ("<a href='http://a.example'><span hidden>www.b.example</span>a</a>", [Link("a.example", "")]),
    ],
)  # fmt: skip
def test_links_come_with_their_real_host_and_the_one_that_is_shown(html, links):
    assert list(visible_text(html).links) == links


def test_links_are_bounded():
    assert len(visible_text("<a href=//a.example>x</a>" * (MAX_LINKS + 5)).links) == MAX_LINKS


def test_no_more_is_looked_at_than_the_bound():
    assert visible_text(" " * MAX_HTML + "too late").text.strip() == ""


@pytest.mark.parametrize(
    "opening",
    ["<blockquote type=cite>", '<div class="gmail_quote x">', "<div class=moz-cite-prefix>"],
)
def test_quotations_are_marked_as_in_plain_text(opening):
    end = "</blockquote>" if "blockquote" in opening else "</div>"
    html = f"mine{opening}<p>one<p>two{end}mine again"
    assert [x for x in shown(html).split("\n") if x] == ["mine", "> one", "> two", "mine again"]


def test_an_indented_paragraph_is_no_quotation():
    assert shown("<blockquote>dear reader</blockquote>") == "dear reader"


@pytest.mark.parametrize(
    ("written", "colour"),
    [
        ("White", (255, 255, 255)),
        ("#F00", (255, 0, 0)),
        ("#336699", (51, 102, 153)),
        ("336699", (51, 102, 153)),
        ("rgb(1, 2,3)", (1, 2, 3)),
        ("rgba(300,0,0,1)", (255, 0, 0)),
        ("rgba(0,0,0,0.1)", None),
        ("#12", None),
        ("papayawhip", None),
        ("", None),
    ],
)
def test_colours_are_known_or_not(written, colour):
    assert colour_of(written) == colour


@pytest.mark.parametrize("font", ["0/0 a", "italic 700 0/1.5 serif", "1px Arial"])
def test_the_size_in_the_shorthand_font_hides_as_well(font):
    found = visible_text(f'<p>seen<span style="font: {font}">not seen</span></p>')
    assert found.text.split() == ["seen"]
    assert found.hidden_characters == len("notseen")


def test_a_shorthand_font_of_a_readable_size_hides_nothing():
    assert visible_text('<p style="font: italic 700 12px/0 serif">seen</p>').text.strip() == "seen"


def test_a_comment_that_does_not_end_hides_the_rest_of_its_sheet():
    html = "<style>/* .a { display: none }</style><p class=a>seen</p>"
    assert visible_text(html).text.strip() == "seen"
