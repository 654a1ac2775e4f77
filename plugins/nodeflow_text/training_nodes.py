"""Text encoders to be trained, or taken up again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from nodeflow_nn.weights import load_weights, read_config, read_header
from nodeflow_shapes.shipped import TEXT
from pydantic import Field
from torch import nn

from nodeflow import QUIET, Context, Dataset, Recipe, Trainable, Ui, node, weights_identity
from nodeflow_text.encoder import TextEncoder, TextEncoderConfig
from nodeflow_text.pieces import learn_merges
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

    encoder: WordEncoder
    frozen: bool
    config: TextEncoderConfig
    architecture: str = "text_encoder"

    @property
    def text_space(self) -> str:
        """What denoisers that learn to read it as it is will share with it; "" if that is not told or will change."""
        return self.encoder.space if self.frozen else ""

    def assemble(self, load: Load) -> nn.Module:
        del load  # a module from residency would be shared, and this one is going to change
        return load_weights(self.encoder.path, BUILDERS).train().requires_grad_(not self.frozen)


@node(category="train/model", title="New text encoder")
def new_encoder(
    data: Dataset,
    length: Annotated[int, Field(ge=1, le=1024)] = 16,
    width: Annotated[int, Field(ge=8, le=4096)] = 128,
    heads: Annotated[int, Field(ge=1, le=64)] = 4,
    depth: Annotated[int, Field(ge=0, le=100)] = 2,
    pooled_width: Annotated[int, Field(ge=8, le=4096)] = 128,
    pieces: Annotated[int, Field(ge=257, le=65536)] | None = None,
    *,
    ctx: Context = QUIET,
) -> Trainable:
    """Describe a text encoder that is to be trained along with a denoiser; its vocabulary is the data set's.

    Args:
        data: whose words it shall know.
        length: words (or pieces) of a prompt that are read.
        width: channels of a word; a multiple of heads.
        heads: of the attention.
        depth: transformer blocks.
        pooled_width: channels of the vector that stands for the whole prompt.
        pieces: read pieces of words, this many different ones, learnt from the captions (byte-pair encoding), so that
            no text is unknown; if left out, read whole words.
    """
    if width % heads:
        raise ValueError(f"width {width} is no multiple of heads {heads}")
    if pieces is None:
        return NewEncoder(TextEncoderConfig(data.words, length, width, heads, depth, pooled_width))
    merges = learn_merges(_captions(ctx.load(data)), pieces)
    return NewEncoder(TextEncoderConfig((), length, width, heads, depth, pooled_width, merges))


def _captions(source: Any, most: int = 4096) -> list[str]:
    """The first captions of a loaded data set, in all their phrasings."""
    wanted = min(source.count, most)
    batch = source.batch(0, wanted)
    if "captions" not in batch:
        raise ValueError(
            "the data set has no captions to learn pieces from\n    leave pieces out, or give the captions"
        )
    return [said for ways in batch.get("phrasings") or [[one] for one in batch["captions"]] for said in ways]


@node(category="train/model", title="Reopen text encoder", identity=weights_identity)
def reopen_encoder(
    model: Annotated[str, Ui("model")] = TEXT, frozen: bool = True, *, ctx: Context = QUIET
) -> Trainable:
    """Take up a trained text encoder for a further training.

    Args:
        model: "plugin:name" for weights that a plugin ships, or a safetensors file in a model folder.
        frozen: leave its weights as they are; otherwise they are trained on.
    """
    encoder = WordEncoder.named(model, ctx)
    return ReopenedEncoder(encoder, frozen, read_config(TextEncoderConfig, read_header(encoder.path).config))


TRAINING_NODES = (new_encoder, reopen_encoder)
