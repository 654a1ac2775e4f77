"""Workflows of ComfyUI, as graphs. An importer: it has no nodes of its own."""

from collections.abc import Collection

from nodeflow import Foreign, Remark
from nodeflow_comfyui.translation import translate
from nodeflow_comfyui.workflow import UnreadableError


def read(data: bytes, known: Collection[str]) -> Foreign | None:
    """The graph that a file of ComfyUI's becomes: a workflow of either kind, or a picture that carries one.

    Args:
        data: the file, or the beginning of a large picture.
        known: ids of the node types that there are.

    Returns: None if the file is none of ComfyUI's.

    Raises:
        ValueError: it is, but cannot be read; the second line says what to do.
    """
    try:
        found = translate(data, known)
    except UnreadableError as error:
        raise ValueError(f"{error}\n    {error.cure}") from error
    if found is None:
        return None
    left, differs = (tuple(Remark(*remark) for remark in remarks) for remarks in (found.left, found.differs))
    return Foreign(found.source, found.graph, found.nodes, left, differs)
