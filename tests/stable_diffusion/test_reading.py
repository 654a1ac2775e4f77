"""The way of reading of a text encoder, changed after it was loaded."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint
from nodeflow_text.nodes import load_encoder
from nodeflow_text.published_nodes import load_clip
from nodeflow_text.reading_nodes import reading

from nodeflow import ModelError

Write = Callable[..., str]


def test_it_is_the_encoder_that_is_loaded_to_read_so(file: Write) -> None:
    name = file()
    assert load_clip(name, skip=1, emphasis="empty") == reading(load_clip(name), 1, "empty")
    whole: Any = load_checkpoint(name).encoder
    assert replace(whole, emphasis="empty") == reading(whole, emphasis="empty")


def test_both_encoders_of_xl_read_so(file: Write) -> None:
    whole: Any = load_checkpoint(file("sdxl")).encoder
    found: Any = reading(whole, 2, "empty")
    assert [(1, "mean"), (1, "mean")] == [(one.skip, one.emphasis) for one in (whole.first, whole.second)]
    assert [(2, "empty"), (2, "empty")] == [(one.skip, one.emphasis) for one in (found.first, found.second)]


def test_more_layers_than_there_are_cannot_be_skipped(file: Write) -> None:
    with pytest.raises(ModelError, match="has 2 layers; 3 cannot be skipped\n    skip fewer"):
        reading(load_clip(file()), 3)


def test_an_encoder_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="a way of reading changes text encoders of CLIP"):
        reading(load_encoder("shapes:text_unet"))
