"""Pictures in shared memory: what was overwritten is told from what was not."""

import os
import subprocess
import sys

import pytest

from nodeflow.ring import SLOT, SLOTS, Ring


@pytest.fixture
def ring():
    made = Ring.make()
    yield made
    made.close()


def test_what_is_written_is_read_once_and_again(ring):
    slot, sequence = ring.write(b"abc" * 4)
    assert (1, b"abc" * 4, b"abc" * 4) == (sequence, ring.read(slot, sequence, 12), ring.read(slot, sequence, 12))


def test_a_picture_that_was_overtaken_is_known_by_its_number(ring):
    first = ring.write(b"1" * 12)
    others = [ring.write(bytes([65 + at]) * 12) for at in range(SLOTS)]
    assert ring.read(*first, 12) is None
    assert [bytes([65 + at]) * 12 for at in range(SLOTS)] == [ring.read(*place, 12) for place in others]


def test_a_picture_that_is_overtaken_while_it_is_copied_is_dropped(ring):
    first = ring.write(b"1" * 12)

    def overtake():
        for _ in range(SLOTS):
            ring.write(b"2" * 12)

    assert ring.read(*first, 12, meanwhile=overtake) is None


@pytest.mark.parametrize("place", [(-1, 1, 12), (SLOTS, 1, 12), (1, 0, 12), (1, 1, 0), (1, 1, SLOT + 1)])
def test_what_was_never_written_is_not_read(place, ring):
    ring.write(b"1" * 12)
    assert ring.read(*place) is None


def test_a_writer_with_patience_waits_for_a_slot_to_be_copied(ring):
    places = [ring.write(b"1" * 12) for _ in range(SLOTS)]
    assert ring.write(b"2" * 12, patience=0.05) is None
    ring.read(*places[0], 12)
    assert SLOTS + 1 == ring.write(b"2" * 12, patience=0.05)[1]


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are inherited on POSIX")
def test_another_process_writes_and_nothing_of_it_has_a_name(ring):
    code = "import sys, json; from nodeflow.ring import Ring; ring = Ring.open(json.loads(sys.argv[1]))\n"
    code += f"print(*ring.write(b'xyz' * {SLOT // 3}))"
    command = [sys.executable, "-c", code, f'{{"descriptor": {ring.handle["descriptor"]}}}']
    told = subprocess.run(command, pass_fds=ring.inherited, capture_output=True, check=True, text=True)
    slot, sequence = map(int, told.stdout.split())
    assert b"xyz" * (SLOT // 3) == ring.read(slot, sequence, SLOT)
    assert 0 == os.fstat(ring.handle["descriptor"]).st_nlink


def test_a_handle_that_leads_nowhere_is_an_error():
    for handle in ({}, {"descriptor": 10_000}):
        with pytest.raises((OSError, KeyError)):
            Ring.open(handle)
