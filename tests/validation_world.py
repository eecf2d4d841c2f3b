"""A folder with a sound corpus and both datasets, in which a test plants a fault and has it validated."""

import json
from pathlib import Path

import pyarrow.parquet as pq

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.core.tables import read_rows, write_table

KEYS = {"prompts": "prompt_id", "responses": "response_id", "splits": "prompt_id"}


class World:
    """A copy of the sound folder that a fault is planted in."""

    def __init__(self, folder: Path, stage: str) -> None:
        self.folder, self.stage = folder, stage
        self.key = "response_id" if stage == "sft" else "pair_id"
        self.policy: dict = {}
        self.spec: dict = {}
        self.others: list[str] = []

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet" if name in KEYS else self.folder / self.stage / f"{name}.parquet"

    def rows(self, name: str) -> list[dict]:
        return list(read_rows(self.path(name)))

    def put(self, name: str, rows: list[dict], *order: str) -> None:
        """Write a table again, in an order that allows what the fault needs."""
        path, schema = self.path(name), pq.read_schema(self.path(name))
        ledger_key = [self.key] if self.stage == "sft" else ["chosen_id", "rejected_id"]
        default = {"ledger": ledger_key, "left_out": ["id"]}.get(name, [KEYS.get(name, self.key)])
        write_table(path, rows, schema, list(order) or default)

    def change(self, name: str, change, where=bool) -> None:
        """Change the first row of a table that fits, in place."""
        rows = self.rows(name)
        change(next(row for row in rows if where(row)))
        self.put(name, rows)

    def change_score(self, response_id: str, **changes: object) -> None:
        path = self.folder / "scores.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        next(row for row in rows if row["response_id"] == response_id).update(changes)
        made.write_scores(path, rows)

    def options(self) -> dict[str, object]:
        """Further options of validate_dataset."""
        return {}

    def validate(self) -> dict:
        paths = {name: self.path(name) for name in KEYS} | {
            "scores": self.folder / "scores.jsonl",
            "checklist": self.folder / "checklist.yaml",
        }
        files = {name: self.path(name) for name in ("train", "val", "left_out", "chosen", "ledger")}
        report = self.folder / "validation.json"
        options = made.validation_options(self.stage, paths, files, self.folder / "model", report, **self.policy)
        options["spec"] |= self.spec
        if self.others:
            options["others"] = self.others
        options |= self.options()
        made.run_script("validate_dataset", **options)
        return json.loads(report.read_text())


def failures(world: World) -> set[str]:
    """The rules that fail, by their ids."""
    try:
        report = world.validate()
    except WinnowError:
        report = json.loads((world.folder / "validation.failed.json").read_text())
    return {rule["id"] for rule in report["rules"] if rule["status"] == "fail"}
