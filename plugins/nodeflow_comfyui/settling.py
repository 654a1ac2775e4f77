"""A workflow as ComfyUI would run it: without what only its editor knows (reroutes, primitives, switched-off nodes)."""

from collections.abc import Iterator
from typing import Final

from nodeflow_comfyui.workflow import BYPASSED, Link, Node, Workflow

REROUTE: Final = "Reroute"
PRIMITIVE: Final = "PrimitiveNode"
SETTER, GETTER = "SetNode", "GetNode"
"""Two nodes of an extension that many workflows have: a wire by name instead of a line."""
VALUES: Final = ("PrimitiveInt", "PrimitiveFloat", "PrimitiveString", "PrimitiveStringMultiline", "PrimitiveBoolean")
BYPASSES: Final = (
    "LoraLoader", "LoraLoaderModelOnly", "ControlNetApply", "ControlNetApplyAdvanced", "ImageScale", "ImageScaleBy",
    "ImageUpscaleWithModel",
)  # fmt: skip
"""Kinds that become nodes which pass on the same when they are bypassed: these stay."""
NOWHERE: Final = Link("?", 0)


def settle(workflow: Workflow) -> list[Node]:
    """Takes out what only the editor knows, in place, and wires past it. Returns the bypassed nodes that went with it.

    Muted nodes stay, and bypassed ones of the kinds in BYPASSES.
    """
    names = {str(node.values[0]): node for node in workflow.nodes.values() if node.kind == SETTER and node.values}
    for node in workflow.nodes.values():
        for key, value in list(node.inputs.items()):
            if not isinstance(value, Link):
                continue
            found = _followed(workflow, value, names)
            if found is None:
                del node.inputs[key]
            else:
                node.inputs[key] = found
    gone = [node for node in workflow.nodes.values() if _passes(node)]
    for node in gone:
        del workflow.nodes[node.id]
    return [node for node in gone if node.mode == BYPASSED]


def passed(node: Node) -> tuple[Link | None, ...]:
    """What a bypassed node passes on, for each of its outputs."""
    return tuple(next(_alike(node, slot), None) for slot in range(len(node.outputs)))


def _passes(node: Node) -> bool:
    virtual = node.kind in (REROUTE, PRIMITIVE, SETTER, GETTER, *VALUES)
    return virtual or (node.mode == BYPASSED and node.kind not in BYPASSES)


def _followed(workflow: Workflow, link: Link, names: dict[str, Node]) -> object:
    """What a link brings at last: a link to a node that is run, a value, or None for nothing.

    A link that leads to a node that is not in the file, or round in a circle, is NOWHERE.
    """
    seen = set()
    while link.node in workflow.nodes:
        node = workflow.nodes[link.node]
        if link in seen:
            return NOWHERE
        seen.add(link)
        if not _passes(node):
            return link
        if node.mode == BYPASSED:
            further: object = next(_alike(node, link.slot), None)
        elif node.kind in VALUES and not isinstance(node.inputs.get("value"), Link):
            return node.inputs.get("value")
        elif node.kind == PRIMITIVE:
            return node.values[0] if node.values else None
        elif node.kind == GETTER:
            setter = names.get(str(node.values[0])) if node.values else None
            further = next(_wired(setter), None) if setter else NOWHERE
        else:
            further = next(_wired(node), None)
        if not isinstance(further, Link):
            return further
        link = further
    return NOWHERE


def _wired(node: Node) -> Iterator[Link]:
    return (value for value in node.inputs.values() if isinstance(value, Link))


def _alike(node: Node, slot: int) -> Iterator[Link]:
    """What a bypassed node passes on as its output of that number: the input at its place, or the first of its type."""
    if slot >= len(node.outputs):
        return
    wanted = node.outputs[slot].kind
    wired = [(name, node.inputs.get(name)) for name, kind in node.kinds.items() if kind == wanted]
    earlier = sum(port.kind == wanted for port in node.outputs[:slot])
    for _, value in wired[earlier : earlier + 1] + wired:
        if isinstance(value, Link):
            yield value
