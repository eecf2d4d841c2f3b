"""Pages and figures of PDFs: sizes, what is hidden, which figures there are; on made-up pages and on real papers."""

import re
from collections import Counter

import pytest

from pdf_files import Line, Placed, assemble, locked_pdf, pdf
from real_data import REAL_DATA, needs_real_data
from winnow.corpus import pdf_figures
from winnow.corpus.fitting import UnusableError
from winnow.corpus.pdf import opened, page_images

BUDGET = {"max_pixels": 250_880, "min_pixels": 196, "max_images": 10}
PAPERS = sorted((REAL_DATA / "paper_pdfs").glob("*.pdf"))


def pages(data, *, anonymous=False, **budget):
    notes = Counter()
    with opened(data) as document:
        return list(page_images(document, notes, anonymous=anonymous, **BUDGET | budget)), notes


def figures(data, **budget):
    notes = Counter()
    with opened(data) as document:
        return list(pdf_figures.figure_images(document, notes, **BUDGET | budget)), notes


def ink(image, box=None):
    """Whether there is anything but white."""
    return (image.crop(box) if box else image).convert("L").getextrema()[0] < 200


def test_pages_fill_the_budget_in_their_own_shape_and_come_in_order():
    made, notes = pages(pdf([[Line(700, "one")], [Line(100, "two")], []]))
    assert [image.size for image in made] == [(440, 569)] * 3
    assert all(image.mode == "RGB" for image in made)
    assert [ink(image, (0, 0, 440, 285)) for image in made] == [True, False, False]
    assert [ink(image, (0, 285, 440, 569)) for image in made] == [False, True, False]
    assert not notes


def test_only_the_first_pages_are_drawn_and_the_others_counted():
    made, notes = pages(pdf([[Line(700, str(number))] for number in range(7)]), max_images=3)
    assert len(made) == 3
    assert notes == {"pages beyond max_images": 4}


@pytest.mark.parametrize(
    ("box", "keys", "size"),
    [
        ("0 0 612 792", "/Rotate 90", (569, 440)),
        ("0 0 612 792", "/CropBox[0 396 612 792]", (622, 402)),
        ("0 0 14400 14400", "", (500, 500)),
        ("0 0 1000 5", "", (7083, 35)),
    ],
)
def test_a_turned_cropped_huge_or_thin_page_keeps_its_shape(box, keys, size):
    (image,), _ = pages(pdf(box=box, page_keys=keys))
    assert image.size == size
    assert image.width * image.height <= BUDGET["max_pixels"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html>not found</html>", "broken PDF"),
        (pdf([[Line(700, "cut")]])[:200], "broken PDF"),
        (locked_pdf(), "encrypted PDF"),
        (assemble([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"]), "PDF without pages"),
        (assemble([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[9 0 R]/Count 1>>"]), "broken PDF"),
        (pdf(box="0 0 10000 1"), "one side is more than 200 times the other"),
    ],
)
def test_a_pdf_that_cannot_be_drawn_has_a_reason(data, reason):
    with pytest.raises(UnusableError) as caught:
        pages(data)
    assert caught.value.reason == reason


def test_the_reason_is_that_of_this_file_and_not_of_the_one_before():
    for before in (locked_pdf(), b"<html>"):
        with pytest.raises(UnusableError):
            pages(before)
        test_a_pdf_that_cannot_be_drawn_has_a_reason(
            assemble([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"]), "PDF without pages"
        )


PAPER = [
    [
        Line(760, "Published as a conference paper at ICLR 2020"),
        Line(700, "A Title"),
        Line(650, "Jane Doe, Some University"),
        Line(600, "ABSTRACT"),
        Line(560, "We study a thing that stays to be read."),
        Line(300, "Our code is at https://github.com/jane/thing for all."),
        Line(100, "Correspondence to jane@some.edu"),
    ],
    [
        Line(760, "Published as a conference paper at ICLR 2020"),
        Line(600, "Acknowledgments"),
        Line(580, "We thank the people of some grant."),
        Line(500, "References"),
        Line(480, "Somebody et al. An older paper."),
    ],
]


def band(image, up):
    """The strip of a page in which a line at that height stands."""
    top, bottom = (round((792 - up + shift) * image.height / 792) for shift in (-9, 3))
    return (0, top, image.width, bottom)


def test_what_gives_authors_or_the_decision_away_is_painted_over_and_nothing_else():
    (plain, plain2), notes = pages(pdf(PAPER))
    (hidden, hidden2), hidden_notes = pages(pdf(PAPER), anonymous=True)
    for image, other, lines in ((plain, hidden, PAPER[0]), (plain2, hidden2, PAPER[1])):
        for line in lines:
            kept = line.text.startswith(("ABSTRACT", "We study", "Our code", "References", "Somebody"))
            assert ink(image, band(image, line.up))
            assert ink(other, band(other, line.up)) == kept, line.text
    _, top, _, bottom = band(hidden, 300)
    address = (125, top, 200, bottom)  # pixels in the middle of it
    assert ink(plain, address)
    assert not ink(hidden, address)
    same = band(hidden, 560)
    assert hidden.crop(same).tobytes() == plain.crop(same).tobytes()
    assert not notes
    assert hidden_notes["lines and links painted over"] >= 4


def test_a_first_page_without_an_abstract_is_counted():
    _, notes = pages(pdf([[Line(700, "A Title")], [Line(700, "Abstract of nothing")]]), anonymous=True)
    assert notes == {"first page without a heading Abstract: authors may show": 1}


def test_panels_are_one_figure_and_figures_come_from_top_to_bottom():
    apart = [Placed(100, 100, 150, 100, 3), Placed(300, 500, 200, 150, 2), Placed(90, 500, 200, 150, 1)]
    made, notes = figures(pdf([apart, [Placed(100, 400, 100, 200, 4, form=True)]]))
    shapes = [image.width / image.height for image in made]
    assert shapes == pytest.approx([412 / 152, 152 / 102, 102 / 202], abs=0.03)
    assert not notes
    assert all(image.width * image.height <= 250_880 for image in made)


def test_an_image_is_not_enlarged_and_a_vector_graphic_fills_the_budget():
    (image,), _ = figures(pdf([[Placed(100, 400, 400, 300)]]))
    assert image.size == (402, 302)  # of 400 x 300 pixels, with a margin of one point
    (drawing,), _ = figures(pdf([[Placed(100, 400, 400, 300, form=True), Line(99, "More")]]))
    assert drawing.width * drawing.height > 0.99 * 250_880
    (small,), _ = figures(pdf([[Placed(100, 400, 400, 300)]]), max_pixels=10_000)
    assert small.width * small.height <= 10_000


def test_logos_and_scans_are_no_figures_and_one_that_returns_is_shown_once():
    logo, scan, figure = Placed(500, 740, 60, 40, 5), Placed(0, 0, 612, 792, 6), Placed(100, 300, 300, 200, 7)
    elsewhere = figure._replace(bottom=100)
    made, notes = figures(pdf([[logo, figure], [logo, elsewhere], [logo], [scan], [Placed(90, 90, 20, 20, 8)]]))
    assert len(made) == 1
    assert notes == {
        "logos, watermarks and the like": 3,
        "picture of a whole page": 1,
        "drawing smaller than a figure": 1,
        "figure shown before": 1,
    }


def test_strokes_of_a_page_are_counted_since_a_figure_of_them_is_missed():
    made, notes = figures(pdf([[]], strokes=40))
    assert made == []
    assert notes == {"page with many strokes of its own: a figure made of them is missed": 1}


def test_pictures_inside_a_form_that_holds_the_whole_page_are_found():
    wrapped = pdf([[Placed(100, 500, 200, 150, 1), Placed(100, 100, 150, 100, 2)]])
    number = wrapped.count(b" obj\n")
    content = re.search(rb"stream\nq 200.*?\nendstream", wrapped, re.DOTALL)[0][7:-10]
    resources = re.search(rb"/XObject<<(/N.*?)>>", wrapped)[1]
    form = (
        b"<</Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<<%s>>>>/Length %d>>stream\n%s\nendstream"
    )
    objects = re.findall(rb"\d+ 0 obj\n(.*?)\nendobj", wrapped, re.DOTALL)
    objects = [
        o.replace(content, b"/W Do".ljust(len(content))).replace(resources, b"/W %d 0 R" % (number + 1))
        for o in objects
    ]
    made, _ = figures(assemble([*objects, form % (resources, len(content), content)]))
    assert len(made) == 2


def test_a_page_is_as_it_was_after_its_figures_were_looked_for():
    data = pdf([[Placed(100, 300, 300, 200), Line(700, "text")]])
    with opened(data) as document:
        list(pdf_figures.figure_images(document, Counter(), **BUDGET))
        after = [image.tobytes() for image in page_images(document, Counter(), anonymous=False, **BUDGET)]
    assert after == [image.tobytes() for image in pages(data)[0]]


@needs_real_data
@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.stem)
def test_real_papers_have_as_many_figures_as_captions(paper):
    data = paper.read_bytes()
    captions = set()
    with opened(data) as document:
        for page in document:
            text = page.get_textpage().get_text_range()
            captions |= set(re.findall(r"^Figure (\d+):", text, re.MULTILINE))
    found, _ = figures(data)
    # Its Figure 2 has two panels far apart, each of which is found alone.
    assert len(found) == len(captions) + (paper.stem == "attention")
    assert all(ink(image) for image in found)


@needs_real_data
@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.stem)
def test_pages_of_real_papers_fit_and_hide_their_authors(paper):
    data = paper.read_bytes()
    drawn, notes = pages(data, anonymous=True)
    assert {image.size for image in drawn} == {(440, 569)}
    assert "first page without a heading Abstract: authors may show" not in notes
    assert not ink(drawn[0], (0, 0, 440, 90))  # title and authors stood there
    assert ink(pages(data, max_images=1)[0][0], (0, 0, 440, 90))
    assert all(ink(image) for image in drawn)
