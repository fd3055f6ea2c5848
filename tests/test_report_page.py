"""The report in a real browser, the tables through a real LaTeX; skipped where there is none."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from aswa.analyze import main
from written_runs import write_grid

PHONE, DESKTOP = 390, 1280


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not any(map(shutil.which, ("chromium", "google-chrome", "pdflatex"))):
        pytest.skip("neither chromium nor pdflatex here")
    folder = tmp_path_factory.mktemp("grid")
    write_grid(folder)
    assert main([str(folder)]) == 0
    return folder / "analysis"


def browse(page: Path, width: int, profile: Path) -> tuple[str, str]:
    """The document after loading, and what the browser complained about."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here (Debian: apt-get install chromium)")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        f"--user-data-dir={profile}", f"--window-size={width},900", "--virtual-time-budget=3000",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, "\n".join(re.findall(r".*CONSOLE.*", done.stderr))


@pytest.mark.root
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_report_in_a_browser(width: int, analysis: Path, tmp_path: Path) -> None:
    """No complaint on the console, no wider than the window, every figure and table drawn."""
    measure = (
        "<script>addEventListener('load', () => { const d = document; "
        "parent.document.body.dataset.seen = "
        "[d.documentElement.scrollWidth, innerWidth, d.querySelectorAll('svg').length, "
        "[...d.querySelectorAll('figure svg')].filter(s => s.clientHeight > 50).length].join(); })"
        "</script></body>"
    )
    report = (analysis / "report.html").read_text().replace("</body>", measure)
    # A frame may be as narrow as a telephone, a window may not.
    page = tmp_path / "frame.html"
    page.write_text(
        "<!DOCTYPE html><meta charset='utf-8'><link rel='icon' href='data:,'><body>"
        f"<iframe style='border:0;width:{width}px;height:900px' "
        f'srcdoc="{html.escape(report)}"></iframe></body>'
    )
    document, complaints = browse(page, 2 * DESKTOP, tmp_path / "profile")
    assert complaints == ""
    found = re.search(r'data-seen="(\d+),(\d+),(\d+),(\d+)"', document)
    assert found is not None
    wide, window, drawn, tall = map(int, found.groups())
    assert wide <= window == width
    assert drawn == tall == len(list((analysis / "figures").glob("*.svg")))


@pytest.mark.root
def test_a_click_on_a_column_sorts(analysis: Path, tmp_path: Path) -> None:
    """Numbers by their value, and back at the second click; a text that is none stays last."""
    click = (
        "<script>const t = document.querySelector('table'), seen = [];"
        "t.tBodies[0].rows[1].cells[2].textContent = 'missing';"
        "t.tBodies[0].rows[2].cells[2].textContent = '\u22120.5 \u00b1 0.1';"
        "for (const n of [0, 1]) { t.querySelectorAll('th button')[2].click();"
        "seen.push([...t.tBodies[0].rows].map(r => parseFloat(r.cells[2].textContent.replace("
        "'\u2212', '-'))).join()); } document.body.dataset.seen = seen.join(';');</script></body>"
    )
    page = tmp_path / "page.html"
    page.write_text((analysis / "report.html").read_text().replace("</body>", click))
    document, complaints = browse(page, DESKTOP, tmp_path / "profile")
    assert complaints == ""
    found = re.search(r'data-seen="([^"]*)"', document)
    assert found is not None
    up, down = (texts.split(",") for texts in found[1].split(";"))
    assert up[-1] == down[-1] == "NaN" and up[0] == "-0.5"
    numbers = [float(text) for text in up[:-1]]
    assert numbers == sorted(numbers) == [float(text) for text in down[-2::-1]]


@pytest.mark.root
def test_a_browser_that_complains_is_heard(tmp_path: Path) -> None:
    """So that the silence above means something."""
    page = tmp_path / "broken.html"
    page.write_text("<script>throw new Error('broken')</script>")
    assert "broken" in browse(page, DESKTOP, tmp_path / "profile")[1]


@pytest.mark.root
def test_all_tables_go_through_latex(analysis: Path, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here (Debian: apt-get install texlive-latex-recommended)")
    tables = sorted((analysis / "tables").glob("*.tex"))
    assert len(tables) > 5
    body = "\n\n".join(path.read_text() for path in tables)
    (tmp_path / "all.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\tiny\n"
        f"{body}\n\\end{{document}}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 1000
