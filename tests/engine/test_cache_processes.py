"""Several real processes on one folder: writing the same keys, reading what another evicts, dying in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from nodeflow import cache as module
from nodeflow.cache import WORTH_WRITING, Cache

LIMIT = 300_000
KEYS = 24
PROCESSES = 4
LARGEST = 25_000

# results without tensors, so that a process starts in a tenth of a second; what a key holds follows from the key
COMMON = """
import json, random, sys, time
from pathlib import Path
from nodeflow.cache import Cache

def value(number):
    return (str(number) * random.Random(number).randrange(100, 12_000), [number, {"k": (number, 1.5)}])

def key(number):
    return f"{number:064x}"
"""

HAMMER = """
seed, folder, limit, keys = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
cache, chance, right = Cache(folder, 0, limit), random.Random(seed), 0
for _ in range(1_500):
    number = chance.randrange(keys)
    match chance.random():
        case luck if luck < 0.5:
            found = cache.get(key(number))
            assert found in (None, value(number)), (number, found)
            right += found is not None
        case luck if luck < 0.97:
            cache.put(key(number), value(number), 1.0)
        case _:
            cache.forget(key(number))
stats = cache.stats()
print(json.dumps([right, stats.written, stats.damaged, stats.unwritten]))
"""

WRITER = """
cache = Cache(Path(sys.argv[1]), 0, 10**9)
for number in range(10**9):
    cache.put(key(number % 4), (str(number % 4) * 3_000_000,), 1.0)
    print("wrote", flush=True)
"""


def started(script: str, *arguments: object) -> subprocess.Popen[str]:
    paths = os.environ | {"PYTHONPATH": str(Path(module.__file__).parents[1])}
    command = [sys.executable, "-c", COMMON + script, *map(str, arguments)]
    return subprocess.Popen(command, env=paths, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_write_read_and_evict_the_same_keys_never_see_a_wrong_or_damaged_result(tmp_path: Path) -> None:
    processes = [started(HAMMER, seed, tmp_path, LIMIT, KEYS) for seed in range(PROCESSES)]
    most = 0
    while any(process.poll() is None for process in processes):
        most = max(most, sum(entry.bytes for entry in Cache(tmp_path, 0, LIMIT).stored()))
        time.sleep(0.02)
    reports = []
    for process in processes:
        out, err = process.communicate()
        assert "" == err
        reports.append(json.loads(out))
    for right, written, damaged, unwritten in reports:
        assert right > 20
        assert written > 20
        assert (0, {}) == (damaged, unwritten)
    assert LIMIT // 2 < most <= LIMIT + PROCESSES * max(LARGEST, LIMIT // module.LOOK_AGAIN)
    assert [] == list(tmp_path.rglob("*.tmp"))


def test_a_process_killed_while_writing_leaves_whole_entries_only(tmp_path: Path) -> None:
    for round_ in range(5):
        process = started(WRITER, tmp_path)
        assert process.stdout is not None
        assert "wrote\n" == process.stdout.readline()
        time.sleep(0.05 + 0.017 * round_)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    cache = Cache(tmp_path, 0, 10**9)
    found = [cache.get(f"{number:064x}") for number in range(4)]
    assert any(found)
    assert all(result in (None, (str(number) * 3_000_000,)) for number, result in enumerate(found))
    assert 0 == cache.stats().damaged


def test_what_one_process_wrote_another_reads(tmp_path: Path) -> None:
    script = "Cache(Path(sys.argv[1]), 0, 10**6).put(key(1), value(1), 1.0)"
    assert ("", "") == started(script, tmp_path).communicate()
    cache = Cache(tmp_path, 10**6, 10**6)
    found = cache.get(f"{1:064x}")
    assert found is not None
    assert [1, {"k": (1, 1.5)}] == found[1]
    cache.put(f"{1:064x}", ("mine",), WORTH_WRITING)
    assert ("mine",) == Cache(tmp_path, 0, 10**6).get(f"{1:064x}")
