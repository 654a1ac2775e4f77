"""What was measured of a model, written into its file and onto its card."""

import json
from typing import Annotated, Any, NamedTuple

from nodeflow_nn.weights import read_header, write_tensors
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import load_file

from nodeflow import QUIET, Context, SavedFile, Table, Ui, find_weights, node, weights_identity
from nodeflow_train.card import card


class Attested(NamedTuple):
    weights: str
    files: list[SavedFile]


def _content(weights: str) -> str:
    return weights_identity(weights)


@node(category="train", title="Attest", effect=True, identity=_content)
def attest(
    weights: Annotated[str, Ui("model")],
    measured: list[Table],
    name: Annotated[str, Field(min_length=1, max_length=200)] = "attested",
    *,
    ctx: Context = QUIET,
) -> Attested:
    """Write a copy of a weights file that says how good it is, and its model card beside it.

    Args:
        weights: the weights that were measured, as a loader names them.
        measured: tables whose first two columns are a question and a figure, as shapes.judge gives them.
        name: of the copy and of its card below the output folder.
    """
    path = find_weights(weights, ctx)
    accuracy: dict[str, Any] = {}
    for table in measured:
        if len(table.columns) < 2:
            raise ValueError(f'the table "{table.title}" has no figures: it has one column\n    wire another table in')
        accuracy.setdefault(table.title, {}).update({str(row[0]): row[1] for row in table.rows})
    provenance = read_header(path).provenance | {"accuracy": accuracy}
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | {"provenance": json.dumps(provenance, sort_keys=True)}
    target = ctx.write(f"{name}.safetensors")
    write_tensors(target, load_file(path), metadata)
    beside = target.with_suffix(".md")
    beside.write_text(card(target), encoding="utf-8")
    return Attested(str(target.resolve()), [SavedFile.at(file.resolve()) for file in (target, beside)])


NODES = (attest,)
