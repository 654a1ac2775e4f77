"""Training that goes on from weights that there are."""

import json
from dataclasses import asdict
from typing import Annotated

from nodeflow_nn.weights import read_header

from nodeflow import QUIET, Context, Trainable, Ui, file_identity, find_weights, node, weights_identity
from nodeflow_train.recipes import Begun


def _content(weights: str) -> str:
    return weights_identity(weights)


@node(category="train/model", title="Begin with weights", identity=_content)
def begin_with(model: Trainable, weights: Annotated[str, Ui("model")], *, ctx: Context = QUIET) -> Trainable:
    """Begin a training with the weights of a file instead of first weights.

    Args:
        model: described as the file's model was.
        weights: "plugin:name" for weights that a plugin ships, or a safetensors file in a model folder.
    """
    path = find_weights(weights, ctx)
    header = read_header(path)
    if header.architecture != model.architecture:
        raise ValueError(
            f'the weights "{weights}" are of architecture {header.architecture}, but the model is a '
            f"{model.architecture}\n    name other weights, or describe another model"
        )
    config = json.loads(json.dumps(asdict(model.config)))
    wrong = [
        f"{name} {config.get(name)} (the file: {header.config.get(name)})"
        for name in sorted(config.keys() | header.config.keys())
        if config.get(name) != header.config.get(name)
    ]
    if wrong:
        raise ValueError(
            f'the weights "{weights}" are of a model of other sizes: {", ".join(wrong)}\n'
            "    describe the model as the file does"
        )
    return Begun(model, weights, file_identity(path), header.provenance)


NODES = (begin_with,)
