"""The page in a browser: nothing has to be scrolled sideways, its style is on, and its policy holds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

from llmopt.report.html import page

from .html_sample import HOSTILE, hostile, sample

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--allow-file-access-from-files", "--virtual-time-budget=20000", "--window-size=1500,900",
)  # fmt: skip

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed"),
]

WIDTHS = (375, 1440)

INJECTED = """
    <script>parent.ran.push("script")</script>
    <svg onload="parent.ran.push('handler')"></svg>
    <img src="no-such-file" onerror="parent.ran.push('img')">
    <iframe srcdoc="<script>parent.parent.ran.push('frame')</script>"></iframe>
    <style>main { padding-left: 9000px }</style>
    <p style="width: 9000px" id="wide">x</p>
"""


def injected() -> str:
    return page(sample()).replace("<main>", f"<main>{INJECTED}")


PAGES = {
    "plausible": lambda: page(sample()),
    "many": lambda: page(sample(days=90, models=50)),
    **{f"hostile-{n}": lambda n=n: page(hostile(HOSTILE[n])) for n in (0, 6, 7, 12, 13)},
    # Escaping undone on purpose, with the policy, and without it to see that the test would see it.
    "injected": injected,
    "unprotected": lambda: injected().replace("Content-Security-Policy", "x-nothing"),
}


# The wrapper has a script of its own: it loads each page in a frame of each width, and measures it there.
WRAPPER = """<!doctype html><meta charset="utf-8"><title>wrapper</title><body><pre id="out"></pre><script>
const cases = CASES, seen = {};
window.ran = [];
async function measure([key, file, width]) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:800px;border:0;display:block`;
  const loaded = new Promise(done => frame.onload = done);
  frame.src = file;
  document.body.append(frame);
  await loaded;
  const page = frame.contentDocument, root = page.documentElement, view = frame.contentWindow;
  const spread = [...page.querySelectorAll("main *")].filter(node =>
    !node.closest(".scroll, svg") && node.getBoundingClientRect().right > width + 1);
  const style = view.getComputedStyle(page.body);
  const wide = page.getElementById("wide");
  seen[key] = {
    ran: window.ran.splice(0).sort(), wide: wide && wide.clientWidth,
    scroll: root.scrollWidth, client: root.clientWidth,
    spread: spread.map(node => node.outerHTML.slice(0, 120)),
    wrap: style.overflowWrap, padding: view.getComputedStyle(page.querySelector("main")).paddingLeft,
    boxes: [...page.querySelectorAll(".scroll")].map(box => box.clientWidth > 0),
    text: parseFloat(style.fontSize),
    charts: [...page.querySelectorAll("svg.plot")].map(svg => svg.clientWidth),
  };
  frame.remove();
}
(async () => {
  for (const one of cases) await measure(one);
  document.getElementById("out").textContent = JSON.stringify(seen);
})();
</script></body>"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> dict:
    """What the browser measured, by name of the page and width."""
    folder = tmp_path_factory.mktemp("pages")
    for name, made in PAGES.items():
        (folder / f"{name}.html").write_text(made(), encoding="utf-8")
    cases = [(f"{name} {width}", f"{name}.html", width) for name in PAGES for width in WIDTHS]
    wrapper = folder / "wrapper.html"
    wrapper.write_text(WRAPPER.replace("CASES", json.dumps(cases)), encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", wrapper.as_uri()]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return json.loads(unescape(re.search(r'<pre id="out">(.*?)</pre>', shown, re.DOTALL).group(1)))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [name for name in PAGES if name not in {"injected", "unprotected"}])
def test_nothing_has_to_be_scrolled_sideways(seen, name, width):
    measured = seen[f"{name} {width}"]
    assert measured["client"] == width
    assert measured["spread"] == []
    assert measured["scroll"] <= measured["client"]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_style_sheet_passes_the_policy(seen, width):
    measured = seen[f"plausible {width}"]
    assert measured["wrap"] == "break-word"
    assert measured["text"] == 15
    assert all(measured["boxes"])


def test_charts_take_the_width_that_there_is(seen):
    narrow, wide = (seen[f"plausible {width}"]["charts"] for width in WIDTHS)
    assert len(narrow) == len(wide) == 6
    assert min(narrow) > 250
    assert min(wide) > 300


@pytest.mark.parametrize("width", WIDTHS)
def test_the_policy_holds_should_escaping_fail(seen, width):
    protected, bare = seen[f"injected {width}"], seen[f"unprotected {width}"]
    assert bare["ran"] == ["frame", "handler", "img", "script"]
    assert (bare["padding"], bare["wide"]) == ("9000px", 9000)
    assert protected["ran"] == []
    assert protected["padding"] == "0px"
    assert protected["wide"] <= width
