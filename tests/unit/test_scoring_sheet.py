"""The sheet for people: drawn blind, safe in a spreadsheet, read back whatever a spreadsheet does to it, compared."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from scoring_fixtures import checklist, checklist_file, prompts_table, responses_table, script, spec, texts
from winnow.core.errors import WinnowError
from winnow.scoring.sheet import CELL_CHARS, Sheet, protected, read_sheet, row_id, unprotected, write_sheet

LIST = checklist()
ITEMS = [item.id for item in LIST.questions]
FORMULAS = [
    '=HYPERLINK("https://evil.example","a, b")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "  =1+1",
    "\r\n=1+1",
    "＝1＋1",
    "'quoted' from the first word on",
    "''=1",
    'He said "no";\nand, then,\nleft. =not a formula',
]


@pytest.fixture
def corpora(tmp_path):
    """Two corpora; the second has texts that spreadsheets compute."""
    first = responses_table(tmp_path / "first.parquet", texts(40))
    second = responses_table(tmp_path / "second.parquet", FORMULAS)
    return {"first": first, "second": second}


def table(path, **changes):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, **changes))


def write_table(path, rows, **changes):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, **changes).writerows(rows)
    return path


def filled(path, answer):
    """Fill in a sheet: `answer` is a function of the number of the row and of the item."""
    rows = table(path)
    start = rows[0].index(f"{ITEMS[0]}: {LIST.questions[0].text}")
    for number, row in enumerate(rows[1:]):
        row[start : start + 8] = [answer(number, item) for item in range(8)]
    return write_table(path, rows)


def written(tmp_path, corpora, rows=30, limit=0):
    path = tmp_path / "sheet.csv"
    assert write_sheet(path, corpora, LIST, rows=rows, limit=limit) == len(table(path)) - 1
    return path


def test_the_sheet_is_blind(tmp_path, corpora):
    rows = table(written(tmp_path, corpora, rows=51))
    assert rows[0] == [
        *("sheet_row", "row_id", "corpus", "text"),
        *(f"{item.id}: {item.text}" for item in LIST.questions),
        "notes",
    ]
    assert len(rows) == 52
    assert [row[0] for row in rows[1:]] == [str(n) for n in range(1, 52)]
    for row in rows[1:]:
        assert row[4:] == [""] * 9
        assert not any(f"r{n:05d}" in cell for n in range(40) for cell in row)
    # Nor does the order tell: neither by corpus nor by id.
    assert [row[2] for row in rows[1:]] != sorted(row[2] for row in rows[1:])


def test_the_draw_is_a_hash_and_nothing_else(tmp_path, corpora):
    small, large = table(written(tmp_path, corpora, rows=10)), table(written(tmp_path, corpora, rows=30))
    assert small == large[:11]
    other = responses_table(tmp_path / "first.parquet", [*texts(40)[:39], "another text, at the end"])
    again = table(written(tmp_path, corpora | {"first": other}, rows=30))
    assert [row[1] for row in again] == [row[1] for row in large]


def test_a_limit_asks_about_judged_responses_only(tmp_path, corpora):
    rows = table(written(tmp_path, corpora, rows=100, limit=5))
    assert sorted(row[2] for row in rows[1:]) == ["first"] * 5 + ["second"] * 5


def test_what_looks_like_a_formula_round_trips(tmp_path, corpora):
    path = written(tmp_path, corpora, rows=51)
    for row in table(path)[1:]:
        assert row[3][0] not in "=+-@\t\r＝＋－＠"
        assert row[3].strip()[0] not in "=+-@＝＋－＠"
    found = read_sheet(path, LIST)
    said = {row_id("second", f"r{number:05d}"): text for number, text in enumerate(FORMULAS)}
    assert {name: row.text for name, row in found.items() if row.corpus == "second"} == said
    Sheet(path, LIST, corpora)  # and is recognised as the response's own


@given(st.text())
def test_protection_can_be_undone(text):
    cell = protected(text)
    assert unprotected(cell) == text
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))


def test_a_text_too_long_for_a_cell_goes_on_in_the_next(tmp_path):
    long = "=" + "word " * (CELL_CHARS // 2)
    corpora = {"papers": responses_table(tmp_path / "r.parquet", [*texts(3), long])}
    path = written(tmp_path, corpora)
    rows = table(path)
    assert rows[0][3:6] == ["text", "text_2", "text_3"]
    assert max(len(cell) for row in rows for cell in row) <= CELL_CHARS + 1
    assert read_sheet(path, LIST)[row_id("papers", "r00003")].text == long
    Sheet(path, LIST, corpora)


@pytest.mark.parametrize(
    ("cell", "answer"),
    [("yes", "yes"), ("Yes ", "yes"), ("Y", "yes"), ("NO", "no"), ("n", "no"), ("", None), ("  ", None), ("'no", "no")],
)
def test_answers(tmp_path, corpora, cell, answer):
    path = filled(written(tmp_path, corpora), lambda _, item: cell if item == 2 else "")
    assert {row.answers[ITEMS[2]] for row in read_sheet(path, LIST).values()} == {answer}
    assert {row.answers[ITEMS[3]] for row in read_sheet(path, LIST).values()} == {None}


@pytest.mark.parametrize("cell", ["maybe", "1", "yess", "yes/no", "-", "TRUE"])
def test_what_is_no_answer_is_named_with_row_and_column(tmp_path, corpora, cell):
    path = filled(written(tmp_path, corpora), lambda row, item: cell if (row, item) == (4, 2) else "yes")
    with pytest.raises(WinnowError, match=rf"sheet.csv, row 6, column {ITEMS[2]}: '{cell}' is no answer"):
        read_sheet(path, LIST)


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_a_sheet_may_come_back_in_another_dress(tmp_path, corpora, delimiter, quoting):
    path = filled(written(tmp_path, corpora), lambda row, item: ("yes", "no", "")[(row + item) % 3])
    before = {name: (row.text, row.answers) for name, row in read_sheet(path, LIST).items()}
    # Without sheet_row and notes, the last item first, in another order, with an empty row and a column of their own.
    rows = [[*row[1:-1][::-1], "x"] for row in table(path)]
    rows[0][-1] = ""
    rows = [rows[0], *sorted(rows[1:], reverse=True), [""] * len(rows[0])]
    write_table(path, rows, delimiter=delimiter, quoting=quoting)
    assert {name: (row.text, row.answers) for name, row in read_sheet(path, LIST).items()} == before


def refused(match, path, corpora):
    with pytest.raises(WinnowError, match=match):
        Sheet(path, LIST, corpora)


def change(path, edit):
    rows = table(path)
    edit(rows)
    return write_table(path, rows)


def test_columns_sorted_apart_are_found(tmp_path, corpora):
    path = written(tmp_path, corpora)

    def sort_texts_alone(rows):
        for row, text in zip(rows[1:], sorted(row[3] for row in rows[1:]), strict=True):
            row[3] = text

    refused(r"row \d+: has another text than the response of its row_id", change(path, sort_texts_alone), corpora)


def test_a_sheet_of_something_else_is_refused(tmp_path, corpora):
    path = written(tmp_path, corpora)
    refused("of no response of corpus first", path, {"first": corpora["first"]})
    refused("stands in row 2 too", change(path, lambda rows: rows.append(rows[1])), corpora)
    path = written(tmp_path, corpora)
    refused("has 12 cells, and the head 13", change(path, lambda rows: rows[3].pop()), corpora)
    path = written(tmp_path, corpora)
    refused("column says_w9.*is no item", change(path, lambda rows: rows[0].__setitem__(4, "says_w9: Eh?")), corpora)
    path = written(tmp_path, corpora)
    refused("column says_w0.*asks 'Eh", change(path, lambda rows: rows[0].__setitem__(4, "says_w0: Eh?")), corpora)
    path = written(tmp_path, corpora)
    refused("no column for says_w0", change(path, lambda rows: [row.pop(4) for row in rows]), corpora)
    path = written(tmp_path, corpora)
    refused("column row_id", change(path, lambda rows: [row.pop(1) for row in rows]), corpora)
    path.write_bytes("sheet_row,row_id,corpus,text\n1,a,b,é".encode("latin-1"))
    refused("cannot be read.*\n.*UTF-8", path, corpora)
    path.write_text("")
    refused("row_id, corpus, text", path, corpora)


def test_people_and_the_judge_are_compared(tmp_path, corpora):
    path = filled(written(tmp_path, corpora), lambda row, item: ("yes", "no", "", "yes", "n")[(row * 3 + item) % 5])
    sheet, people = Sheet(path, LIST, corpora), read_sheet(path, LIST)
    judge = {}
    for corpus, count in (("first", 40), ("second", len(FORMULAS))):
        for n in range(count):
            said = {item: ("yes", "no", "no", None)[(n * 5 + k * k) % 4] for k, item in enumerate(ITEMS)}
            judge[row_id(corpus, f"r{n:05d}")] = said
            sheet.add({"corpus": corpus, "response_id": f"r{n:05d}", "prompt_id": f"p{n // 2}", "answers": said})
    report = sheet.report()
    assert (report["rows"], report["rows_with_answers"], report["rows_not_judged"]) == (30, 30, 0)
    assert report["answers"] + report["empty_cells"] == 30 * 8
    assert report["empty_cells"] == sum(answer is None for row in people.values() for answer in row.answers.values())
    for entry in report["items"]:
        both = [(judge[name][entry["item"]], row.answers[entry["item"]]) for name, row in people.items()]
        both = [pair for pair in both if None not in pair]
        assert 0 < entry["n"] == len(both) < 30
        assert entry["kappa"] == pytest.approx(cohen_kappa_score(*zip(*both, strict=True)), abs=1e-6)
        assert entry["people_yes"] == pytest.approx(sum(b == "yes" for _, b in both) / len(both), abs=1e-6)
    assert report["in_words"].startswith("agreement with people is")


def test_an_empty_sheet_says_so(tmp_path, corpora):
    report = Sheet(written(tmp_path, corpora), LIST, corpora).report()
    assert (report["answers"], report["rows_with_answers"], report["rows_not_judged"]) == (0, 0, 30)
    assert report["in_words"] == "no item could be compared with people"


def test_the_scripts_write_it_and_read_it_back(tmp_path):
    responses = responses_table(tmp_path / "responses.parquet", texts(30))
    prompts_table(tmp_path / "prompts.parquet", 15)
    checklist_file(tmp_path / "checklist.yaml")
    sheet = tmp_path / "sheet.csv"
    named = {"checklist": tmp_path / "checklist.yaml", "responses": f"papers={responses}"}
    reliability = {"sample": 0, "sheet_rows": 12}
    for out in (sheet, tmp_path / "again.csv"):
        script("write_sheet", spec=spec(reliability=reliability), out=out, **named)
    assert sheet.read_bytes() == (tmp_path / "again.csv").read_bytes()
    filled(sheet, lambda row, _: "yes" if row % 2 else "")
    judge = {"model": "m", "revision": "1", "prompt_sha": "p", "mode": "item", "seed": 0, "variant": ""}
    judge["checklist_sha"] = LIST.sha256
    with (tmp_path / "main.jsonl").open("w") as out:
        for n in range(30):
            row = {"response_id": f"r{n:05d}", "answers": dict.fromkeys(ITEMS, ("yes", "no")[n % 3 == 0])}
            row |= {"p_yes": {}, "parse_status": "ok", "left_out": 0, "injection_flags": [], "n_tokens": 9 + n}
            out.write(json.dumps(row | {"judge": judge}) + "\n")
    outputs = {name: tmp_path / f"{name}.json" for name in ("scores", "report", "manifest")}
    inputs = {"judged": f"papers={tmp_path / 'main.jsonl'}", "prompts": f"papers={tmp_path / 'prompts.parquet'}"}
    done = script("gather_scores", spec=spec(reliability=reliability), sheet=sheet, **named, **inputs, **outputs)
    assert "sheet.csv: agreement with people" in done.stderr
    block = json.loads(outputs["report"].read_text())["human_sheet"]
    assert (block["file"], block["rows"], block["rows_with_answers"], block["answers"]) == ("sheet.csv", 12, 6, 48)
    manifest = outputs["manifest"].read_text()
    assert "sheet" in json.loads(manifest)["inputs"]
    assert str(tmp_path) not in manifest
    done = script("write_sheet", check=False, spec=spec(reliability={"sheet_rows": 0}), out=sheet, **named)
    assert done.returncode == 2
    assert "no sheet is asked for" in done.stderr
