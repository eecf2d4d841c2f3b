"""The page of a labelled study in real Chromium: what it has that the demo's has not."""

import json

import pytest

from browser.chromium import broken_anchors, inaccessible, opened, printed, too_wide
from report_labels import make_label_results
from winnow.core.config.studies import ResolvedStudy
from winnow.core.study import parse
from winnow.reporting.page import render
from winnow.reporting.sources import Results


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    make_label_results(folder / "labels")
    study = parse(ResolvedStudy, json.loads((folder / "labels/study.json").read_text()), "study.json")
    page = folder / "report.html"
    page.write_text(render(Results(folder / "labels"), study, None))
    return page


@pytest.fixture
def fresh(browser, file):
    with opened(browser, file) as found:
        yield found


def test_it_opens_fits_every_screen_and_prints(fresh):
    assert (fresh.complaints, fresh.requests) == ([], [])
    assert broken_anchors(fresh.page) == []
    assert too_wide(fresh.page) == []
    assert printed(fresh.page).faults == []


def test_axe_finds_nothing_in_what_is_its_own(fresh):
    """On a phone the answers of a post stand below each other, and are no table any more."""
    fresh.page.evaluate(
        """for (const part of document.querySelectorAll("details")) part.open = true;
        for (const more of document.querySelectorAll("section:not(#scores, #comparison, #samples)")) more.remove();
        for (const more of document.querySelectorAll(".samples-of article.sample:nth-of-type(n+3)")) more.remove();
        document.querySelector("nav").remove();"""
    )
    assert inaccessible(fresh.page, "dark", ["color-contrast"]) == []
    fresh.page.set_viewport_size({"width": 390, "height": 900})
    assert inaccessible(fresh.page, "light") == []


def test_filters_lead_to_the_mistakes_of_one_model(fresh):
    """Of sixty posts every fourth; the words are those of posts."""
    fresh.page.locator("select[name=greedy]").select_option("wrong")
    fresh.page.get_by_label("Model").select_option("sft_clean")
    said = fresh.page.get_by_role("status")
    assert said.inner_text() == "15 of 180 models' answers to 15 of 60 posts are shown."
    assert fresh.page.locator("article.sample:visible tbody tr:visible").count() == 15
