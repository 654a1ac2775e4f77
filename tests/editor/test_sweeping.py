"""Who collects what holds itself, and in which thread."""

import gc
import threading
import weakref

import pytest
from nodeflow_editor.sweeping import Sweeper
from PySide6.QtCore import QObject


class Knot(QObject):
    """Something of Qt's that only a collection lets go of."""

    def __init__(self, told: list[threading.Thread]) -> None:
        super().__init__()
        self.own = self
        weakref.finalize(self, lambda: told.append(threading.current_thread()))


@pytest.fixture
def sweeper(qapp):
    made = Sweeper()
    yield made
    made.over()
    gc.disable()


def test_a_thread_that_makes_many_objects_collects_nothing(sweeper: Sweeper) -> None:
    told: list[threading.Thread] = []
    Knot(told)
    busy = threading.Thread(target=lambda: [[] for _ in range(200_000)])
    busy.start()
    busy.join()
    assert [] == told


def test_the_windows_thread_collects_in_its_own_time(sweeper: Sweeper, qtbot) -> None:
    told: list[threading.Thread] = []
    Knot(told)
    kept = [[] for _ in range(20_000)]
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    assert [threading.main_thread()] == told
    assert kept


def test_python_collects_again_when_it_is_over(sweeper: Sweeper) -> None:
    assert not gc.isenabled()
    sweeper.over()
    assert gc.isenabled()
