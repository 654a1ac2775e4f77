"""Plugins are imported once, in a child; whatever they do there is a line in the catalog and nobody else's problem."""

import contextlib
import errno
import importlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from types import ModuleType

import pytest

from nodeflow import catalog as module
from nodeflow import probe
from nodeflow.catalog import Catalog, open_catalog

GOOD = '''
from nodeflow import hook, node

@node(category="x", version={version})
def thing(x: int = 0) -> int:
    """A thing."""
    return x

@hook
def register_nodes():
    return [thing]
'''


class Place:
    """A folder of fake distributions, the only ones that the catalog finds."""

    def __init__(self, folder, cache, monkeypatch, child):
        self.folder, self.cache, self.asked = folder, cache, []
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", str(folder))
        found = module.entry_points
        ours = lambda point: point.dist.name.startswith("fake")  # noqa: E731
        monkeypatch.setattr(module, "entry_points", lambda **how: [point for point in found(**how) if ours(point)])
        monkeypatch.setattr(module, "_child", lambda asked: (self.asked.append(asked), child(asked))[1])

    def add(self, name, text, dist="", point=""):
        dist = dist or f"fake_{name}"
        info = self.folder / f"{dist}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[nodeflow]\n{point or name} = {name}_module\n")
        self.write(name, text)

    def write(self, name, text):
        (self.folder / f"{name}_module.py").write_text(text)

    def open(self, **how):
        return open_catalog(self.cache, **how)

    def errors(self):
        return {plugin.name: plugin.error.partition("\n")[0] for plugin in self.open().plugins}


def described(asked):
    """What a probe answers, without the second that a child takes to start."""
    told = []
    for name, imported in json.loads(asked):
        importlib.invalidate_caches()
        told.append(json.dumps(probe.describe(name, imported)))
        sys.modules.pop(imported, None)
    return "\n".join(told), "", ""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    return Place(tmp_path / "site", tmp_path / "cache", monkeypatch, described)


@pytest.fixture
def real(tmp_path, monkeypatch):
    """A place whose plugins are imported in a real child."""
    (tmp_path / "site").mkdir()
    return Place(tmp_path / "site", tmp_path / "cache", monkeypatch, module._child)


def test_a_plugin_is_read_in_a_child_once(real):
    real.add("good", GOOD.format(version=1))
    assert ["good.thing"] == [spec.id for spec in real.open()]
    assert ["good.thing"] == [spec.id for spec in real.open()]
    assert 1 == len(real.asked)
    assert "good_module" not in sys.modules


def test_a_changed_file_is_read_again_and_others_are_not(place):
    place.add("good", GOOD.format(version=1))
    place.add("other", GOOD.format(version=7))
    place.open()
    place.write("good", GOOD.format(version=12))
    assert {"good.thing": 12, "other.thing": 7} == {spec.id: spec.version for spec in place.open()}
    assert ['[["good", "good_module"]]'] == place.asked[1:]


def test_a_plugin_that_is_installed_later_is_found(place):
    place.add("good", GOOD.format(version=1))
    place.open()
    place.add("late", GOOD.format(version=1))
    assert 2 == len(place.open())
    assert ['[["late", "late_module"]]'] == place.asked[1:]


def test_plugins_that_the_environment_names_are_left_out_and_not_forgotten(place, monkeypatch):
    place.add("good", GOOD.format(version=1))
    place.add("other", GOOD.format(version=1))
    monkeypatch.setenv("NODEFLOW_PLUGINS_OFF", " other, absent")
    left = place.open()
    assert (["good.thing"], ["good"]) == ([spec.id for spec in left], [plugin.name for plugin in left.plugins])
    assert left.get("other.thing") is None
    assert 'its plugin "other" is switched off: switch it on again to use it (NODEFLOW_PLUGINS_OFF)' == left.cure(
        "other.thing"
    )
    assert 2 == len(place.open(off=()))
    monkeypatch.setenv("NODEFLOW_PLUGINS_OFF", "")
    assert 2 == len(place.open())
    assert ['[["good", "good_module"]]', '[["other", "other_module"]]'] == place.asked


def test_a_plugin_that_is_left_out_is_not_imported(place):
    place.add("good", GOOD.format(version=1))
    place.add("bad", "raise SystemError")
    for refresh in (False, False, True):
        assert ["good.thing"] == [spec.id for spec in place.open(off=["bad"], refresh=refresh)]
    assert 2 * ['[["good", "good_module"]]'] == place.asked
    assert {"good": "", "bad": "SystemError"} == place.errors()
    place.write("bad", "raise SystemError  # otherwise")
    assert [] == list(place.open(off=["others"]))
    assert ['[["bad", "bad_module"]]'] == place.asked[2:]


def test_others_are_all_plugins_that_did_not_come_with_nodeflow(place):
    place.add("good", GOOD.format(version=1))
    place.add("own", GOOD.format(version=1))
    whole = place.open()
    specs = {spec.id: spec.as_json() for spec in whole}
    own = [replace(p, distribution="nodeflow-engine") if p.name == "own" else p for p in whole.plugins]
    assert ["own.thing"] == [spec.id for spec in Catalog(specs, tuple(own)).without(["others"])]


def test_refresh_reads_all_again(place):
    place.add("good", GOOD.format(version=1))
    place.open()
    place.open(refresh=True)
    assert 2 == len(place.asked)


def test_plugins_that_fail_are_told_and_the_good_ones_stand(real):
    real.add("broken", "import nothing_of_that_name")
    real.add("exits", "import os; os._exit(4)")
    real.add("faults", "import ctypes; ctypes.string_at(0)")
    real.add("leaves", "raise SystemExit('bye')")
    real.add("good", 'print(\'{"name": "good", "specs": {}}\')\n' + GOOD.format(version=1))
    errors = real.errors()
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" == errors["broken"]
    assert "the plugin ended the interpreter that imported it (exit code 4)" == errors["exits"]
    assert f"the plugin ended the interpreter that imported it (exit code {-11})" == errors["faults"]
    assert "SystemExit: bye" == errors["leaves"]
    assert "" == errors["good"]
    (broken,) = [plugin for plugin in real.open().plugins if plugin.name == "broken"]
    assert "broken_module.py" in broken.trace
    before = len(real.asked)
    assert 1 == len(real.open())
    assert before == len(real.asked)


def test_a_plugin_that_prints_without_end_is_stopped(real, monkeypatch):
    monkeypatch.setattr(module, "PLUGIN_SECONDS", 4)
    real.add("endless", "while True: print('x' * 1000)")
    (plugin,) = real.open().plugins
    assert "its import did not end in 4 s\n    `nodeflow plugins --refresh` tries again" == plugin.error
    assert len(plugin.trace) <= 4_000


def test_a_plugin_that_hangs_is_named_and_left_out_and_the_others_stand(real, monkeypatch, capsys):
    monkeypatch.setattr(module, "PLUGIN_SECONDS", 10)
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    real.add("before", GOOD.format(version=1))
    real.add("hangs", "import time; time.sleep(300)")
    real.add("late", GOOD.format(version=2))
    began = time.monotonic()
    errors = real.errors()
    assert time.monotonic() - began < 60
    assert {"before": "", "hangs": "its import did not end in 10 s", "late": ""} == errors
    assert 'waiting for the plugin "hangs" to be imported\n' in capsys.readouterr().err
    assert {"before.thing": 1, "late.thing": 2} == {spec.id: spec.version for spec in real.open()}


ENDS = """
import sys, threading, time
from pathlib import Path
from nodeflow.catalog import _child
threading.Thread(target=_child, args=('[["hangs", "hangs_module"]]',), daemon=True).start()
while not Path(sys.argv[1]).is_symlink():
    time.sleep(0.01)
"""


def test_a_program_that_ends_meanwhile_leaves_no_plugin_behind_that_is_being_imported(real, tmp_path):
    told = tmp_path / "told"
    real.add("hangs", f"import os, time\nos.symlink(str(os.getpid()), {str(told)!r})\ntime.sleep(300)")
    subprocess.run([sys.executable, "-c", ENDS, str(told)], check=True, timeout=60)
    with contextlib.suppress(ProcessLookupError):
        for _ in range(200):
            os.kill(int(str(told.readlink())), 0)
            time.sleep(0.05)
        pytest.fail("it is still there")


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("None", "p: register_nodes returned a NoneType"),
        ("'thing'", "p: register_nodes returned a str"),
        ("[len]", "p: builtins.len is registered as a node but not marked"),
        ("[3]", "p: ?.3 is registered as a node but not marked"),
        ("[thing, thing]", "p: two nodes are called p.thing"),
    ],
)
def test_a_hook_that_gives_no_nodes_is_told(returned, told):
    fake = ModuleType("fake_of_the_test")
    exec(GOOD.format(version=1).replace("[thing]", returned), fake.__dict__)
    sys.modules[fake.__name__] = fake
    try:
        assert told == probe.describe("p", fake.__name__)["error"].partition("\n")[0]
    finally:
        del sys.modules[fake.__name__]


def test_a_hook_that_is_not_marked_is_told(place):
    place.add("plain", GOOD.format(version=1).replace("@hook\n", ""))
    assert {"plain": "plain: register_nodes is not marked as a hook"} == place.errors()


def test_two_plugins_of_one_name_the_first_stands(place):
    place.add("one", GOOD.format(version=1), point="same")
    place.add("two", GOOD.format(version=2), point="same")
    assert [1] == [spec.version for spec in place.open()]
    assert ["", 'the name "same" is taken by fake_one 1.0\n    uninstall one of the two'] == [
        plugin.error for plugin in place.open().plugins
    ]
    assert 1 == len(place.asked)


def test_a_damaged_catalog_is_made_again(place):
    place.add("good", GOOD.format(version=1))
    place.open()
    (file,) = place.cache.iterdir()
    file.write_text(file.read_text().replace('"x"', '"y"'))
    assert ["x"] == [spec.category for spec in place.open()]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', "\n", "\0"])
def test_a_file_that_is_no_catalog_is_none(text, tmp_path):
    (tmp_path / "c.json").write_text(text)
    assert {} == module._read(tmp_path / "c.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_place_of_the_catalog_is_replaced_and_not_waited_for(place):
    place.add("good", GOOD.format(version=1))
    place.open()
    (file,) = place.cache.iterdir()
    file.unlink()
    os.mkfifo(file)
    assert 1 == len(place.open())
    assert file.is_file()


def test_a_folder_that_cannot_be_written_costs_time_only(place):
    place.add("good", GOOD.format(version=1))
    place.cache.write_text("a file where the folder should be")
    assert 1 == len(place.open())


def test_a_full_disk_leaves_nothing_behind(place, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    place.add("good", GOOD.format(version=1))
    monkeypatch.setattr(module.os, "replace", full)
    assert 1 == len(place.open())
    assert [] == list(place.cache.iterdir())


def test_another_nodeflow_reads_every_plugin_again(place, monkeypatch):
    place.add("good", GOOD.format(version=1))
    place.open()
    monkeypatch.setattr(module, "_engine_files", lambda: ["changed"])
    place.open()
    assert 2 == len(place.asked)


def test_former_names_and_near_ones():
    data = {"p.load": {"formerly": ["old.load"]}, "p.save": {}}
    known = Catalog(data)
    assert ("p.load", "p.save", None) == (
        known.nearest("p.laod"),
        known.nearest("zzzzzzzzzz.save"),
        known.nearest("qqqq"),
    )
    assert known.get("never") is None
    assert 2 == len(known)
