"""What reaches the window, and how often."""

import pytest
from nodeflow_editor.run.mailbox import MOST, MOST_PICTURES, NEWS, PICTURES, ROOM, STEPS, Mailbox


def step(number, node="a", run=1):
    return {"event": "stepped", "run": run, "node": node, "step": number}


def picture(number, node="a", size=1):
    return {"event": "previewed", "run": 1, "node": node, "pixels": bytes([number]) * size}


def finished(node="a", run=1):
    return {"event": "finished", "run": run, "node": node}


def put(box, *events):
    return [box.put(event) for event in events]


def test_only_the_first_event_calls_the_reader_until_all_is_taken():
    box = Mailbox()
    assert [True, False] == put(box, finished("a"), finished("b"))
    assert ([finished("a"), finished("b")], None) == box.take(0.0)
    assert [True] == put(box, finished("c"))


def test_a_node_steps_twenty_times_a_second_and_the_newest_counts():
    box = Mailbox()
    put(box, step(1), step(2))
    assert ([step(2)], None) == box.take(10.0)
    put(box, step(3), step(1, "b"), step(4))
    assert [step(1, "b")] == box.take(10.0 + STEPS / 2).events
    assert [step(4)] == box.take(10.0 + STEPS).events


def test_the_reader_is_told_when_to_come_again():
    box = Mailbox()
    put(box, step(1))
    box.take(10.0)
    put(box, step(2))
    assert 0 < box.take(10.01).again <= STEPS
    assert [step(2)] == box.take(10.1).events


def test_a_step_is_not_told_after_its_node_is_done():
    box = Mailbox()
    put(box, step(1))
    box.take(10.0)
    put(box, step(2), step(1, "b"), finished("a"), {"event": "ended", "run": 1}, step(9, run=2))
    assert ["finished", "ended", "stepped"] == [event["event"] for event in box.take(11.0).events]


def test_previews_come_ten_a_second_the_newest_first_and_each_node_once():
    box = Mailbox()
    put(box, picture(1), picture(2), picture(3, "b"), picture(4))
    shown, now = [], 5.0
    while (taken := box.take(now)).again is not None or taken.events:
        shown += [(event["node"], event["pixels"][0], round(now, 3)) for event in taken.events]
        now += taken.again if taken.again is not None else 1
    assert [("a", 4, 5.0), ("b", 3, 5.0 + PICTURES)] == shown


@pytest.mark.parametrize(("size", "kept"), [(1, MOST_PICTURES), (ROOM // 20, 20)])
def test_pictures_do_not_pile_up(size, kept):
    box, found = Mailbox(), []
    put(box, *(picture(at, f"n{at}", size) for at in range(200)))
    for tick in range(200):
        found += box.take(tick * PICTURES * 1.01).events
    assert [f"n{at}" for at in reversed(range(200 - kept, 200))] == [event["node"] for event in found]


def test_many_events_come_in_portions_and_none_is_lost():
    box = Mailbox()
    put(box, *(finished(f"n{at}") for at in range(2 * MOST + 1)))
    first, second, third = box.take(0.0), box.take(0.0), box.take(0.0)
    assert (MOST, 0.0, MOST, 1, None) == (
        len(first.events),
        first.again,
        len(second.events),
        len(third.events),
        third.again,
    )
    names = [event["node"] for taken in (first, second, third) for event in taken.events]
    assert [f"n{at}" for at in range(2 * MOST + 1)] == names


def test_that_the_queue_has_changed_is_told_ten_times_a_second_and_behind_what_came_with_it():
    box = Mailbox()
    queue, history = {"event": "queue"}, {"event": "history"}
    put(box, queue, finished("a"), queue, history, queue)
    assert ([finished("a"), queue, history], None) == box.take(5.0)
    put(box, queue, finished("b"), queue)
    events, again = box.take(5.0 + NEWS / 4)
    assert ([finished("b")], True) == (events, 0 < again < NEWS)
    assert ([queue], None) == box.take(5.0 + NEWS)


def test_printed_lines_come_in_bundles_and_the_last_thousand_count():
    box = Mailbox()
    put(box, *({"event": "printed", "line": str(at)} for at in range(5_000)))
    (bundle,) = box.take(1.0).events
    assert [str(at) for at in range(4_000, 5_000)] == bundle["lines"]
    put(box, {"event": "printed", "line": "later"})
    assert [] == box.take(1.01).events
    assert [["later"]] == [event["lines"] for event in box.take(1.2).events]
