"""Text encoders to be trained, or taken up again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from nodeflow_nn.weights import load_weights, read_header
from pydantic import Field
from torch import nn

from nodeflow import QUIET, Context, Dataset, ModelError, Recipe, Trainable, Ui, file_identity, find_weights, node
from nodeflow_text.encoder import TextEncoder, TextEncoderConfig
from nodeflow_text.recipes import BUILDERS, WordEncoder

Load = Callable[[Recipe], Any]


@dataclass(frozen=True)
class NewEncoder(Trainable):
    """A text encoder with first weights."""

    config: TextEncoderConfig
    architecture: str = "text_encoder"

    def assemble(self, load: Load) -> TextEncoder:
        del load  # it has no children
        return TextEncoder(self.config)


@dataclass(frozen=True)
class ReopenedEncoder(Trainable):
    """A trained text encoder whose weights are the first ones of a new training, or stay as they are."""

    name: str
    digest: str
    frozen: bool
    config: TextEncoderConfig
    architecture: str = "text_encoder"

    def assemble(self, load: Load) -> nn.Module:
        del load  # a module from residency would be shared, and this one is going to change
        path = find_weights(self.name)
        if file_identity(path) != self.digest:
            raise ModelError(f"{path} has changed since the graph looked at it\n    run the graph again")
        return load_weights(path, BUILDERS).train().requires_grad_(not self.frozen)


def _content(model: str) -> str:
    return file_identity(find_weights(model))


@node(category="train/model", title="New text encoder")
def new_encoder(
    data: Dataset,
    length: Annotated[int, Field(ge=1, le=1024)] = 16,
    width: Annotated[int, Field(ge=8, le=4096)] = 128,
    heads: Annotated[int, Field(ge=1, le=64)] = 4,
    depth: Annotated[int, Field(ge=0, le=100)] = 2,
    pooled_width: Annotated[int, Field(ge=8, le=4096)] = 128,
) -> Trainable:
    """Describe a text encoder that is to be trained along with a denoiser; its vocabulary is the data set's.

    Args:
        data: whose words it shall know.
        length: words of a prompt that are read.
        width: channels of a word; a multiple of heads.
        heads: of the attention.
        depth: transformer blocks.
        pooled_width: channels of the vector that stands for the whole prompt.
    """
    if width % heads:
        raise ValueError(f"width {width} is no multiple of heads {heads}")
    return NewEncoder(TextEncoderConfig(data.words, length, width, heads, depth, pooled_width))


@node(category="train/model", title="Reopen text encoder", identity=_content)
def reopen_encoder(
    model: Annotated[str, Ui("model")] = "shapes:text", frozen: bool = True, *, ctx: Context = QUIET
) -> Trainable:
    """Take up a trained text encoder for a further training.

    Args:
        model: "plugin:name" for weights that a plugin ships, or a safetensors file in a model folder.
        frozen: leave its weights as they are; otherwise they are trained on.
    """
    path = find_weights(model)
    if ":" not in model:
        ctx.read(path)
    digest = WordEncoder.named(model).digest
    values = read_header(path).config
    config = TextEncoderConfig(**values | {"words": tuple(values["words"])})
    return ReopenedEncoder(model, digest, frozen, config)


TRAINING_NODES = (new_encoder, reopen_encoder)
