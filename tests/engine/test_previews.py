"""Previews: shrunk in the worker, ten a second, the newest of each node, and nothing left behind."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from graphs_for_tests import document, graph_text

from nodeflow.client import Worker
from nodeflow.errors import WorkerDied
from nodeflow.events import Finished, Previewed, Started
from nodeflow.ring import SIDE, SLOT
from nodeflow.session import Said
from nodeflow.showing import EVERY, MOST, shrunk
from nodeflow.values import Image, Mask

INSTALLED = Path(__file__).parent.parent / "plugins_for_tests" / "installed"
COMMAND = (sys.executable, "-P", str(INSTALLED.parent / "lean_worker.py"))


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(INSTALLED), str(INSTALLED.parent)]))
        patch.setenv("NODEFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(tmp_path_factory.mktemp("place"))
        yield


@pytest.fixture(scope="module")
def worker(environment):
    with Worker(command=COMMAND) as started:
        yield started


def run(worker, nodes, outputs=None, previews=True, **how):
    """The events of a run, each with the time at which it came."""
    return [
        (time.monotonic(), event)
        for event in worker.run(document(nodes, outputs), device="cpu", previews=previews, **how)
    ]


def previewed(told):
    return [event for _, event in told if event["event"] == "previewed"]


# --- shrinking


def test_a_picture_is_shrunk_to_the_side_and_a_smaller_one_is_left_as_it_is():
    for (height, width), expected in {
        (1024, 2048): (SIDE, 256), (2048, 1024): (256, SIDE), (3, 5): (5, 3), (16_000, 20): (1, SIDE),
    }.items():  # fmt: skip
        small = shrunk(Image(torch.rand(2, 3, height, width)))
        assert (*expected, 3 * expected[0] * expected[1]) == (*small[:2], len(small[2]))


def test_pixels_are_rows_of_rgb_from_the_top():
    pixels = torch.zeros(1, 3, 2, 2)
    pixels[0, 0, 0, 1] = 1
    pixels[0, 2, 1, 0] = 0.5
    assert (2, 2, bytes([0, 0, 0, 255, 0, 0, 0, 0, 128, 0, 0, 0])) == shrunk(Image(pixels))


def test_the_mean_of_a_picture_survives():
    picture = torch.rand(1, 3, 1500, 1100)
    small = torch.tensor(list(shrunk(Image(picture))[2])) / 255
    assert picture.mean().item() == pytest.approx(small.mean().item(), abs=2e-3)


def test_grey_masks_and_transparency_become_colours():
    assert bytes([64] * 3) == shrunk(Image(torch.full((1, 1, 1, 1), 0.25)))[2]
    assert bytes([255] * 3) == shrunk(Mask(torch.ones(1, 1, 1, 1)))[2]
    assert bytes([128] * 3) == shrunk(Image(torch.tensor([1.0, 0, 0, 0]).reshape(1, 4, 1, 1)))[2]
    assert bytes([255, 0, 0]) == shrunk(Image(torch.tensor([1.0, 0, 0, 1]).reshape(1, 4, 1, 1)))[2]


def test_what_is_no_colour_is_black_or_white_and_an_empty_picture_is_none():
    odd = torch.tensor([float("nan"), float("inf"), -3.0]).reshape(1, 3, 1, 1)
    assert bytes([0, 255, 0]) == shrunk(Image(odd))[2]
    assert shrunk(Image(torch.zeros(1, 3, 0, 5))) is None


def test_shrinking_writes_to_no_result():
    pixels = torch.rand(1, 3, 4, 4)
    before = pixels._version
    shrunk(Image(pixels))
    assert before == pixels._version


def test_the_first_pictures_of_a_batch_are_shrunk_as_each_of_them_alone():
    batch = torch.rand(3, 4, 300, 200)
    width, height, pixels = shrunk(Image(batch), 100, 2)
    alone = [shrunk(Image(batch[at : at + 1]), 100)[2] for at in range(2)]
    assert (67, 100, b"".join(alone)) == (width, height, pixels)


# --- the queue between a node and the run


def test_a_preview_that_nobody_took_gives_way_to_the_next_of_its_node():
    said, pictures = Said(), [Image(torch.zeros(1, 3, 1, 1)) for _ in range(4)]
    for event in (
        Started("a"), Previewed("a", pictures[0]), Previewed("b", pictures[1]), Previewed("a", pictures[2]),
        Finished("a", 1.0), Previewed("a", pictures[3]),
    ):  # fmt: skip
        said.put(event)
    taken = [said.get() for _ in range(4)]
    assert [Started("a"), Previewed("a", pictures[3]), Previewed("b", pictures[1]), Finished("a", 1.0)] == taken
    said.put(Previewed("a", pictures[0]))
    assert pictures[0] is said.get().image


# --- through the worker


def test_the_pictures_of_finished_nodes_come_and_those_of_reused_ones(worker):
    nodes = {"p": ("showing.paints", {"width": 1024, "height": 64}), "m": ("showing.covers", {"image": "$p"})}
    for kind in ("finished", "reused"):
        told = run(worker, nodes, {"mask": "m", "image": "p"})
        assert kind in [event["event"] for _, event in told]
        assert "ended" == told[-1][1]["event"]
        found = {event["node"]: event for event in previewed(told)}
        assert {"p": (SIDE, 32), "m": (SIDE, 32)} == {n: (e["width"], e["height"]) for n, e in found.items()}
        assert {"p": [1024, 64], "m": [1024, 64]} == {n: e["of"] for n, e in found.items()}
        assert bytes([128]) * SIDE * 32 * 3 == found["p"]["pixels"]
        assert bytes([255]) * 30 == found["m"]["pixels"][:30]
        assert bytes([0]) * 30 == found["m"]["pixels"][-30:]


@pytest.mark.parametrize(("count", "size"), [(4, (SIDE, SIDE)), (12, (295, 295)), (70, (128, 128))])
def test_all_pictures_of_a_batch_come_as_large_as_there_is_room(worker, count, size):
    nodes = {"p": ("showing.paints", {"width": 1024, "height": 1024, "grey": 1.0, "count": count})}
    (event,) = previewed(run(worker, nodes, until="p"))
    shown = min(count, MOST)
    assert (size, count, shown) == ((event["width"], event["height"]), event["count"], event["shown"])
    assert len(event["pixels"]) <= SLOT
    each = size[0] * size[1] * 3
    assert [round(255 * at / (count - 1)) for at in range(shown)] == [*event["pixels"][::each]]


def test_nobody_who_did_not_ask_gets_previews(worker):
    nodes = {"p": ("showing.paints", {"grey": 0.1}), "d": ("showing.develops", {"steps": 2})}
    assert [] == previewed(run(worker, nodes, {"image": "p", "d": "d"}, previews=False))


def test_pictures_of_unfinished_work_come_while_it_goes_on(worker):
    told = run(worker, {"d": ("showing.develops", {"steps": 12, "pause": 0.05})}, {"n": "d"})
    greys = [event["pixels"][0] for event in previewed(told)]
    assert greys == sorted(set(greys))
    assert 4 <= len(greys) <= 8
    kinds = [event["event"] for _, event in told]
    assert kinds.index("previewed") < kinds.index("finished")


def test_a_flood_is_cut_to_ten_a_second(worker):
    told = run(worker, {"f": ("showing.floods", {"seconds": 1.05})}, {"n": "f"})
    (shown,) = [event["value"] for _, event in told if event["event"] == "delivered"]
    times = [at for at, event in told if event["event"] == "previewed"]
    assert shown > 5_000
    assert 5 <= len(times) <= 1.05 / EVERY + 2


def test_many_pictures_at_once_all_come_without_a_wait(worker):
    nodes = {f"p{at}": ("showing.paints", {"grey": at / 100}) for at in range(30)}
    began = time.monotonic()
    told = run(worker, nodes, {name: name for name in nodes})
    assert set(nodes) == {event["node"] for event in previewed(told)}
    assert time.monotonic() - began < 30 * EVERY


def test_odd_pictures_stop_nothing(worker):
    told = run(worker, {"o": ("showing.odd",)}, {"n": "o"})
    assert ("ended", 0) == (told[-1][1]["event"], told[-1][1]["failed"])
    assert [bytes(48)] == [event["pixels"] for event in previewed(told)]


def test_a_worker_that_cannot_open_the_memory_runs_without_previews(worker):
    text = graph_text({"p": ("showing.paints", {"grey": 0.3})}, {"image": "p"})
    request = f'{{"do": "run", "id": 1, "graph": {json.dumps(text)}, "device": "cpu", "previews": %s}}'
    for handle in ('{"descriptor": 9999}', '{"descriptor": "x"}', "{}", "true", "7"):
        done = subprocess.run(COMMAND, input=(request % handle).encode(), capture_output=True, check=True)
        assert b'"event": "ended"' in done.stdout
        assert b"previewed" not in done.stdout
        assert b"refused" not in done.stdout


def shared():
    """What this program, or multiprocessing for it, would leave there."""
    return {path for kind in ("*nodeflow*", "psm_*", "wnsm_*") for path in Path("/dev/shm").glob(kind)}


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory has names to look for on Linux alone")
@pytest.mark.parametrize("how", ["quit", "worker killed", "client killed"])
def test_nothing_is_left_in_shared_memory(how):
    before = shared()
    nodes = {"d": ("showing.develops", {"steps": 1_000})}
    if how == "client killed":
        code = (
            "import sys; from nodeflow.client import Worker; from graphs_for_tests import document\n"
            f"worker = Worker(command=sys.argv[1:])\n"
            f"for event in worker.run(document({nodes!r}, {{'x': 'd'}}), device='cpu', previews=True):\n"
            "    print(event['event'], flush=True)\n"
        )
        with subprocess.Popen([sys.executable, "-c", code, *COMMAND], stdout=subprocess.PIPE) as client:
            while b"previewed" not in client.stdout.readline():
                pass
            client.kill()
    else:
        with Worker(command=COMMAND) as worker:
            events = worker.run(document(nodes, {"x": "d"}), device="cpu", previews=True)
            assert any(event["event"] == "previewed" for event in events)
            if how == "worker killed":
                worker.kill()
                with pytest.raises(WorkerDied):
                    list(worker.run(document(nodes, {"x": "d"}), device="cpu"))
    assert before >= shared()
