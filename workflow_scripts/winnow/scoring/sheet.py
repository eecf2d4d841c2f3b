"""A sheet for people: the checklist as columns, some responses as rows, blind, and what people filled in read back.

The sheet is a CSV file for any spreadsheet program. A person sees the text that the judge saw, and neither ratings,
decisions and ids nor what the judge said. `row_id` joins a row with its response; it cannot be turned back into it.
"""

import csv
import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
from winnow.core.files import replacing
from winnow.core.ids import content_key, unit_interval
from winnow.core.tables import Row, read_rows
from winnow.scoring.agreement import Pair, as_bool, coefficients, known_kappas, mean_kappa
from winnow.scoring.checklist import Checklist
from winnow.scoring.judge import Answer
from winnow.scoring.people import in_words
from winnow.scoring.shards import draw

CELL_CHARS = 30_000  # a spreadsheet cuts a cell at 32,767 characters, without a word
_SALT = "sheet"  # another draw than those of shards and limits
_ENCODING = "utf-8-sig"  # without its mark, spreadsheets take UTF-8 for something else
_HEAD = ("sheet_row", "row_id", "corpus")
_NOTES = "notes"
_TEXT_COLUMN = re.compile(r"text(?:_\d+)?")
_DELIMITER = re.compile(r'([,;\t])"?row_id\b|\brow_id"?([,;\t])')
_ANSWERS: dict[str, Answer] = {"yes": "yes", "y": "yes", "no": "no", "n": "no", "": None}
# What a spreadsheet takes for the beginning of a formula, full-width forms included, and the mark that prevents it.
_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@＝＋－＠]|[\t\r']")


def row_id(corpus: str, response_id: str) -> str:
    """Return the name of a response in a sheet."""
    return content_key([_SALT, corpus, response_id])[:16]


def protected(text: str) -> str:
    """Return a cell that no spreadsheet computes: what looks like a formula begins with an apostrophe."""
    return f"'{text}" if _FORMULA.match(text) else text


def unprotected(cell: str) -> str:
    """Return the text that `protected` was given."""
    return cell.removeprefix("'")


def _drawn(responses: Mapping[str, Path], rows: int, limit: int) -> list[tuple[str, str]]:
    """Return corpus and id of the responses with the smallest hashes, of those that are judged, in that order."""

    def candidates() -> Iterator[tuple[float, str, str]]:
        for corpus, path in responses.items():
            judged = draw(path, limit)
            for row in read_rows(path, ["response_id"]):
                if judged is None or row["response_id"] in judged:
                    name = row["response_id"]
                    yield unit_interval(f"{corpus}\x1f{name}", _SALT), corpus, name

    return [(corpus, name) for _, corpus, name in heapq.nsmallest(rows, candidates())]


def _texts(responses: Mapping[str, Path], wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    keys = set(wanted)
    return {
        (corpus, row["response_id"]): row["text"]
        for corpus, path in responses.items()
        for row in read_rows(path, ["response_id", "text"])
        if (corpus, row["response_id"]) in keys
    }


def _question(identity: str, text: str) -> str:
    return f"{identity}: {text}"


def write_sheet(out: Path, responses: Mapping[str, Path], checklist: Checklist, *, rows: int, limit: int) -> int:
    """Write an empty sheet, and return how many responses are in it.

    A text that does not fit in one cell goes on in columns text_2, text_3 and so on.

    Args:
        out: the CSV file.
        responses: responses.parquet by corpus.
        checklist: its items are the columns.
        rows: how many responses, drawn by hash over all corpora.
        limit: the study's; responses that are not judged are not asked about.
    """
    drawn = _drawn(responses, rows, limit)
    texts = _texts(responses, drawn)
    pieces = [_pieces(texts[key]) for key in drawn]
    most = max(map(len, pieces), default=1)
    head = [*_HEAD, "text", *(f"text_{number}" for number in range(2, most + 1))]
    head += [_question(item.id, item.text) for item in checklist.questions]
    with replacing(out) as part, part.open("w", encoding=_ENCODING, newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*head, _NOTES])
        for number, ((corpus, name), cells) in enumerate(zip(drawn, pieces, strict=True), 1):
            empty = [""] * (most - len(cells) + len(checklist.questions) + 1)
            writer.writerow([str(number), row_id(corpus, name), corpus, *map(protected, cells), *empty])
    return len(drawn)


def _pieces(text: str) -> list[str]:
    return [text[start : start + CELL_CHARS] for start in range(0, max(1, len(text)), CELL_CHARS)]


@dataclass(frozen=True)
class SheetRow:
    """One response as a person judged it.

    Attributes:
        line: its row in the file, from 1 for the head, as spreadsheets count.
        corpus: of the response.
        text: as it stands in the sheet.
        answers: item → yes, no, or None where the cell is empty.
    """

    line: int
    corpus: str
    text: str
    answers: dict[str, Answer]


def read_sheet(path: Path, checklist: Checklist) -> dict[str, SheetRow]:
    """Return the rows of a sheet by row_id. Cells may be left empty, columns moved, rows sorted or removed.

    Raises:
        WinnowError: naming file, row and column of what cannot be read.
    """
    cells = _cells(path)
    head = [cell.strip() for cell in cells[0]]
    columns = _item_columns(path, head, checklist)
    texts = [number for number, name in enumerate(head) if _TEXT_COLUMN.fullmatch(name)]
    identity, corpus = head.index("row_id"), head.index("corpus")
    found: dict[str, SheetRow] = {}
    for line, row in enumerate(cells[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        place = f"{path}, row {line}"
        if len(row) != len(head):
            raise WinnowError(place, f"has {len(row)} cells, and the head {len(head)}", "mend the row")
        name = row[identity].strip()
        if name in found:
            problem = f"row_id {name!r} stands in row {found[name].line} too"
            raise WinnowError(place, problem, "keep one of the two; several people fill in one sheet each")
        answers = {item: _answer(row[column], f"{place}, column {item}") for item, column in columns.items()}
        # Cells of one text stand in the order of their names, wherever the columns were moved.
        ordered = sorted(texts, key=lambda number: (len(head[number]), head[number]))
        text = "".join(unprotected(row[number]) for number in ordered)
        found[name] = SheetRow(line, row[corpus].strip(), text, answers)
    return found


def _cells(path: Path) -> list[list[str]]:
    """Read a CSV file whose cells are parted by a comma, or a semicolon or tab, as some spreadsheets have it."""
    try:
        with path.open(encoding=_ENCODING, newline="") as file:
            first = file.readline()
            file.seek(0)
            beside = _DELIMITER.search(first)
            delimiter = (beside[1] or beside[2]) if beside else ","
            csv.field_size_limit(10 * CELL_CHARS)
            cells = list(csv.reader(file, delimiter=delimiter, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        fix = "check signal.reliability.sheet, and save the sheet as CSV in UTF-8"
        raise WinnowError(path, f"cannot be read: {error}", fix) from error
    names = [cell.strip() for cell in cells[0]] if cells else []
    if missing := [name for name in ("row_id", "corpus", "text") if names.count(name) != 1]:
        fix = "give the sheet that write_sheet wrote, filled in, with its first row"
        raise WinnowError(path, f"has not exactly one column {', '.join(missing)}", fix)
    return cells


def _item_columns(path: Path, head: Sequence[str], checklist: Checklist) -> dict[str, int]:
    """Return the column of each item, after checking that all are there, once, and as they are worded now."""
    questions = {item.id: item.text for item in checklist.questions}
    columns: dict[str, int] = {}
    for number, name in enumerate(head):
        if name in {*_HEAD, _NOTES, ""} or _TEXT_COLUMN.fullmatch(name):
            continue
        item, _, text = (part.strip() for part in name.partition(":"))
        place = f"{path}, column {item}"
        if item not in questions or item in columns:
            problem = "stands there twice" if item in columns else "is no item of the checklist"
            raise WinnowError(place, problem, "remove the column, or fill in a sheet for this checklist")
        if text != questions[item]:
            problem = f"asks {text!r}, and the checklist {questions[item]!r}"
            raise WinnowError(place, problem, "fill in a sheet for this checklist: the question is another one")
        columns[item] = number
    if missing := questions.keys() - columns.keys():
        raise WinnowError(path, f"has no column for {', '.join(sorted(missing))}", "put the columns back, empty or not")
    return columns


def _answer(cell: str, place: str) -> Answer:
    try:
        return _ANSWERS[unprotected(cell.strip()).lower()]
    except KeyError:
        raise WinnowError(place, f"{cell!r} is no answer", "write yes or no, or leave the cell empty") from None


class Sheet:
    """Collects what the judge said of the responses in a sheet that people filled in, and compares."""

    def __init__(self, path: Path, checklist: Checklist, responses: Mapping[str, Path]) -> None:
        """Read the sheet, and check each row against its response.

        Raises:
            WinnowError: if a row is of no response, or its text is another's, as after sorting a part of the columns.
        """
        self._path = path
        self._items = [item.id for item in checklist.questions]
        self._rows = read_sheet(path, checklist)
        self._judged: dict[str, Row] = {}
        self._check_texts(responses)

    def _check_texts(self, responses: Mapping[str, Path]) -> None:
        unknown = dict(self._rows)
        for corpus, path in responses.items():
            for row in read_rows(path, ["response_id", "text"]):
                if (ours := unknown.pop(row_id(corpus, row["response_id"]), None)) is None:
                    continue
                # Programs write line ends in their own way; everything else must be the same.
                if ours.text.split() != row["text"].split():
                    problem = "has another text than the response of its row_id"
                    fix = "undo what moved or changed it (sort whole rows only), or fill in a new sheet"
                    raise WinnowError(f"{self._path}, row {ours.line}", problem, fix)
        for name, ours in unknown.items():
            problem = f"row_id {name!r} is of no response of corpus {', '.join(sorted(responses))}"
            raise WinnowError(f"{self._path}, row {ours.line}", problem, "fill in a sheet of this study")

    def add(self, row: Row) -> None:
        """Note a score row if its response is in the sheet."""
        if (name := row_id(row["corpus"], row["response_id"])) in self._rows:
            self._judged[name] = {"cluster": f"{row['corpus']}\x1f{row['prompt_id']}", "answers": row["answers"]}

    def report(self) -> dict[str, Any]:
        """Return the agreement per item, with n and the shares of yes on both sides, and how much was filled in."""
        items = [self._agreement(item) for item in self._items]
        answers = [answer for row in self._rows.values() for answer in row.answers.values()]
        return {
            "file": self._path.name,
            "rows": len(self._rows),
            "rows_with_answers": sum(any(row.answers.values()) for row in self._rows.values()),
            "rows_not_judged": len(self._rows.keys() - self._judged.keys()),
            "answers": sum(answer is not None for answer in answers),
            "empty_cells": sum(answer is None for answer in answers),
            "items": items,
            "mean_kappa": mean_kappa(items),
            "in_words": in_words(known_kappas(items)),
        }

    def _agreement(self, item: str) -> dict[str, Any]:
        pairs = (
            Pair(judged["cluster"], as_bool(judged["answers"][item]), as_bool(self._rows[name].answers[item]))
            for name, judged in sorted(self._judged.items())
        )
        return {"item": item} | coefficients(pairs, "judge_yes", "people_yes")
