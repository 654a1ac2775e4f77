"""Graphs of test nodes, written shortly: {"b": ("add", {"a": "$a", "b": 1})}."""

import json

import plain_nodes
import wrong_nodes

from nodeflow.catalog import Catalog
from nodeflow.document import parse
from nodeflow.errors import GraphError
from nodeflow.events import Ended, Failed, Finished, Reused
from nodeflow.graph import build
from nodeflow.nodes import MARK, spec_of
from nodeflow.runner import Engine


def specs(module, plugin):
    return [spec_of(function, plugin) for function in vars(module).values() if hasattr(function, MARK)]


CATALOG = Catalog.of(*specs(plain_nodes, "t"), *specs(wrong_nodes, "w"))


def wired(value):
    if isinstance(value, list):
        return [wired(item) for item in value]
    return {"$from": value[1:]} if isinstance(value, str) and value.startswith("$") else value


def graph_text(nodes, outputs=None, **more):
    entries = {}
    for name, (kind, *inputs) in nodes.items():
        kind = kind if "." in kind or ":" in kind else f"t.{kind}"
        entries[name] = {"type": kind, "inputs": {port: wired(value) for port, value in (inputs or [{}])[0].items()}}
    return json.dumps({"nodeflow": 1, "nodes": entries, "outputs": outputs or {}, **more})


def document(nodes, outputs=None, **more):
    return parse(graph_text(nodes, outputs, **more))


def built(nodes, outputs=None, catalog=CATALOG, folder=None, file=None, **more):
    return build(document(nodes, outputs, **more), catalog, folder=folder, file=file)


def faults(nodes, outputs=None, **more):
    """Each problem of a wrong graph as "node.port: message"."""
    try:
        built(nodes, outputs, **more)
    except GraphError as error:
        return [
            f"{fault.node or ''}{'.' + fault.port if fault.port else ''}: {fault.message}" for fault in error.problems
        ]
    return []


def cures(nodes, outputs=None, **more):
    try:
        built(nodes, outputs, **more)
    except GraphError as error:
        return [fault.cure for fault in error.problems]
    return []


def events(nodes, outputs=None, engine=None, **run):
    return list((engine or Engine(device="cpu")).run(built(nodes, outputs), **run))


def ended(nodes, outputs=None, engine=None, **run):
    last = events(nodes, outputs, engine, **run)[-1]
    assert isinstance(last, Ended)
    return last


def value(nodes, output, **run):
    """What an output is; a failure is raised."""
    told = events(nodes, {"out": output}, **run)
    assert [] == [event for event in told if isinstance(event, Failed)]
    return told[-1].outputs["out"]


def failure(nodes, output, **run):
    """The one failure of a run."""
    (told,) = [event for event in events(nodes, {"out": output}, **run) if isinstance(event, Failed)]
    return told


def finished(told):
    return [event.node for event in told if isinstance(event, Finished)]


def reused(told):
    return [event.node for event in told if isinstance(event, Reused)]
