"""Graphs of test nodes at random."""

from hypothesis import strategies as st

from nodeflow.document import Document, NodeEntry, Wire


@st.composite
def documents(draw):
    """Up to 14 nodes that take from earlier ones, in a file order of their own."""
    nodes = {}
    small = st.integers(-5, 5)
    for index in range(draw(st.integers(1, 14))):
        earlier = st.sampled_from(sorted(nodes)).map(Wire) if nodes else small
        value = small | earlier if nodes else small
        kind = draw(st.sampled_from(["number", "add", "total"]))
        if kind == "number":
            inputs = {"x": draw(value)}
        elif kind == "add":
            inputs = {"a": draw(value), "b": draw(value)}
        else:
            inputs = {"xs": draw(st.lists(value, max_size=4)), "bias": draw(small)}
        nodes[f"n{index}"] = NodeEntry(f"t.{kind}", 1, inputs)
    order = draw(st.permutations(sorted(nodes)))
    return Document(nodes={name: nodes[name] for name in order}, outputs={name: name for name in order})
