"""Locks: one writer at a time, a dead holder is replaced, a living one never."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from winnow.core import locks
from winnow.core.locks import held


def test_writers_take_turns(tmp_path):
    inside, most, order = [0], [0], []

    def work(name):
        with held(tmp_path / "lock", poll_s=0.01):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            order.append(name)
            inside[0] -= 1

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert sorted(order) == list(range(8))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_holder_is_replaced_at_once(tmp_path):
    script = "import sys,time\nfrom pathlib import Path\nfrom winnow.core.locks import held\n"
    script += "with held(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    environment = os.environ | {"PYTHONPATH": str(Path(locks.__file__).parents[2])}
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")], stdout=subprocess.PIPE, env=environment
    )
    assert holder.stdout.readline() == b"held\n"
    holder.kill()
    holder.wait()
    with held(tmp_path / "lock", poll_s=0.01):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def lock_of_another_host(path, age_s):
    path.write_text(json.dumps({"token": "other", "host": "another-node", "pid": 1}))
    then = time.time() - age_s
    os.utime(path, (then, then))


def test_a_silent_holder_on_another_node_is_replaced(tmp_path):
    lock_of_another_host(tmp_path / "lock", age_s=locks.STALE_AFTER_S + 1)
    with held(tmp_path / "lock", poll_s=0.01):
        assert json.loads((tmp_path / "lock").read_text())["host"] == socket.gethostname()


def test_a_beating_holder_on_another_node_is_waited_for(tmp_path):
    path = tmp_path / "lock"
    lock_of_another_host(path, age_s=0)
    got = threading.Event()

    def work():
        with held(path, poll_s=0.01):
            got.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert not got.wait(0.2)
    path.unlink()
    thread.join(5)
    assert got.is_set()


def test_clearing_puts_back_a_lock_that_was_taken_meanwhile(tmp_path):
    """Two see the same dead holder; the slower one must not remove the quicker one's new lock."""
    lock_of_another_host(tmp_path / "lock", age_s=0)
    locks._clear(tmp_path / "lock", dead="somebody else")
    assert json.loads((tmp_path / "lock").read_text())["token"] == "other"
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
