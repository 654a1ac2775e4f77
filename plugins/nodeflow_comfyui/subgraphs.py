"""Subgraphs opened out: their nodes take the place of the node that stands for them, as ComfyUI does for a run."""

from collections.abc import Mapping
from typing import Final

from nodeflow_comfyui.reading import MOST_NODES, level, links_of, listed
from nodeflow_comfyui.widgets import CONTROL
from nodeflow_comfyui.workflow import JSON, MUTED, Link, Node, UnreadableError, Workflow

DEEPEST: Final = 32
MOST_PARTS: Final = 1_000_000
"""Nodes and links of all subgraphs that are opened, those that hold nothing but links included."""
OWN: Final = "-1"
"""Whose widget is an input of the subgraph itself, where a node's properties list them."""
INSIDE, OUTSIDE = "-10", "-20"
"""The ids that links within a subgraph have at its inputs and its outputs."""
Ends = dict[str, dict[int, JSON]]
"""What comes out of each output of subgraphs that were opened, by the ids of the nodes that stood for them."""


def opened(workflow: Workflow) -> list[str]:
    """Opens out every subgraph of a workflow, in place. Returns the names of those that were.

    Raises:
        UnreadableError: a subgraph holds itself, or they hold too much.
    """
    names: list[str] = []
    definitions, parts = workflow.definitions, 0
    sizes = {kind: len(listed(made["nodes"])) + len(list(links_of(made))) for kind, made in definitions.items()}
    for _ in range(DEEPEST):
        standing = [node for node in workflow.nodes.values() if node.kind in definitions]
        if not standing:
            return names
        ends: Ends = {}
        for node in standing:
            parts += sizes[node.kind]
            names.append(_open(workflow, node, definitions[node.kind], ends))
            if parts > MOST_PARTS or len(workflow.nodes) > MOST_NODES:
                most = f"{MOST_NODES:,} nodes or {MOST_PARTS:,} links"
                told = f"with what its subgraphs hold, the workflow has more than {most}"
                raise UnreadableError(told, "make several workflows of it")
        _lead_on(workflow, ends)
    told = f'the subgraph "{names[-1]}" holds itself, or its like more than {DEEPEST} deep'
    raise UnreadableError(told, "take it out of itself")


def _open(workflow: Workflow, outer: Node, definition: Mapping[str, JSON], ends: Ends) -> str:
    """Puts what a subgraph holds in its place, and notes what comes out of it."""
    inner = level(definition, workflow.form)
    title = outer.title or str(definition.get("name") or "subgraph")
    ports = [str(port.get("name")) for port in listed(definition.get("inputs"))]
    values = _promoted(outer)
    at = {name: f"{outer.id}:{name}" for name in inner.nodes}
    del workflow.nodes[outer.id]
    for name, node in inner.nodes.items():
        node.id = at[name]
        node.mode = outer.mode if outer.mode else node.mode
        for key, value in list(node.inputs.items()):
            if isinstance(value, Link):
                _rewire(node, key, _entering(value, at, outer, ports))
        given = values.get(name, {})
        node.inputs |= {key: value for key, value in given.items() if not isinstance(node.inputs.get(key), Link)}
        workflow.nodes[node.id] = node
    _place(workflow, inner, outer, title)
    ends[outer.id] = _ends(definition, at, outer, ports)
    return title


def _lead_on(workflow: Workflow, ends: Ends) -> None:
    """Leads the links from subgraphs that were opened to the nodes within."""
    for node in workflow.nodes.values():
        for key, value in list(node.inputs.items()):
            if isinstance(value, Link) and value.node in ends:
                _rewire(node, key, _followed(value, ends))


def _followed(link: Link, ends: Ends) -> JSON:
    """What comes from there: of subgraphs that pass on what they are given, what the first is given."""
    found: JSON = link
    seen = set[Link]()
    while isinstance(found, Link) and found.node in ends:
        if found in seen:
            return Link("?", 0)
        seen.add(found)
        found = ends[found.node].get(found.slot, Link("?", 0))
    return found


def _rewire(node: Node, key: str, value: JSON) -> None:
    """Gives an input another source; without one, what its own widget holds."""
    if value is None:
        value = node.own.get(key)
    if value is None:
        del node.inputs[key]
    else:
        node.inputs[key] = value


def _entering(link: Link, at: Mapping[str, str], outer: Node, ports: list[str]) -> JSON:
    """Where a link within a subgraph comes from, seen from outside: a link, a value, or None for nothing."""
    if link.node != INSIDE:
        return Link(at.get(link.node, "?"), link.slot)
    return outer.inputs.get(ports[link.slot]) if 0 <= link.slot < len(ports) else None


def _ends(definition: Mapping[str, JSON], at: Mapping[str, str], outer: Node, ports: list[str]) -> dict[int, JSON]:
    """What comes out of each output of a subgraph."""
    found: dict[int, JSON] = {}
    for link in listed(definition.get("links")):
        slots = link.get("origin_slot"), link.get("target_slot")
        if str(link.get("target_id")) == OUTSIDE and type(slots[0]) is int and type(slots[1]) is int:
            source = Link(str(link.get("origin_id")), slots[0])
            found[slots[1]] = _entering(source, at, outer, ports)
    return found


def _promoted(outer: Node) -> dict[str, dict[str, JSON]]:
    """Values of inner widgets that stand on the outer node, by inner node; its own inputs get theirs."""
    found: dict[str, dict[str, JSON]] = {}
    for (inner, name), value in zip(outer.proxies, outer.values, strict=False):
        if value is None or name == CONTROL:
            continue
        if inner == OWN:
            outer.inputs.setdefault(name, value)
        else:
            found.setdefault(inner, {})[name] = value
    return found


def _place(workflow: Workflow, inner: Workflow, outer: Node, title: str) -> None:
    """Inner nodes keep their places to each other, below and right of where the outer node stood, in a frame."""
    placed = [node for node in inner.nodes.values() if node.place is not None]
    if outer.mode == MUTED or not placed or outer.place is None:
        return
    spots = [node.place for node in placed if node.place is not None]
    left, top = min(x for x, _ in spots), min(y for _, y in spots)
    across, down = outer.place[0] - left, outer.place[1] - top
    for node in placed:
        assert node.place is not None
        node.place = (node.place[0] + across, node.place[1] + down)
    for item in (*inner.frames, *inner.notes):
        x, y, *size = item["box"]
        item["box"] = [x + across, y + down, *size]
    right = max(x + node.size[0] for node, (x, _) in zip(placed, spots, strict=True)) - left
    below = max(y + node.size[1] for node, (_, y) in zip(placed, spots, strict=True)) - top
    box = [outer.place[0] - 20, outer.place[1] - 60, right + 40, below + 80]
    workflow.frames += [{"title": title, "box": box}, *inner.frames]
    workflow.notes += inner.notes
