"""More is told at once than can be shown at once."""

import threading
import time

from tests.editor.run.test_runner import Ticks


def test_a_hundred_pictures_at_once_leave_the_window_alive_and_come_in_their_order(make, qtbot):
    runner, told = make()
    runner.delivered.connect(lambda *_: time.sleep(0.005))  # a viewer that takes them in
    ticks = Ticks()
    for number in range(100):
        runner._post({"event": "delivered", "run": 1, "output": f"o{number}", "paths": [], "value": None})
    runner._post({"event": "ended", "run": 1, "seconds": 1.0})
    told.wait_for_end(1)
    assert [f"o{number}" for number in range(100)] == [output for _, output, *_ in told.of("delivered")]
    assert "ended" == told.all[-1][0]
    assert ticks.longest < 0.25, "some 0.02 s; 0.5 s where all are shown at once"


def test_what_comes_while_much_is_shown_is_shown_as_well(make, qtbot):
    runner, told = make()
    runner.delivered.connect(lambda *_: time.sleep(0.002))

    def write():
        for number in range(300):
            runner._post({"event": "delivered", "run": 1, "output": f"o{number}", "paths": [], "value": None})
            time.sleep(0.001)
        runner._post({"event": "ended", "run": 1, "seconds": 1.0})

    writer = threading.Thread(target=write)
    writer.start()
    told.wait_for_end(1)
    writer.join()
    assert [f"o{number}" for number in range(300)] == [output for _, output, *_ in told.of("delivered")]
