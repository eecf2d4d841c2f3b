"""Launchers of several machines notice one that is gone, and no other."""

import subprocess
import sys

from winnow.training.meeting import MISSES, Roll, open_store
from workflow import ROOT


def test_a_machine_is_silent_after_missed_beats_unless_it_has_ended_or_not_begun() -> None:
    store = open_store()
    roll = Roll(store, 3)
    store.add("beat/0", 1)
    store.add("beat/1", 1)
    for _ in range(MISSES):
        assert roll.silent() == []
        store.add("beat/1", 1)
    assert roll.silent() == [0]
    store.set("status/0", "143")
    assert roll.silent() == []
    assert roll.statuses() == [143]


LOST = """
import subprocess, sys, time
from winnow.training import meeting
meeting.BEAT_S = 0.02
store = meeting.open_store()
with meeting.attended(meeting.Nodes(2, 1, "localhost", store.port), lambda: sys.argv[1] == "stopping"):
    process = subprocess.Popen(["sleep", "4"])
    time.sleep(0.5)
    assert process.poll() is None
    del store
    print(process.wait())
"""


def test_processes_are_killed_when_the_meeting_place_is_gone_but_not_while_they_save() -> None:
    for state, status in {"training": "-9", "stopping": "0"}.items():
        done = subprocess.run(
            [sys.executable, "-c", LOST, state],
            env={"PYTHONPATH": str(ROOT / "workflow_scripts")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == status, done.stderr
