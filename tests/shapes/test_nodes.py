"""The nodes of nodeflow_shapes, called as plain functions."""

import pytest
import torch
from nodeflow_shapes.nodes import captions, dataset, examples, judge, render, scene

from nodeflow import Image, Table
from nodeflow.testing import assert_deterministic, check_plugin


def test_plugin_is_in_order() -> None:
    ids = {spec.id for spec in check_plugin("nodeflow_shapes")}
    assert {f"shapes.{name}" for name in ("scene", "captions", "render", "judge", "examples", "dataset")} == ids


@pytest.mark.parametrize("objects", ["one", "two", "any"])
def test_true_renders_are_right_in_every_question(objects: str) -> None:
    held = captions(24, objects=objects)
    judged = judge(render(held.scenes), held.scenes)
    names = ("background", "colour", "shape", "size", "position", "clean", "all")
    assert tuple((name, 100.0) for name in names) == judged.table.rows
    assert 100.0 == judged.passed


def test_pictures_of_other_captions_are_wrong() -> None:
    held = captions(24)
    shuffled = Image(render(held.scenes).pixels.roll(1, 0))
    assert judge(shuffled, held.scenes).passed < 5


def test_examples_say_what_is_wrong_and_can_begin_with_it() -> None:
    held = captions(6, objects="one")
    pixels = render(held.scenes).pixels.clone()
    pixels[4] = pixels[4, :, :1, :1]  # the thing is painted over with the ground
    shown = examples(Image(pixels), held.scenes, count=2, wrong_first=True)
    assert [held.captions[4], held.captions[0]] == shown.captions
    assert "right" == shown.verdicts[1]
    assert shown.verdicts[0].startswith("wrong: colour, shape, size")
    assert torch.equal(pixels[[4, 0]], shown.image.pixels)


def test_captions_of_a_part_of_a_series_are_that_part() -> None:
    whole, part = captions(8, start=0), captions(3, start=5)
    assert whole.captions[5:] == part.captions
    assert 3 == part.total


def test_a_scene_is_the_same_every_time() -> None:
    drawn = assert_deterministic(scene, index=3, size=32)
    assert (1, 3, 32, 32) == drawn.image.pixels.shape
    assert [drawn.caption] == captions(1, start=3, seed=0).captions
    assert torch.equal(drawn.image.pixels, render(drawn.scenes, 32).pixels)


def test_judging_needs_a_picture_for_each_scene_in_rgb() -> None:
    held = captions(3)
    with pytest.raises(ValueError, match="2 pictures but 3 scenes"):
        judge(Image(torch.zeros(2, 3, 64, 64)), held.scenes)
    with pytest.raises(ValueError, match="1 channels"):
        judge(Image(torch.zeros(3, 1, 64, 64)), held.scenes)


def test_too_large_a_batch_of_pictures_is_refused_before_it_is_drawn() -> None:
    with pytest.raises(ValueError, match="GiB"):
        render(captions(100, split="train").scenes.__class__(0, 0, 100_000, "test", "any"), 1024)


def test_a_data_set_comes_round_and_never_leaves_its_split() -> None:
    data = dataset(10, split="train").assemble(lambda recipe: recipe)
    assert 10 == data.count
    again, first = data.batch(1, 10), data.batch(0, 10)
    assert again["captions"] == first["captions"]
    assert torch.equal(again["pictures"], first["pictures"])
    assert all(ways[0] == full for ways, full in zip(first["phrasings"], first["captions"], strict=True))
    words = set(dataset().words)
    assert all(set(caption.split()) <= words for ways in first["phrasings"] for caption in ways)


def test_a_judgement_is_a_table() -> None:
    held = captions(2)
    assert isinstance(judge(render(held.scenes), held.scenes).table, Table)
