"""What errors have in common: how they speak of things."""

import pytest

from nodeflow.errors import a_or_an


@pytest.mark.parametrize(
    "told", ["a node", "an output", "an int", "an Image", "an autoencoder", "a U-Net", "a uint8", "a str", "a "]
)
def test_the_article_suits_the_noun(told: str) -> None:
    assert told == a_or_an(told.partition(" ")[2])
