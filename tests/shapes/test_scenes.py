"""Scenes are the same everywhere, their splits never meet, and their pictures hold what they say."""

import hashlib
import math
import re

import pytest
import torch
from nodeflow_shapes.regions import QUESTIONS, regions
from nodeflow_shapes.render import render
from nodeflow_shapes.scenes import (
    BACKGROUNDS,
    COLOURS,
    GAP,
    PALETTE,
    PHRASINGS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    WORDS,
    Scene,
    Split,
    Thing,
    caption,
    scene,
    split_of,
)

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
GOLDEN_DIGESTS: dict[tuple[int, Split], str] = {
    (0, "train"): "b6dd290dd28ff004",
    (1, "validation"): "0c5be1ac5fc778d9",
    (2, "test"): "fdf4aa27a704d757",
    (-5, "train"): "c2864f791c63dbec",
}


def test_a_scene_is_the_same_on_every_machine() -> None:
    thing = Thing(
        "cross", "orange", "medium", 0.25039191942662004, 0.26813512386754157, 0.16461803207378836, "top left"
    )
    assert Scene("mint", (thing,)) == scene(1, 1)


@pytest.mark.parametrize(("seed", "split"), GOLDEN_DIGESTS)
def test_a_series_keeps_its_digest(seed: int, split: Split) -> None:
    series = repr([scene(seed, index, split=split) for index in range(100)])
    assert GOLDEN_DIGESTS[seed, split] == hashlib.blake2b(series.encode(), digest_size=8).hexdigest()


def test_a_scene_does_not_depend_on_what_was_drawn_before() -> None:
    forwards = [scene(3, index) for index in range(50)]
    assert forwards == [scene(3, index) for index in reversed(range(50))][::-1]


def test_seeds_and_indices_give_other_scenes() -> None:
    drawn = {scene(seed, index) for seed in (-1, 0, 2**40) for index in range(100)}
    assert 300 == len(drawn)


@pytest.mark.parametrize("objects", [1, 2])
def test_the_asked_number_of_things_stands_in_the_scene(objects: int) -> None:
    assert {objects} == {len(scene(0, index, objects=objects).things) for index in range(100)}  # type: ignore[arg-type]


def test_half_of_the_scenes_have_two_things() -> None:
    pairs = sum(len(scene(0, index).things) == 2 for index in range(4000))
    assert pytest.approx(2000, abs=130) == pairs  # four standard deviations


def test_captions_of_two_splits_never_meet() -> None:
    captions = {split: {caption(scene(7, index, split=split)) for index in range(1500)} for split in SPLITS}
    assert set() == captions["train"] & captions["test"]
    assert set() == captions["train"] & captions["validation"]
    assert set() == captions["validation"] & captions["test"]


def test_each_scene_belongs_to_the_asked_split() -> None:
    for split in SPLITS:
        assert {split} == {split_of(scene(8, index, split=split)) for index in range(200)}


def test_splits_have_their_shares_of_all_combinations() -> None:
    combinations = [
        Scene(ground, (Thing(shape, colour, size, *PLACES[place], SIZES[size], place),))
        for ground in BACKGROUNDS
        for colour in COLOURS
        for shape in SHAPES
        for size in SIZES
        for place in PLACES
        if ground != colour
    ]
    splits = [split_of(combination) for combination in combinations]
    assert 61 * 6 * 3 * 9 == len(combinations)
    assert pytest.approx(0.10, abs=0.012) == splits.count("test") / len(splits)  # four standard deviations
    assert pytest.approx(0.05, abs=0.009) == splits.count("validation") / len(splits)


def test_a_full_caption_names_everything() -> None:
    single = Scene("white", (Thing("circle", "red", "large", 0.27, 0.27, 0.235, "top left"),))
    pair = Scene(
        "yellow",
        (Thing("star", "blue", "small", 0.5, 0.27, 0.12), Thing("ring", "orange", "medium", 0.5, 0.73, 0.17)),
        "above",
    )
    assert "a large red circle in the top left on a white background" == caption(single)
    assert "a small blue star above a medium orange ring on a yellow background" == caption(pair)
    assert "white background with a large red circle in the top left" == caption(single, variant=4)
    assert "a red circle" == caption(single, variant=11)
    assert "yellow background with a small blue star above an orange ring" == caption(pair, variant=6)


def test_phrasings_differ_and_repeat_after_the_last() -> None:
    for index in range(50):
        drawn = scene(2, index)
        phrasings = [caption(drawn, variant=variant) for variant in range(PHRASINGS)]
        assert PHRASINGS == len(set(phrasings))
        assert phrasings[0] == caption(drawn)
        assert phrasings[5] == caption(drawn, variant=5 + 3 * PHRASINGS)


def test_words_are_exactly_the_words_of_captions() -> None:
    captions = (caption(scene(4, index), variant=variant) for index in range(1500) for variant in range(PHRASINGS))
    assert set(WORDS) == {word for text in captions for word in re.findall(r"\S+", text)}
    assert sorted(WORDS) == list(WORDS)


def test_no_thing_hides_on_its_background_and_no_two_colours_are_alike() -> None:
    for index in range(1000):
        drawn = scene(6, index)
        assert drawn.background not in {thing.colour for thing in drawn.things}
    colours = torch.tensor(list(PALETTE.values()))
    assert float(torch.pdist(colours).min()) >= 0.4


def test_everything_is_drawn_within_the_frame() -> None:
    scenes = [scene(9, index) for index in range(300)]
    pictures = render(scenes)
    grounds = torch.tensor([PALETTE[drawn.background] for drawn in scenes])
    frame = torch.cat([pictures[:, :, 0], pictures[:, :, -1], pictures[:, :, :, 0], pictures[:, :, :, -1]], dim=2)
    assert torch.equal(grounds[:, :, None].expand_as(frame), frame)


def test_two_things_keep_their_gap_and_their_relation() -> None:
    for index in range(1000):
        drawn = scene(10, index, objects=2)
        axis, first_is_lower = RELATIONS[drawn.relation or ""]
        first, second = drawn.things if first_is_lower else reversed(drawn.things)
        apart = (second.x - first.x, second.y - first.y)
        assert apart[axis] - first.radius - second.radius >= GAP - 1e-9
        assert apart[axis] > abs(apart[1 - axis])
        assert (first.shape, first.colour) != (second.shape, second.colour)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_covers_the_same_share_at_every_size(shape: str) -> None:
    drawn = Scene("white", (Thing(shape, "black", "large", 0.5, 0.52, 0.235, "centre"),))
    fine, coarse = (1 - render([drawn], size=size).mean() for size in (512, 48))
    assert pytest.approx(float(fine), rel=0.02) == float(coarse)  # corners lose up to half a pixel's coverage


def test_pictures_do_not_depend_on_their_batch() -> None:
    scenes = [scene(11, index) for index in range(20)]
    together = render(scenes)
    assert (20, 3, 64, 64) == tuple(together.shape)
    assert torch.equal(torch.cat([render([drawn]) for drawn in scenes]), together)
    assert 0 <= float(together.min()) <= float(together.max()) <= 1
    assert (0, 3, 8, 8) == tuple(render([], size=8).shape)


def test_regions_tell_what_the_caption_says_and_where() -> None:
    drawn = [scene(3, index) for index in range(60)]
    maps = regions(drawn)
    assert (60, 20, 8, 8) == maps.shape
    torch.testing.assert_close(torch.ones(60, 8, 8), maps[:, :3].sum(1))
    for one, found in zip(drawn, maps, strict=True):
        start = 3
        covered = found[1:3].sum(0)
        for question, answers in list(QUESTIONS.items())[1:]:
            of_these = found[start : start + len(answers)]
            torch.testing.assert_close(covered, of_these.sum(0))
            named = {answers.index(getattr(thing, question)) for thing in one.things}
            assert named == set(of_these.flatten(1).sum(1).nonzero().flatten().tolist())
            start += len(answers)
        for order, thing in enumerate(one.things, start=1):
            down, across = divmod(int(found[order].argmax()), 8)
            assert math.hypot((across + 0.5) / 8 - thing.x, (down + 0.5) / 8 - thing.y) < thing.radius + 0.1
