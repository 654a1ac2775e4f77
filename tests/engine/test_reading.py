"""What may be read is judged before anything is opened, by `identity` functions as by nodes."""

import os
import socket
import time
from pathlib import Path

import pytest
import reading_nodes
from graphs_for_tests import document, specs

from nodeflow import file_identity, find_weights
from nodeflow.catalog import Catalog
from nodeflow.events import Ended, Failed
from nodeflow.graph import build
from nodeflow.runner import Engine
from nodeflow.session import Permissions

CATALOG = Catalog.of(*specs(reading_nodes, "f"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "in" / "m.safetensors").write_text("no weights, but a file")
    (tmp_path / "secret.safetensors").write_text("secret")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret.safetensors")
    monkeypatch.chdir(tmp_path / "in")
    monkeypatch.setenv("NODEFLOW_MODELS", "")
    return tmp_path / "in"


def failed(kind, inputs):
    """A failure's message and input."""
    graph = build(document({"n": (f"f.{kind}", inputs)}, {"out": "n"}), CATALOG)
    events = Engine(device="cpu").run(graph, permissions=Permissions(read=(Path.cwd(),)))
    (found,) = [event for event in events if isinstance(event, Failed)]
    return found.message, found.port


def told(kind, value, port="path", permissions=None):
    """What a node of that kind gives, or its failure's message."""
    nodes = {"n": (f"f.{kind}", {port: value})}
    graph = build(document(nodes, {"out": "n"}), CATALOG)
    events = list(Engine(device="cpu").run(graph, permissions=permissions or Permissions(read=(Path.cwd(),))))
    if found := [event.message for event in events if isinstance(event, Failed)]:
        return found[0]
    assert isinstance(events[-1], Ended)
    return events[-1].outputs["out"]


ASKING = [("by_path", "path"), ("by_name", "name"), ("weights", "model"), ("weights_by_hand", "model")]


@pytest.mark.parametrize(("kind", "port"), ASKING)
@pytest.mark.parametrize("path", ["../secret.safetensors", "link"])
def test_an_identity_reads_no_file_outside_the_allowed_folders(kind, port, path, place):
    assert f"lies outside the folders that a graph may read ({place})" in told(kind, path, port)


@pytest.mark.parametrize("kind", ["weights", "weights_by_hand"])
def test_a_model_that_is_a_link_out_of_its_folder_is_told_with_its_input(kind, place, monkeypatch):
    (place / "models").mkdir()
    (place / "models" / "vae.safetensors").symlink_to("../../secret.safetensors")
    monkeypatch.setenv("NODEFLOW_MODELS", str(place / "models"))
    nodes = {"n": (f"f.{kind}", {"model": "vae"})}
    events = Engine(device="cpu").run(build(document(nodes, {"out": "n"}), CATALOG), permissions=Permissions())
    (failed,) = (event for event in events if isinstance(event, Failed))
    path = place / "models" / "vae.safetensors"
    real = place.parent / "secret.safetensors"
    assert failed.message.startswith(f'"vae": "{path}" is a link to {real}, which lies outside the folders')
    assert "model" == failed.port


def test_an_identity_that_opens_files_by_itself_is_judged_as_well(place):
    assert 1 == told("by_itself", ["a.txt"], "paths")
    assert "lies outside the folders" in told("by_itself", ["a.txt", "../secret.safetensors"], "paths")
    assert ["a.txt"] == reading_nodes.OPENED


def test_files_within_the_folders_and_shipped_ones_are_read(place):
    assert "a" == told("by_path", "a.txt")
    assert "a.txt" == told("by_name", "a.txt", "name")
    for kind in ("weights", "weights_by_hand"):
        assert "m" == told(kind, "m", "model")
        assert "shapes:text" == told(kind, "shapes:text", "model")


@pytest.mark.parametrize(("kind", "port"), [("by_path", "path"), ("by_name", "name"), ("plain", "path")])
def test_a_file_that_is_not_there_is_told_with_its_input_and_the_nearest(kind, port, place):
    (place / "pictures").mkdir()
    (place / "pictures" / "cat.png").touch()
    (place / "b.png").mkdir()
    nearest = {
        "b.txt": f'there is no file "b.txt": expected one in {place}\n    did you mean "a.txt"?',
        "pictures/cta.png": f'there is no file "pictures/cta.png": expected one in {place}/pictures\n'
        '    did you mean "pictures/cat.png"?',
        "picture/cat.png": f'there is no file "picture/cat.png": {place} has no folder "picture"\n'
        '    did you mean "pictures/cat.png"?',
        "nothing-like-it": f'there is no file "nothing-like-it": expected one in {place}\n'
        "    name a file that is there; names without a folder are looked for where nodeflow was started",
        str(place / "c.txt"): f'there is no file "{place}/c.txt": expected one in {place}\n'
        f'    did you mean "{place}/a.txt"?',
    }
    for name, message in nearest.items():
        assert (message, port) == failed(kind, {port: name})


def test_a_folder_and_a_file_that_may_not_be_read_are_told_with_their_input(place):
    (place / "folder").mkdir()
    assert ('"folder" cannot be read: is a directory\n    name a file in it', "path") == failed(
        "plain", {"path": "folder"}
    )
    cure = "copy it into one of them, name its folder in NODEFLOW_MODELS, or start nodeflow in a folder above it"
    message, port = failed("by_path", {"path": "../secret.safetensors"})
    assert message.endswith(f"may read ({place})\n    {cure}")
    assert "path" == port


def test_one_of_several_files_is_told_by_its_name(place):
    message, port = failed("by_itself", {"paths": ["a.txt", "b.txt"]})
    assert f'there is no file "b.txt": expected one in {place}' == message.split("\n")[0]
    assert "paths" == port


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
@pytest.mark.parametrize(("kind", "port"), [("by_path", "path"), ("by_name", "name"), ("plain", "path")])
def test_a_pipe_is_refused_at_once(kind, port, place):
    os.mkfifo(place / "pipe")
    began = time.monotonic()
    assert '"pipe" is a pipe, not a file\n    name a file' == told(kind, "pipe", port)
    assert time.monotonic() - began < 5


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
def test_what_is_no_regular_file_has_no_identity(place):
    assert file_identity("a.txt") == file_identity(place / "a.txt")
    for path, kind in (("/dev/zero", "a device"), (".", "a folder"), (str(find_weights("m").parent), "a folder")):
        with pytest.raises(ValueError, match=f'"{path}" is {kind}, not a file'):
            file_identity(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(ValueError, match="is a socket"):
            file_identity("socket")


def test_unless_told_otherwise_the_working_directory_and_the_model_folders_are_read(place, tmp_path, monkeypatch):
    monkeypatch.setenv("NODEFLOW_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "own.safetensors"
    model.write_text("a model's")
    assert (place, tmp_path / "models") == Permissions().read[:2]
    assert "a" == told("plain", "a.txt", permissions=Permissions())
    assert "a model's" == told("plain", str(model), permissions=Permissions())
    assert "own" == told("weights", "own", "model", permissions=Permissions())
    assert "lies outside the folders" in told("plain", "../secret.safetensors", permissions=Permissions())


@pytest.mark.parametrize(("kind", "port"), [("by_path", "path"), ("by_name", "name"), ("plain", "path")])
def test_links_in_a_circle_are_told_with_their_input(kind, port, place):
    (place / "one").symlink_to(place / "two")
    (place / "two").symlink_to(place / "one")
    cure = "mend the links, or name another file"
    assert (f'"one" cannot be read: too many levels of symbolic links\n    {cure}', port) == failed(kind, {port: "one"})
