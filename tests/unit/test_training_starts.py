"""The record of a run's starts."""

import errno

import pytest

from winnow.reporting.usage import STARTS as READ_AS
from winnow.training import starts
from winnow.training.metrics import read_metrics
from winnow.training.starts import STARTS, recorded


def begin(file, **settings):
    return recorded(file, **({"identity": "i", "from_step": 0, "processes": 2} | settings))


@pytest.mark.parametrize(
    ("ending", "outcome"), [(None, "finished"), (SystemExit(143), "stopped"), (ValueError("bad"), "failed")]
)
def test_how_a_start_ended(tmp_path, ending, outcome):
    file = tmp_path / "run" / STARTS
    with begin(file):
        pass

    def again():
        with begin(file, from_step=7):
            if ending:
                raise ending

    if ending:
        with pytest.raises(type(ending)):
            again()
    else:
        again()
    lines = read_metrics(file)
    assert [line["event"] for line in lines] == ["start", "end"] * 2
    assert [line["from_step"] for line in lines[::2]] == [0, 7]
    assert [line["outcome"] for line in lines[1::2]] == ["finished", outcome]


def test_a_full_disk_does_not_hide_why_it_ended(tmp_path, monkeypatch):
    def full(file, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    with pytest.raises(ValueError, match="the reason") as caught, begin(tmp_path / STARTS):
        monkeypatch.setattr(starts, "write_text", full)
        raise ValueError("the reason")
    assert "could not be written down" in caught.value.__notes__[0]
    assert [line["event"] for line in read_metrics(tmp_path / STARTS)] == ["start"]


def test_the_report_reads_what_trainers_write():
    assert READ_AS == STARTS
