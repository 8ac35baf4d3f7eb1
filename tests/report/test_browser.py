"""report.html in a real headless Chromium."""

import base64
import io
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import factory
import pytest
from test_escaping import HOSTILE

from vlmbench.records.store import find_runs
from vlmbench.report.page.write import render_report, write_report
from vlmbench.report.tables.write import build_tables

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian packages)"
)


def pictures(dataset: str, split: str, ids: Sequence[str]) -> dict[str, bytes]:
    from PIL import Image

    found = {}
    for name in ids:
        buffer = io.BytesIO()
        Image.new("RGB", (96, 96), (len(name) * 7 % 255, 90, 160)).save(buffer, "PNG")
        found[name] = buffer.getvalue()
    return found


@pytest.fixture(scope="module")
def page(demo_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's report, with captions."""
    out = tmp_path_factory.mktemp("page")
    for system, wrong, seed in (("generated", 0.2, 1), ("nearest", 0.5, 2)):
        factory.write_captions(out, system, wrong=wrong, seed=seed)
    runs = find_runs([demo_once, out])
    return write_report(runs, build_tables(runs), out / "report.html", pictures=pictures)


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile class names, dataset and model names, ids and captions."""
    out = tmp_path_factory.mktemp("hostile-page")
    for task, seed in (("zeroshot", 1), ("linear-probe", 2)):
        for model in (HOSTILE[0], HOSTILE[49]):
            factory.write_classification(
                out, task, model, HOSTILE[40], classnames=HOSTILE, n=200, seed=seed, accuracy=0.6
            )
    references = [[text, f"{text} again"] for text in HOSTILE]
    factory.write_captions(out, HOSTILE[7], HOSTILE[8], candidates=HOSTILE, references=references, metrics=("rouge_l",))
    runs = find_runs([out])
    return write_report(runs, build_tables(runs, tests=False), out / "report.html", pictures=pictures)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def visit(chromium: Any) -> Callable[..., Any]:
    def go(path: Path, width: int = 1280, scheme: str = "light") -> Any:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        chromium.get_log("browser")
        chromium.get(path.as_uri())
        return chromium

    return go


def test_the_page_needs_no_network_and_is_small(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = re.findall(r"""\b(?:src|href|action)\s*=\s*["']([^"']*)""", text)
    assert targets
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert "url(" not in text
    assert "@import" not in text
    assert len(text) < 3_000_000
    assert text.count("<script") == 1


def test_the_page_is_the_same_bytes_again(demo_once: Path) -> None:
    runs = find_runs([demo_once])
    assert render_report(runs, build_tables(runs)) == render_report(runs, build_tables(runs))


def test_many_images_make_no_larger_page(tmp_path: Path) -> None:
    sizes = []
    for n in (500, 5000):
        out = tmp_path / str(n)
        factory.write_captions(out, n=n, metrics=("rouge_l",))
        factory.write_classification(out, "zeroshot", n=n)
        factory.write_classification(out, "linear-probe", n=n, accuracy=0.9)
        runs = find_runs([out])
        sizes.append(len(render_report(runs, build_tables(runs))))
    assert sizes[1] < sizes[0] * 1.1


@needs_browser
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_overflows_and_nothing_is_logged(visit: Callable[..., Any], page: Path, width: int) -> None:
    driver = visit(page, width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.get_log("browser") == []
    assert driver.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert driver.execute_script("return document.images.length") > 20


@needs_browser
def test_columns_sort_by_mouse_and_keyboard(visit: Callable[..., Any], page: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    driver = visit(page)
    values = "return [...document.querySelectorAll('#classification tbody tr')].map(r => r.cells[4].dataset.value)"
    before = driver.execute_script(values)
    head = driver.find_elements(By.CSS_SELECTOR, "#classification thead th")[4]
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert driver.execute_script(values) == sorted(before, key=float, reverse=True)
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "ascending"
    assert driver.execute_script(values) == sorted(before, key=float)
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert head.get_attribute("aria-sort") == "none"
    assert driver.execute_script(values) == before


@needs_browser
def test_text_columns_sort_and_empty_cells_stay_last(visit: Callable[..., Any], page: Path) -> None:
    driver = visit(page)
    driver.execute_script("document.querySelectorAll('#classification thead button')[2].click()")
    column = "return [...document.querySelectorAll('#classification tbody tr')].map(r => r.cells[2].textContent)"
    assert driver.execute_script(column)[-2:] == ["", ""]


@needs_browser
def test_everything_is_reached_by_keyboard(visit: Callable[..., Any], page: Path) -> None:
    driver = visit(page)
    stops = driver.execute_script(
        "return [...document.querySelectorAll('a[href], button, summary, [tabindex]')]"
        ".filter(e => e.tabIndex < 0).length"
    )
    assert stops == 0
    targets = (
        "return [...document.querySelectorAll('a[href^=\"#\"]')].every(a => document.getElementById(a.hash.slice(1)))"
    )
    assert driver.execute_script(targets)


@needs_browser
def test_what_a_screen_reader_needs(visit: Callable[..., Any], page: Path) -> None:
    driver = visit(page)
    check = driver.execute_script
    assert check("return document.documentElement.lang") == "en"
    assert check("return [...document.images].every(i => i.alt.trim())")
    assert check(
        "return [...document.querySelectorAll('svg[role=img]')].every(s => s.getAttribute('aria-labelledby').split(' ')"
        ".every(n => document.getElementById(n).textContent.trim()))"
    )
    assert check("return [...document.querySelectorAll('svg:not([role=img])')].every(s => s.ariaHidden === 'true')")
    assert check("return [...document.querySelectorAll('th')].every(t => t.scope)")
    assert check("return [...document.querySelectorAll('table')].every(t => t.caption && t.caption.textContent.trim())")
    ids = check("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    levels = check("return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


CONTRAST = """
const drawn = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgb = (colour) => {
  drawn.fillStyle = colour;
  drawn.fillRect(0, 0, 1, 1);
  return [...drawn.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const linear = (part) => part / 255 <= .03928 ? part / 255 / 12.92 : ((part / 255 + .055) / 1.055) ** 2.4;
const light = (colour) => {
  const [r, g, b] = rgb(colour).map(linear);
  return .2126 * r + .7152 * g + .0722 * b;
};
const ratio = (one, two) => {
  const [brighter, darker] = [light(one), light(two)].sort((a, b) => b - a);
  return (brighter + .05) / (darker + .05);
};
const value = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const found = {};
for (const ink of ['--ink', '--quiet', '--link'])
  for (const back of ['--paper', '--card']) found[ink + back] = ratio(value(ink), value(back));
for (let i = 0; i < 8; i++) found['--c' + i] = ratio(value('--c' + i), value('--card'));
return found;
"""


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out(visit: Callable[..., Any], page: Path, scheme: str) -> None:
    driver = visit(page, scheme=scheme)
    back = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 20, 25)"}[scheme]
    ratios = driver.execute_script(CONTRAST)
    assert {name: ratio for name, ratio in ratios.items() if ratio < (3 if name.startswith("--c") else 4.5)} == {}


@needs_browser
def test_it_prints_with_everything_unfolded(visit: Callable[..., Any], page: Path) -> None:
    driver = visit(page)
    closed = driver.execute_script("return document.querySelectorAll('details:not([open])').length")
    assert closed > 0
    driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert driver.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    driver.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert driver.execute_script("return document.querySelectorAll('details:not([open])').length") == closed
    pdf = driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert base64.b64decode(pdf["data"]).startswith(b"%PDF")


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_text_is_shown_and_not_obeyed(visit: Callable[..., Any], hostile_page: Path, width: int) -> None:
    driver = visit(hostile_page, width)
    assert driver.get_log("browser") == []
    check = driver.execute_script
    assert check("return document.scripts.length") == 1
    assert check("return document.styleSheets.length") == 1
    assert check(
        "return [...document.querySelectorAll('*')].every(e => [...e.attributes].every(a => !a.name.startsWith('on')))"
    )
    assert (
        check("return document.querySelectorAll('main h1, img:not([src^=\"data:\"]), iframe, object, form').length")
        == 0
    )
    text = check("return document.body.textContent")
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]", text)
    for shown in (
        "<script>alert(1)</script>",
        "&lt;b&gt;",
        "{{ 7 * 7 }}",
        "\\u202eright to left",
        "\\x1b[2J",
        "名前 ❤ é",
    ):
        assert shown in text
    assert check("return document.documentElement.scrollWidth") <= width


def test_many_comparisons_are_folded_and_few_are_not(tmp_path: Path) -> None:
    shown = []
    for count in (2, 4):
        out = tmp_path / str(count)
        for seed in range(count):
            factory.write_captions(out, f"system {seed}", wrong=0.1 + seed / 10, seed=seed)
        runs = find_runs([out])
        tables = build_tables(runs, every_pair=True)
        rows = next(len(table.rows) for table in tables if table.name == "comparisons")
        shown.append(f"{rows} comparisons</summary>" in render_report(runs, tables))
    assert shown == [False, True]
