"""Real Chromium on a file: what it complains of, what it asks the network for, and what is wrong with the page.

Each check returns faults in words, none if all is well, so that a test can plant a fault and see it found.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import axe_playwright_python
import pypdfium2
from playwright.sync_api import Browser, Page, Route

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 768, 1280)
SCHEMES = ("light", "dark")
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
PAPER = 703  # pixels between the margins of A4: 210 mm less twice 12
_AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")


def program() -> str | None:
    """Return the browser's program; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@dataclass
class Opened:
    """A page that is open.

    Attributes:
        page: playwright's.
        complaints: what its console said in anger, and errors that no script caught.
        requests: what it asked for but itself.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(browser: Browser, file: Path, *, javascript: bool = True) -> Iterator[Opened]:
    """Open a file without a network, in a window of 1280 pixels."""
    context = browser.new_context(
        offline=True, java_script_enabled=javascript, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    found = Opened(context.new_page())

    def pass_or_record(route: Route) -> None:
        if route.request.url.split("#")[0] == file.as_uri():
            route.continue_()
        else:
            found.requests.append(route.request.url)
            route.abort()

    context.route("**/*", pass_or_record)
    found.page.on(
        "console",
        lambda said: found.complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.goto(file.as_uri())
    try:
        yield found
    finally:
        context.close()


def broken_anchors(page: Page) -> list[str]:
    """Return ids that occur twice, and links, labels and descriptions of what is not there."""
    return page.evaluate("""() => {
        const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
        const faults = ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `id ${id} occurs twice`);
        for (const link of document.querySelectorAll("a")) {
            const target = link.getAttribute("href") ?? "";
            if (!target.startsWith("#") || !document.getElementById(decodeURIComponent(target.slice(1))))
                faults.push(`link to ${target} leads nowhere`);
        }
        for (const name of ["for", "aria-labelledby", "aria-describedby", "aria-controls"])
            for (const element of document.querySelectorAll(`[${name}]`))
                for (const id of element.getAttribute(name).split(/\\s+/))
                    if (!document.getElementById(id)) faults.push(`${name} names ${id}, which is not there`);
        return faults;
    }""")


def too_wide(page: Page) -> list[str]:
    """Return at which widths and in which colours the page would have to be pushed sideways."""
    faults = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            content = page.evaluate("document.documentElement.scrollWidth")
            if content > page.evaluate("document.documentElement.clientWidth"):
                faults.append(f"{scheme}, {width} px: the content is {content} px wide")
    page.set_viewport_size({"width": 1280, "height": 900})
    return faults


def inaccessible(page: Page, scheme: str, rules: Sequence[str] = WCAG) -> list[str]:
    """Return what axe-core finds, contrast included; by default against WCAG 2.2 AA. What is closed is not seen."""
    page.emulate_media(color_scheme=scheme)
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    # Naming every element that is well takes longer than looking at it.
    options = {"runOnly": list(rules), "reporter": "no-passes", "selectors": False, "preload": False}
    found = page.evaluate("(options) => axe.run(options)", options)
    return [
        f"{scheme}: {rule['id']}: {node['html'][:200]} {[check['message'] for check in (*node['any'], *node['all'])]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def letters(text: str) -> str:
    """Return a text without white space and hyphens: both change where a line of a PDF ends."""
    return re.sub(r"[\s\x02\ufffe\u00ad-]+", "", text)


def stands_in(line: str, whole: str, shortest: int = 20) -> bool:
    """Say whether a line stands in a text, whole or parted where a sheet ended: a card beside it may come between."""
    if line in whole:
        return True
    starts = range(len(line) - shortest, shortest - 1, -1)
    start = next((end for end in starts if line[:end] in whole), None)
    return start is not None and stands_in(line[start:], whole, shortest)


@dataclass
class Printed:
    """A page on A4 paper.

    Attributes:
        sheets: the text of each.
        faults: empty sheets, lines that are cut or left out, and whether all had to shrink for something wide.
    """

    sheets: list[str]
    faults: list[str]


def printed(page: Page) -> Printed:
    """Print a page, read it again, and compare it with what the page would show in a window as wide as its paper."""
    document = pypdfium2.PdfDocument(page.pdf(prefer_css_page_size=True, print_background=True))
    sheets = [sheet.get_textpage().get_text_range() for sheet in document]
    pictures = [any(item.type != pypdfium2.raw.FPDF_PAGEOBJ_PATH for item in sheet.get_objects()) for sheet in document]
    faults = [f"sheet {at + 1} is empty" for at, text in enumerate(sheets) if not text.strip() and not pictures[at]]
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 900})
    # A browser makes everything smaller, the letters too, if one thing is wider than the paper.
    if (width := page.evaluate("document.documentElement.scrollWidth")) > PAPER:
        faults.append(f"the content is {width} px wide, and the paper {PAPER}")
    whole = letters("".join(sheets))
    lines = re.split(r"[\n\t]+", page.evaluate("document.body.innerText"))
    faults += [f"not on paper: {line}" for line in lines if not stands_in(letters(line), whole)]
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1280, "height": 900})
    return Printed(sheets, faults)
