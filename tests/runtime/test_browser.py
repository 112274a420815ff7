"""The page of results as a browser shows it: run in Chromium without a window, where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.image import imread

from neuraxis.runtime.pages import write_page
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)} is here"),
]
SPEC = '''
experiment look:
    """What a page shows."""
    sweep curve over g in [0.5, 3, 1, -2]:
        1.0 * g * g - g
    sweep table over l in 0..4, p in 0..40:
        1.0 * l * p - 20
    sweep words over k in [1, 20, 3]:
        log(1.0 * k - 2)
    show curve, table, words, max[g](curve)
    plot line(curve, error = 0.2, title = "A curve")
    plot heatmap(table, x = p, y = l)
    plot circuit[l -> p](table, most = 8)
    expect max[g](curve) > 100
    expect min[g](curve) < 1
'''


def chromium(*arguments: str, folder: Path) -> str:
    """What the browser prints."""
    assert BROWSER is not None
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}", *arguments,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    Program.from_text(SPEC).run("look", folder=folder / "out")
    return write_page(folder / "out")


def seen(page: Path, folder: Path, script: str, width: int = 1000) -> Any:
    """What a script in the page gives, once the page is there."""
    inside = page.read_text(encoding="utf-8").replace(
        "</body>",
        f"<script>try {{ document.body.dataset.seen = JSON.stringify({script}); }}"
        " catch (error) { document.body.dataset.seen = JSON.stringify(String(error)); }</script></body>",
    )
    outside = f"""<!DOCTYPE html><body><iframe style="width: {width}px; height: 800px; border: 0"
    srcdoc="{escape(inside)}" onload="document.title = this.contentDocument.body.dataset.seen">
    </iframe></body>"""
    file = folder / "outside.html"
    file.write_text(outside, encoding="utf-8")
    dom = chromium("--dump-dom", "--virtual-time-budget=3000", file.as_uri(), folder=folder)
    found = re.search(r"<title>(.*?)</title>", dom, re.S)
    assert found is not None, dom[:500]
    return json.loads(unescape(found[1]))


def test_columns_are_sorted_by_a_click(page: Path, tmp_path: Path) -> None:
    script = """(() => {
        const table = (name) => [...document.querySelectorAll("table")].find((t) => t.caption.textContent === name);
        const column = (t, at) => [...t.tBodies[0].rows].map((row) => row.cells[at].textContent);
        const click = (t, at) => t.tHead.rows[0].cells[at].firstElementChild.click();
        const found = [];
        for (const [name, at] of [["curve", 1], ["curve", 1], ["curve", 0], ["words", 1], ["words", 1], ["All values", 0]]) {
            click(table(name), at);
            found.push([column(table(name), 0), table(name).tHead.rows[0].cells[at].ariaSort]);
        }
        return found;
    })()"""
    up, down, by_name, nan_up, nan_down, texts = seen(page, tmp_path, script)
    assert up[0][0] in ("0.5",)
    assert up == [["0.5", "1", "3", "-2"], "ascending"] or up == [
        ["0.5", "1", "-2", "3"],
        "ascending",
    ]
    assert down[1] == "descending"
    assert down[0][-1] == "0.5"
    assert by_name == [["-2", "0.5", "1", "3"], "ascending"]
    assert nan_up == [["3", "20", "1"], "ascending"]  # what is no number comes last both ways
    assert nan_down == [["20", "3", "1"], "descending"]
    assert texts[0] == sorted(texts[0])


@pytest.mark.parametrize("width", [360, 1000])
def test_nothing_is_wider_than_the_window(page: Path, tmp_path: Path, width: int) -> None:
    script = """(() => {
        const room = document.documentElement.clientWidth;
        const wide = [...document.querySelectorAll("section, figure, .sheet, pre, header, nav")]
            .filter((e) => e.getBoundingClientRect().right > room + 1).map((e) => e.tagName + "." + e.className);
        return [room, document.documentElement.scrollWidth, wide];
    })()"""
    room, needed, wide = seen(page, tmp_path, script, width)
    assert room == width
    assert needed <= room
    assert wide == []


def test_the_page_is_seen_in_light_and_in_the_dark(page: Path, tmp_path: Path) -> None:
    pictures = []
    for scheme in ("light", "dark"):
        file = tmp_path / f"{scheme}.png"
        text = page.read_text(encoding="utf-8")
        if scheme == "dark":  # as if the reader had asked for it
            text = text.replace("(prefers-color-scheme: dark)", "all")
        shown = tmp_path / f"{scheme}.html"
        shown.write_text(text, encoding="utf-8")
        size = "--window-size=1000,1400"
        chromium(f"--screenshot={file}", size, shown.as_uri(), folder=tmp_path)
        pictures.append(imread(file)[..., :3])
    light, dark = pictures
    assert light.shape == dark.shape
    assert np.median(light) > 0.9
    assert np.median(dark) < 0.2
    for picture in pictures:  # texts and figures stand out
        assert picture.std() > 0.08


def test_figures_are_there_and_nothing_is_loaded(page: Path, tmp_path: Path) -> None:
    script = """(() => {
        const figures = [...document.querySelectorAll("figure svg")].map((svg) => svg.getBoundingClientRect());
        const outside = performance.getEntriesByType("resource").map((entry) => entry.name);
        return [figures.every((box) => box.width > 200 && box.height > 100), figures.length, outside];
    })()"""
    assert seen(page, tmp_path, script) == [True, 3, []]
