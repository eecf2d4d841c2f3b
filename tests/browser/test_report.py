"""The demo's report in real Chromium: it opens alone, for everyone, on every screen and on paper."""

import pytest

from browser.chromium import SCHEMES, broken_anchors, inaccessible, letters, opened, printed, too_wide

SHOWN_CARDS = "article.sample:not([hidden]) [data-run]:not([hidden])"


@pytest.fixture(scope="module")
def file(finished_demo):
    return finished_demo / "results" / "demo" / "report.html"


@pytest.fixture(scope="module")
def report(browser, file):
    """The page, for tests that leave it as they found it."""
    with opened(browser, file) as found:
        yield found


@pytest.fixture
def fresh(browser, file):
    """The page, for a test alone."""
    with opened(browser, file) as found:
        yield found


@pytest.fixture
def planted(browser, file, tmp_path):
    """Opens a copy of the page with something put in before its end, which may be all that is left of its sections."""
    pages = []

    def plant(put="", *, only=False, policy=True, **options):
        text = file.read_text()
        if not policy:
            text = text.replace("Content-Security-Policy", "no-policy")
        start, end = text.index("<section"), text.index("</main>")
        text = text[: start if only else end] + put + text[end:]
        copy = tmp_path / "planted.html"
        copy.write_text(text)
        pages.append(opened(browser, copy, **options))
        return pages[-1].__enter__()

    yield plant
    for page in pages:
        page.__exit__(None, None, None)


def test_it_opens_without_complaints_and_asks_for_nothing(fresh, planted):
    fresh.page.wait_for_load_state("networkidle")
    assert fresh.complaints == []
    assert fresh.requests == []
    assert "demo" in fresh.page.title()
    image = '<img src="https://example.org/pixel.png" alt="">'
    assert planted(image, policy=False).requests == ["https://example.org/pixel.png"]
    guarded = planted(image + "<script>document.title = 'taken over'</script>")
    assert guarded.requests == []
    assert any("img-src" in said for said in guarded.complaints)
    assert any("script-src" in said for said in guarded.complaints)
    assert guarded.page.title() != "taken over"
    assert planted("<script>nowhere()</script>", policy=False).complaints


def test_every_anchor_resolves(report, planted):
    assert broken_anchors(report.page) == []
    assert len(report.page.query_selector_all("nav a")) >= 10
    found = broken_anchors(planted('<a href="#nowhere">x</a><p id="data"></p><label for="none">x</label>').page)
    assert len(found) == 3


def test_nobody_has_to_push_the_page_sideways(report, planted):
    assert too_wide(report.page) == []
    assert len(too_wide(planted('<div style="width: 500px">wide</div>').page)) == len(SCHEMES)  # at 390 px


def test_axe_finds_nothing(fresh):
    """All rules in the light, contrast again in the dark; all details open, of many rows that are alike a few."""
    fresh.page.evaluate(
        """for (const part of document.querySelectorAll("details")) part.open = true;
        for (const more of document.querySelectorAll("tr:nth-child(n+4), tbody:nth-of-type(n+3)")) more.remove();
        for (const more of document.querySelectorAll("figure:nth-of-type(n+3)")) more.remove();
        for (const more of document.querySelectorAll(".samples-of article.sample:nth-of-type(n+2)")) more.remove();"""
    )
    assert inaccessible(fresh.page, "light") == []
    assert inaccessible(fresh.page, "dark", ["color-contrast"]) == []


def test_axe_would_find_something(planted):
    page = planted('<p style="color: light-dark(#999, #666)">faint</p><button></button>', only=True).page
    for scheme in SCHEMES:
        found = inaccessible(page, scheme)
        assert any("color-contrast" in fault for fault in found)
        assert any("button-name" in fault for fault in found)


def test_the_keyboard_gets_everywhere(fresh):
    page = fresh.page
    focused = "document.activeElement."
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}className") == "skip"
    assert page.evaluate(f"{focused}getBoundingClientRect().top") >= 0, "shown where it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate(f"{focused}id") == "main"
    kinds = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        kinds.add(page.evaluate(f"{focused}tagName"))
        outline = page.evaluate(f"getComputedStyle({focused[:-1]}).outlineStyle")
        assert outline != "none", page.evaluate(f"{focused}outerHTML")[:200]
    assert {"DIV", "BUTTON"} <= kinds, "tables that are pushed sideways, and heads that sort"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_colours_follow_the_system_and_a_button(fresh, scheme):
    page, ground = fresh.page, "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme=scheme)
    before = page.evaluate(ground)
    other = "Dark colours" if scheme == "light" else "Light colours"
    page.get_by_role("button", name=other).focus()
    page.keyboard.press("Enter")
    after = page.evaluate(ground)
    page.emulate_media(color_scheme=next(name for name in SCHEMES if name != scheme))
    assert page.evaluate(ground) == after != before
    page.locator("#theme").click()
    assert page.evaluate(ground) == before
    assert fresh.complaints == []


# Clicks on every head of a table twice, and tells what stood in its column then; and whether its rows are still whole.
SORTED = """(table) => {
    const rows = () => [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => {
        const text = cell.dataset.value ?? cell.textContent.trim();
        return text === "" || text === "–" ? null : text;
    }));
    const content = (found) => JSON.stringify(found.map((row) => JSON.stringify(row)).sort());
    const before = content(rows());
    const found = [];
    for (const head of table.querySelectorAll("thead th:has(button)"))
        for (const order of ["ascending", "descending"]) {
            head.querySelector("button").click();
            found.push({
                order,
                said: [...table.querySelectorAll("[aria-sort]")].map((one) => one.ariaSort),
                whole: content(rows()) === before,
                column: rows().map((row) => row[head.cellIndex]),
            });
        }
    return found;
}"""


def as_numbers(values):
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


def test_every_table_that_sorts_sorts_every_column(fresh):
    """Numbers by size, and what is missing last, in either direction."""
    tables = fresh.page.query_selector_all("table.sortable")
    assert len(tables) >= 10
    numeric = 0
    for table in tables:
        unclear = table.eval_on_selector_all("td.number:not([data-value])", "(found) => found.map((c) => c.outerHTML)")
        assert unclear == [], "a number that can only be ordered as it is written"
        for sorting in table.evaluate(SORTED):
            assert sorting["said"] == [sorting["order"]]
            assert sorting["whole"], "no row is lost, none is torn"
            known = [value for value in sorting["column"] if value is not None]
            assert None not in sorting["column"][: len(known)]
            if (numbers := as_numbers(known)) is not None:
                assert numbers == sorted(numbers, reverse=sorting["order"] == "descending")
                numeric += len(set(numbers)) > 1
    assert numeric > 30
    assert fresh.complaints == []


def test_sorting_orders_numbers_and_leaves_what_is_missing_last(planted):
    """Written numbers, dashes and texts of a table made for it, by mouse and by keyboard."""
    cells = [("1234.5", "1,234.5"), ("", "–"), ("-3", "−3"), ("99", "99"), ("1e-07", "0.0000001")]
    rows = "".join(f'<tr><th>r{at}</th><td data-value="{key}">{text}</td></tr>' for at, (key, text) in enumerate(cells))
    head = "<thead><tr><th>Name</th><th>Value</th></tr></thead>"
    page = planted(f'<table class="sortable" id="made">{head}<tbody>{rows}</tbody></table>').page
    shown = "[...document.querySelectorAll('#made tbody td')].map((cell) => cell.textContent)"
    button = page.locator("#made").get_by_role("button", name="Value")
    button.click()
    assert page.evaluate(shown) == ["−3", "0.0000001", "99", "1,234.5", "–"]
    page.keyboard.press("Enter")
    assert page.evaluate(shown) == ["1,234.5", "99", "0.0000001", "−3", "–"]
    page.keyboard.press("Space")
    assert page.evaluate(shown) == ["−3", "0.0000001", "99", "1,234.5", "–"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    names = "[...document.querySelectorAll('#made tbody th')].map((cell) => cell.textContent)"
    assert page.evaluate(names) == ["r0", "r1", "r2", "r3", "r4"]


def test_filters_show_what_was_asked_for_and_say_how_much(fresh):
    page = fresh.page
    said = page.get_by_role("status")
    every = page.locator(SHOWN_CARDS).count()
    prompts = page.locator("article.sample").count()
    everything = f"{every} of {every} responses to {prompts} of {prompts} prompts are shown."
    assert every > 0
    assert said.inner_text() == everything
    for select in page.query_selector_all("#filters select"):
        name = select.get_attribute("name")
        total = 0
        for value in [
            option.get_attribute("value") or option.inner_text() for option in select.query_selector_all("option")
        ][1:]:
            select.select_option(value)
            cards = page.query_selector_all(SHOWN_CARDS)
            assert {card.get_attribute(f"data-{name}") for card in cards} == {value}
            assert said.inner_text().startswith(f"{len(cards)} of {every} responses")
            total += len(cards)
        assert 0 < total <= every
        page.get_by_role("button", name="Show all").click()
        page.wait_for_function("(text) => document.querySelector('[role=status]').textContent === text", arg=everything)


def test_filters_work_by_keyboard_and_find_texts(fresh):
    page = fresh.page
    said = page.get_by_role("status")
    page.get_by_label("Model").focus()
    page.keyboard.press("ArrowDown")
    first = page.get_by_label("Model").input_value()
    assert first
    assert {card.get_attribute("data-run") for card in page.query_selector_all(SHOWN_CARDS)} == {first}
    page.get_by_role("searchbox", name="Text").focus()
    page.keyboard.type("no text has this: \\ (")
    assert said.inner_text().startswith("0 of ")
    assert page.locator("article.sample:visible").count() == 0
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => !document.querySelector('[role=status]').textContent.startsWith('0 of')")
    prompt = page.locator("article.sample h4 code").first.inner_text()
    page.get_by_role("searchbox", name="Text").fill(f"prompt {prompt}".upper())
    assert 0 < page.locator("article.sample:visible").count() < page.locator("article.sample").count()
    assert fresh.complaints == []


def test_paper_shows_all_of_it(report, planted):
    report.page.emulate_media(color_scheme="dark")
    paper = printed(report.page)
    assert paper.faults == []
    assert "demo" in paper.sheets[0]
    assert "Winnow report" in paper.sheets[0]
    whole = letters("".join(paper.sheets))
    # What would fill the paper is left out, and says so; all other details are open.
    closed = report.page.locator("details.long:not([open]):not(details.long:not([open]) details)").count()
    assert 0 < closed == whole.count("(notprinted)")
    for text in report.page.locator("details:not(.long):not(details.long details) td:last-child").all_text_contents():
        assert letters(text) in whole
    edge = '<p style="position: absolute; left: 97%; white-space: nowrap">is this cut off?</p>'
    assert any("is this" in fault for fault in printed(planted(edge, only=True).page).faults)
    wide = '<div style="width: 800px">wide</div>'
    assert any("px wide" in fault for fault in printed(planted(wide, only=True).page).faults)
    gap = '<div style="break-after: page"></div><div style="break-after: page; height: 1px"></div><p>end</p>'
    assert any("is empty" in fault for fault in printed(planted(gap, only=True).page).faults)


def test_what_matters_needs_no_javascript(planted, report):
    page = planted(javascript=False).page
    for selector in ("#filters", "#theme", "th button"):
        assert page.locator(selector).locator("visible=true").count() == 0
    for selector in ("#comparison td", "article.sample pre", ".status li"):
        shown, there = page.locator(selector).locator("visible=true").count(), page.locator(selector).count()
        assert shown > 0
        assert there == report.page.locator(selector).count()
    assert page.locator("#comparison td.number").first.inner_text().strip()
