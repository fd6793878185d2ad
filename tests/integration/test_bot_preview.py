"""Pictures of what people see in Slack, drawn by the real programs."""

import io
import json
import os
import re
import shutil
import subprocess

import pytest
from PIL import Image

from bot.drawing import BROWSERS, SCALE, WINDOW, bundle, find_browser
from bot.errors import PreviewError
from bot.preview import Surface, render, view_surface
from bot.samples import sample_surfaces

BLUE = (31, 58, 95)
MISSING = [
    *(name for name in ("node", "npm") if not shutil.which(name)),
    *(["chromium"] if not any(map(shutil.which, BROWSERS)) else []),
]
drawn = pytest.mark.skipif(
    bool(MISSING) and "CI" not in os.environ, reason=f"not installed: {', '.join(MISSING)}"
)
pytestmark = pytest.mark.timeout(300)


def plain(text, **more):
    return {"type": "plain_text", "text": text} | more


def chart():
    file = io.BytesIO()
    Image.new("RGB", (400, 100), BLUE).save(file, "PNG")
    return file.getvalue()


MESSAGE = Surface(
    "tricks",
    "A mail that tries tricks",
    "message",
    [
        {"type": "header", "text": plain("<!channel> *now* </script><script>alert(1)</script>")},
        {"type": "section", "text": {"type": "mrkdwn", "text": ":no_entry: *Spam*, says <@U1>"}},
    ],
    people={"U1": "Ann"},
)
MODAL = view_surface(
    "note",
    "A modal",
    {
        "type": "modal",
        "title": plain("Why spam?"),
        "submit": plain("Save it"),
        "close": plain("Leave it"),
        "blocks": [
            {"type": "image", "alt_text": "a chart", "slack_file": {"id": "F1"}},
            {
                "type": "input",
                "optional": True,
                "label": plain("Your note"),
                "element": {"type": "plain_text_input", "action_id": "note"},
            },
        ],
    },
    images={"F1": chart()},
)


@pytest.fixture(scope="module")
def cache(request):
    """Kept between runs, so that npm fetches its packages once."""
    return request.config.cache.mkdir("preview")


@pytest.fixture(scope="module")
def made(tmp_path_factory, cache):
    return render([MESSAGE, MODAL], tmp_path_factory.mktemp("out"), cache, png=True)


@pytest.fixture(scope="module")
def shown(tmp_path_factory, made):
    """The page as it stands in the browser, after its script has run."""
    command = [
        *(find_browser(), "--headless", "--no-sandbox", "--disable-gpu"),
        *(f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--virtual-time-budget=6000"),
        *("--dump-dom", made[0].as_uri()),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return re.search(r'<main id="page">(.*)</main>', dom, re.DOTALL)[1]


@drawn
def test_there_is_a_page_and_a_picture_of_each_surface(made):
    assert [path.name for path in made] == ["index.html", "tricks.png", "note.png"]
    for path in made[1:]:
        with Image.open(path) as picture:
            assert picture.width == WINDOW[0] * SCALE
            assert 100 < picture.height < WINDOW[1] * SCALE / 2


@drawn
def test_the_page_needs_no_other_file(made):
    page = made[0].read_text()
    assert "default-src 'none'" in page
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(?!data:)', page)


@drawn
def test_mail_text_shows_as_it_is(shown):
    assert "&lt;!channel&gt; *now* &lt;/script&gt;&lt;script&gt;alert(1)" in shown
    assert "slack_broadcast" not in shown
    assert "\ue000" not in shown


@drawn
def test_emoji_names_and_people_show_as_themselves(shown):
    assert "⛔" in shown
    assert "@Ann" in re.sub("<[^>]+>|<!-- -->", "", shown)


@drawn
def test_a_modal_has_its_frame_and_inputs(shown):
    for words in ("Why spam?", "Save it", "Leave it", "Your note (optional)"):
        assert words in shown


@drawn
def test_slacks_files_are_shown_from_the_images_given(made):
    with Image.open(made[2]) as picture:
        colours = {colour: count for count, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert colours[BLUE] > 400 * 100


@drawn
def test_every_sample_is_on_the_page(tmp_path, cache):
    samples = sample_surfaces()
    assert len({surface.name for surface in samples}) == len(samples)
    (page,) = render(samples, tmp_path, cache, png=False)
    text = page.read_text()
    assert all(json.dumps(surface.title) in text for surface in samples)


def test_what_is_missing_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreviewError, match="apt-get install chromium"):
        render([MESSAGE], tmp_path, tmp_path, png=True)
    with pytest.raises(PreviewError, match="apt-get install nodejs"):
        render([MESSAGE], tmp_path, tmp_path, png=False)


@drawn
def test_what_a_program_complains_of_is_told(tmp_path, cache):
    broken = tmp_path / "broken.jsx"
    broken.write_text("import nothing from 'no-such-package'")
    with pytest.raises(PreviewError, match="esbuild failed.*no-such-package"):
        bundle(broken, cache)
