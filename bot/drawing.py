"""The programs that draw a preview: npm's packages, esbuild and Chromium, told what to do.

Whatever of them is missing or fails is one PreviewError that says what to install.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

from bot.errors import PreviewError
from filterd.privileges import environment_of_children

PACKAGES = {
    "slack-blocks-to-jsx": "1.1.1",
    "react": "18.3.1",
    "react-dom": "18.3.1",
    "esbuild": "0.28.2",
}
ESBUILD = Path("node_modules/esbuild/bin/esbuild")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NPM_SECONDS = 300
BROWSER_SECONDS = 60
# In CSS pixels; the picture is cut to what is in it.
WINDOW = (664, 2400)
SCALE = 2
COLOURS = 128
MARGIN = 12 * SCALE  # left below the content; preview.css leaves as much above it


def bundle(source: Path, cache: Path) -> tuple[str, str]:
    """Script and style of a page, made by esbuild from its source and the packages in `cache`."""
    _need("node", "nodejs")
    _install(cache)
    app = cache / source.name  # beside the packages, or esbuild does not find them
    shutil.copyfile(source, app)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        # esbuild's file is a program or, where npm runs no scripts, a Node script: start it itself.
        command = [str(cache / ESBUILD), str(app), "--bundle", "--minify", "--jsx=automatic"]
        production = '--define:process.env.NODE_ENV="production"'
        _run([*command, production, f"--outfile={folder}/app.js"], cache, NPM_SECONDS)
        js, css = (
            Path(folder, f"app.{kind}").read_text(encoding="utf-8") for kind in ("js", "css")
        )
    return js, css


def _install(cache: Path) -> None:
    if all(_installed(cache, name) == version for name, version in PACKAGES.items()):
        return
    npm = _need("npm", "npm")
    cache.mkdir(parents=True, exist_ok=True)
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    _run([npm, "install", *quiet, "--prefix", str(cache), *wanted], cache, NPM_SECONDS)


def _installed(cache: Path, name: str) -> str | None:
    try:
        package = (cache / "node_modules" / name / "package.json").read_text(encoding="utf-8")
        return str(json.loads(package)["version"])
    except (OSError, ValueError, KeyError):
        return None


def picture(browser: str, page: Path, name: str) -> Path:
    """What the page shows at #NAME, as NAME.png beside it."""
    made = page.with_name(f"{name}.png")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless",
            "--no-sandbox",  # needs rights that a container lacks; the page is ours
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            f"--user-data-dir={profile}",
            f"--window-size={WINDOW[0]},{WINDOW[1]}",
            f"--force-device-scale-factor={SCALE}",
            "--virtual-time-budget=6000",
            f"--screenshot={made}",
            f"{page.as_uri()}#{name}",
        ]
        _run(command, page.parent, BROWSER_SECONDS)
    _cut(made)
    return made


def _cut(made: Path) -> None:
    """Cut away what is empty below the content."""
    try:
        with Image.open(made) as opened:
            image = opened.convert("RGB")
    except OSError as error:
        raise PreviewError(f"{made.name}: the browser made no picture: {error}") from None
    empty = Image.new("RGB", image.size, image.getpixel((0, 0)))
    box = ImageChops.difference(image, empty).getbbox()
    if box is None:
        raise PreviewError(f"{made.name}: the browser drew nothing; open the page in your own")
    height = min(box[3] + MARGIN, image.height)
    # A palette: a third of the bytes, and nobody sees the difference.
    cut = image.crop((0, 0, image.width, height)).quantize(COLOURS, dither=Image.Dither.NONE)
    cut.save(made, optimize=True)


def find_browser() -> str:
    """Chromium, by one of its names. Raises PreviewError."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise PreviewError("no Chromium found; install it (Debian: apt-get install chromium)")


def _need(program: str, package: str) -> str:
    if path := shutil.which(program):
        return path
    raise PreviewError(f"no {program} found; install it (Debian: apt-get install {package})")


def _run(command: list[str], folder: Path, seconds: float) -> None:
    """Run a tool; times are shown in UTC, so that pictures are the same everywhere."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments
            command,
            cwd=folder,
            env=environment_of_children(os.environ) | {"TZ": "UTC"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreviewError(f"{name}: {error}") from None
    if done.returncode != 0:
        first = (done.stderr or done.stdout).strip().splitlines()[:1]
        raise PreviewError(f"{name} failed: {''.join(first) or done.returncode}")
