"""Every number that a run leaves is explained where people look: meaning, what is healthy, what is a red flag."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import trl

from training.conftest import KINDS, Finished
from winnow.numerics.labels import METRICS
from winnow.training.health import FAR_OFF_POLICY, LEAST_DELTA_CHOSEN, MOST_DISPLACED, ONE_LABEL

DOCS = Path(__file__).parents[2] / "docs" / "training_health.md"
NEVER_LOGGED = {"aux_loss"}  # of mixtures of experts, which are not trained here


def documented() -> dict[str, list[str]]:
    """Return metric → the other cells of its row, for every row of every table of four columns."""
    found: dict[str, list[str]] = {}
    for line in DOCS.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            for name in re.findall(r"`([^`]+)`", cells[0]):
                found.setdefault(name, cells[1:])
    return found


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_key_that_a_run_writes_is_documented(unbroken: Callable[[str], Finished], kind: str) -> None:
    keys = {key for row in unbroken(kind).rows for key in row}
    assert {"loss", "step", "kind"} < keys
    known = documented()
    assert keys - known.keys() == set()
    assert [key for key in sorted(keys) if not all(known[key])] == []


def test_every_key_that_trl_can_log_is_documented() -> None:
    """Also those that these small runs happen not to write."""
    trainers = Path(trl.__file__).parent / "trainer"
    names: set[str] = set()
    for file in ("sft_trainer.py", "dpo_trainer.py"):
        names.update(re.findall(r'_metrics\[mode\]\["([^"]+)"\]', (trainers / file).read_text()))
    assert {"rewards/margins", "num_tokens"} < names
    assert names - documented().keys() == NEVER_LOGGED


def test_every_number_of_labels_is_documented() -> None:
    known = documented()
    assert [name for name in METRICS if not all(known[f"{name}/<dataset>"])] == []


def test_thresholds_of_the_page_are_those_of_the_code() -> None:
    text = DOCS.read_text().replace("−", "-")
    rows = {name: "".join(cells).replace("−", "-") for name, cells in documented().items()}
    assert f"below {LEAST_DELTA_CHOSEN}" in rows["delta_logp_chosen_per_token"]
    assert f"above {MOST_DISPLACED}" in rows["displacement_rate"]
    assert f"below {FAR_OFF_POLICY}" in rows["logp_chosen_per_token"]
    assert f"below {ONE_LABEL[0]} or above {ONE_LABEL[1]}" in rows["predicted_positive_rate/<dataset>"]
    assert "a higher β means less deviation" in text
    assert "raise `beta`" in text.split("KL too")[1]
    assert "lower `beta`" in text.split("KL too low")[1]
