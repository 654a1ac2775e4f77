"""ComfyUI's files as workflows: what was sent to run ("API"), and what its editor saves (versions 0.4 and 1)."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from nodeflow_comfyui import pictures, widgets
from nodeflow_comfyui.workflow import ACTIVE, JSON, Link, Node, Port, UnreadableError, Workflow

NOTES: Final = ("Note", "MarkdownNote")
TITLES: Final = ("Note", "Markdown Note", "MarkdownNote")
"""What notes are called that nobody gave a title."""
COLOURS: Final = {
    "#322": "red", "#332922": "orange", "#432": "yellow", "#232": "green", "#233": "sky", "#2a363b": "sky",
    "#223": "blue", "#323": "pink", "#222": "grey", "#a88": "red", "#b06634": "orange", "#b58b2a": "yellow",
    "#8a8": "green", "#8aa": "sky", "#88a": "blue", "#a1309b": "pink", "#444": "grey",
}  # fmt: skip
"""The colours of its menu: of nodes, then of groups."""
MOST_NODES: Final = 20_000
FARTHEST: Final = 1e9
"""Pixels from the middle of the canvas."""
ORIGIN: Final = ("id", "origin_id", "origin_slot")


def read(data: bytes) -> tuple[Workflow, str] | None:
    """The workflow in a file, and in words what was read; None if the file is none of ComfyUI's.

    Of a picture that carries both, the editor's file is taken, which has places, notes and what was switched off, and
    the values of what was run, which stand there by name. Where one of the two is damaged the other is taken.

    Raises:
        UnreadableError: it is one of ComfyUI's, but damaged, or of a form that is not known.
    """
    if not pictures.is_picture(data):
        alone = _read_text(data, "the file")
        return None if alone is None else (alone, f"ComfyUI's {alone.form}")
    texts = pictures.texts(data)
    if not texts:
        if b"nodeflow\0" in data[:65536]:
            return None
        cure = "pictures that ComfyUI saved do, unless another program has saved them since"
        if not pictures.whole(data):
            raise UnreadableError("the picture is cut off, and has no workflow in what is left", "copy it again, whole")
        raise UnreadableError("this picture carries no workflow", cure)
    found, damaged = _carried(texts)
    if not found:
        cure = "name its .json file"
        raise damaged[0] if damaged else UnreadableError("what this picture carries is no workflow of ComfyUI", cure)
    if len(found) == 2:
        found["workflow"].run = found["prompt"]
        return found["workflow"], f"a picture's {found['workflow'].form}, with the values of what was run"
    (only,) = found.values()
    return only, ", as ".join([f"a picture's {only.form}", *(error.args[0] for error in damaged)])


def _carried(texts: Mapping[str, str]) -> tuple[dict[str, Workflow], list[UnreadableError]]:
    """What a picture's texts hold, by their names, and what is amiss with those that are damaged."""
    found, damaged = {}, []
    for name in sorted(texts, reverse=True):
        try:
            made = _read_text(texts[name].encode(), f'its "{name}"')
        except UnreadableError as error:
            damaged.append(error)
        else:
            if made is not None:
                found[name] = made
    return found, damaged


def _read_text(data: bytes, what: str) -> Workflow | None:
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=lambda _: None)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{what} is no text: byte {error.start:,} is not UTF-8", "name a .json file") from None
    except RecursionError:
        raise UnreadableError(f"{what} is nested too deep to be a workflow", "it is no workflow") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        told = f"{what} is not JSON, from {place}: {error.msg}"
        raise UnreadableError(told, "export the workflow again") from None
    except ValueError:  # the interpreter's own bound on the digits of an int
        raise UnreadableError(f"{what} holds a whole number of more than 4,300 digits", "it is no workflow") from None
    return parse(value)


def parse(data: JSON) -> Workflow | None:
    """The workflow that a JSON value is, or None if it is none."""
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("nodes"), list) and "links" in data:
        return _editor(data)
    steps = data.get("prompt") if isinstance(data.get("prompt"), dict) else data
    if isinstance(steps, dict) and any(isinstance(step, dict) and "class_type" in step for step in steps.values()):
        return _api(steps)
    return None


def _api(steps: Mapping[str, JSON]) -> Workflow:
    _count(len(steps))
    workflow = Workflow("API file")
    for name, step in steps.items():
        if not isinstance(step, dict) or "class_type" not in step:
            continue
        meta = step.get("_meta")
        title = meta.get("title", "") if isinstance(meta, dict) else ""
        given = step.get("inputs")
        inputs = {key: _api_value(value) for key, value in given.items()} if isinstance(given, dict) else {}
        workflow.nodes[name] = Node(name, str(step["class_type"]), str(title), inputs)
    return workflow


def _api_value(value: JSON) -> JSON:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
        return Link(value[0], value[1])
    return value["__value__"] if isinstance(value, dict) and set(value) == {"__value__"} else value


def _count(number: int) -> None:
    if number > MOST_NODES:
        told = f"the workflow has {number:,} nodes; at most {MOST_NODES:,} can be turned"
        raise UnreadableError(told, "make several workflows of it")


def _editor(data: Mapping[str, JSON]) -> Workflow:
    version = data.get("version", 0.4)
    if version not in (0.4, 1):
        told = f"the workflow is of version {version!r}; 0.4 and 1 are known"
        raise UnreadableError(told, "export it from ComfyUI by `Export (API)`")
    workflow = level(data, f"workflow {version}")
    kept = data.get("definitions")
    subgraphs = listed(kept.get("subgraphs")) if isinstance(kept, dict) else []
    workflow.definitions = {str(item.get("id")): item for item in subgraphs if isinstance(item.get("nodes"), list)}
    return workflow


def level(data: Mapping[str, JSON], form: str) -> Workflow:
    """One level of an editor's file: the whole without what its subgraphs hold, or one of these."""
    workflow = Workflow(form, frames=list(_frames(data.get("groups"))))
    links, again = dict(links_of(data)), dict[str, int]()
    _count(len(data["nodes"]))
    for number, found in enumerate(data["nodes"], 1):
        if not isinstance(found, dict) or not isinstance(found.get("type"), str):
            raise UnreadableError(f"node {number} of the workflow has no type", "export the workflow again")
        if found["type"] in NOTES:
            workflow.notes.append(_note(found))
        else:
            node = _node(found, links)
            own = node.id
            while node.id in workflow.nodes:  # two of one number: neither shall be lost
                again[own] = again.get(own, 1) + 1
                node.id = f"{own}b{again[own]}"
            workflow.nodes[node.id] = node
    return workflow


def links_of(data: Mapping[str, JSON]) -> Iterator[tuple[JSON, Link]]:
    """Where each link comes from, by its number: lists in version 0.4, objects in version 1 and within subgraphs."""
    found = data.get("links")
    for link in found if isinstance(found, list) else ():
        if isinstance(link, list):
            number, node, slot = link[:3] if len(link) >= 3 else (None, None, None)
        else:
            number, node, slot = [link.get(key) for key in ORIGIN] if isinstance(link, dict) else (None, None, None)
        if isinstance(number, int | str) and type(slot) is int:
            yield number, Link(str(node), slot)


def _node(found: Mapping[str, JSON], links: Mapping[JSON, Link]) -> Node:
    mode = found.get("mode")
    node = Node(
        str(found.get("id")), found["type"], str(found.get("title") or ""), mode=mode if type(mode) is int else ACTIVE,
        place=pair(found.get("pos")), size=pair(found.get("size")) or (210.0, 100.0),
    )  # fmt: skip
    ports = [port for port in listed(found.get("inputs")) if isinstance(port.get("name"), str)]
    shown = [str(port["widget"].get("name", port["name"])) for port in ports if isinstance(port.get("widget"), dict)]
    node.proxies = _proxies(found.get("properties"))
    flags = found.get("flags")
    node.folded = isinstance(flags, dict) and flags.get("collapsed") is True
    node.colour = _named(found.get("color"))
    if node.proxies and isinstance(found.get("widgets_values"), list):
        node.values = list(found["widgets_values"])
    else:
        node.inputs, node.values = widgets.named(node.kind, found.get("widgets_values"), shown)
    node.own = dict(node.inputs)
    for port in ports:
        node.kinds[port["name"]] = str(port.get("type", "*"))
        link = port.get("link")
        if isinstance(link, int | str) and link in links:
            node.inputs[port["name"]] = links[link]
        elif link is not None:
            node.inputs[port["name"]] = Link("?", 0)
    outputs = listed(found.get("outputs"))
    node.outputs = [Port(str(port.get("name") or ""), str(port.get("type", "*"))) for port in outputs]
    return node


def _proxies(properties: JSON) -> list[tuple[str, str]]:
    told = properties.get("proxyWidgets") if isinstance(properties, dict) else None
    pairs = told if isinstance(told, list) else []
    return [(str(item[0]), str(item[1])) for item in pairs if isinstance(item, list) and len(item) == 2]


def listed(value: JSON) -> list[dict[str, JSON]]:
    """The objects of a list; what is none is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _note(found: Mapping[str, JSON]) -> dict[str, JSON]:
    """A note's text in its box, below the title if somebody gave it one."""
    values = found.get("widgets_values")
    text = values[0] if isinstance(values, list) and values else values.get("text") if isinstance(values, dict) else ""
    place, size = pair(found.get("pos")) or (0.0, 0.0), pair(found.get("size")) or (210.0, 100.0)
    told, title = str(text or ""), str(found.get("title") or "").strip()
    if title and title not in TITLES and not told.startswith(title):
        told = f"{title}\n\n{told}".rstrip()
    return {"text": told, "box": [*place, *size], **_dyed(found.get("color"))}


def _frames(groups: JSON) -> Iterator[dict[str, JSON]]:
    for group in listed(groups):
        box = numbers(group.get("bounding"))
        if len(box) == 4:
            yield {"title": str(group.get("title") or ""), "box": box, **_dyed(group.get("color"))}


def _named(colour: JSON) -> str:
    """The name of a colour, of those that its menu offers; what a group has if nobody chose one is none."""
    return COLOURS.get(colour.lower(), "") if isinstance(colour, str) else ""


def _dyed(colour: JSON) -> dict[str, JSON]:
    name = _named(colour)
    return {"colour": name} if name else {}


def pair(value: JSON) -> tuple[float, float] | None:
    """Two numbers: older files have objects with keys "0" and "1"."""
    found = numbers(value)
    return (found[0], found[1]) if len(found) >= 2 else None


def numbers(value: JSON) -> list[float]:
    """The finite numbers of a list, rounded to whole pixels."""
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [round(item) for item in items if type(item) in (int, float) and -FARTHEST < item < FARTHEST]


def overlay(workflow: Workflow) -> None:
    """Puts the values of what was run into the workflow, where they stand by name and cannot have shifted."""
    for name, step in workflow.run.nodes.items() if workflow.run else ():
        node = workflow.nodes.get(name)
        if node is not None and node.kind == step.kind:
            given = {key: value for key, value in step.inputs.items() if not isinstance(value, Link)}
            node.inputs |= {key: value for key, value in given.items() if not isinstance(node.inputs.get(key), Link)}
            node.values = []
