"""The oracle passes true pictures, fails wrong captions, and answers each question by itself."""

from dataclasses import asdict, replace

import pytest
import torch
from nodeflow_shapes.oracle import Verdict, judge, look, summary
from nodeflow_shapes.render import render
from nodeflow_shapes.scenes import BACKGROUNDS, COLOURS, PALETTE, PLACES, RELATIONS, SHAPES, SIZES, Scene, Thing, scene
from torch import Tensor
from torch.nn import functional as F

QUESTIONS = ("background", "colour", "shape", "size", "position", "clean")
SCENES = [scene(21, index, split="test") for index in range(300)]
SINGLES = [scene(22, index, objects=1) for index in range(40)]
CIRCLE = Thing("circle", "red", "large", 0.5, 0.5, 0.235, "centre")
PAIRS = [scene(23, index, objects=2) for index in range(40)]


@pytest.fixture(autouse=True, scope="module")
def small(one_thread: None) -> None:
    """All tensors here are."""


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    reach = int(3 * sigma + 1)
    line = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
    line = (line / line.sum()).expand(3, 1, 1, -1)
    across = F.conv2d(F.pad(pictures, (reach, reach, 0, 0), mode="replicate"), line, groups=3)
    return F.conv2d(F.pad(across, (0, 0, reach, reach), mode="replicate"), line.mT, groups=3)


def noisy(pictures: Tensor, sigma: float) -> Tensor:
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    return (pictures + sigma * noise).clamp(0, 1)


def other(name: str, names: tuple[str, ...], *barred: str) -> str:
    """The next of the names that is not barred."""
    start = names.index(name)
    return next(n for n in (*names[start + 1 :], *names[:start]) if n not in barred)


def with_thing(drawn: Scene, **changes: object) -> Scene:
    first, *rest = drawn.things
    return replace(drawn, things=(replace(first, **changes), *rest))  # type: ignore[arg-type]


def wrong(verdicts: list[Verdict]) -> list[tuple[str, ...]]:
    return [tuple(name for name, right in asdict(verdict).items() if not right) for verdict in verdicts]


def test_true_pictures_pass() -> None:
    assert summary(judge(render(SCENES), SCENES))["all"] >= 99.5


def test_true_pictures_pass_with_noise() -> None:
    assert summary(judge(noisy(render(SCENES), 0.05), SCENES))["all"] >= 99.5


def test_true_pictures_pass_slightly_blurred_and_slightly_off_colour() -> None:
    drawn = SCENES[:80]
    pictures = 0.95 * blurred(render(drawn), 0.8) + 0.05 * torch.tensor([1.0, 0.6, 0.2]).reshape(3, 1, 1)
    assert summary(judge(pictures, drawn))["all"] >= 97


@pytest.mark.parametrize("size", [32, 128])
def test_true_pictures_pass_at_other_sizes(size: int) -> None:
    drawn = SCENES[:50]
    assert summary(judge(render(drawn, size=size), drawn))["all"] >= 98


def test_shuffled_captions_fail() -> None:
    drawn = SCENES[:200]
    assert summary(judge(render(drawn), [*drawn[1:], drawn[0]]))["all"] <= 1


def test_another_background_is_only_another_background() -> None:
    changed = [
        replace(s, background=other(s.background, BACKGROUNDS, *(t.colour for t in s.things))) for s in SINGLES + PAIRS
    ]
    assert [("background",)] * 80 == wrong(judge(render(changed), SINGLES + PAIRS))


def test_another_colour_is_only_another_colour() -> None:
    changed = [with_thing(s, colour=other(s.things[0].colour, COLOURS, s.background)) for s in SINGLES]
    assert [("colour",)] * 40 == wrong(judge(render(changed), SINGLES))


def test_another_shape_is_only_another_shape() -> None:
    for step in range(1, len(SHAPES)):
        turned = {shape: SHAPES[(k + step) % len(SHAPES)] for k, shape in enumerate(SHAPES)}
        changed = [with_thing(s, shape=turned[s.things[0].shape]) for s in SINGLES[:20]]
        assert [("shape",)] * 20 == wrong(judge(render(changed), SINGLES[:20]))


def test_another_size_is_only_another_size() -> None:
    changed = [with_thing(s, radius=SIZES[other(s.things[0].size, tuple(SIZES))]) for s in SINGLES]
    assert [("size",)] * 40 == wrong(judge(render(changed), SINGLES))


def test_another_place_is_only_another_place() -> None:
    for axis in (0, 1):
        changed = []
        for s in SINGLES:
            here = PLACES[s.things[0].place or ""][axis]
            there = 0.5 if here != 0.5 else 0.27
            changed.append(with_thing(s, y=there) if axis else with_thing(s, x=there))
        assert [("position",)] * 40 == wrong(judge(render(changed), SINGLES))


def test_another_relation_is_only_another_relation() -> None:
    for step in (1, 2, 3):
        names = tuple(RELATIONS)
        claimed = [replace(s, relation=names[(names.index(s.relation or "") + step) % 4]) for s in PAIRS[:15]]
        assert [("position",)] * 15 == wrong(judge(render(PAIRS[:15]), claimed))


def test_of_two_things_both_must_be_right() -> None:
    changed = [with_thing(s, colour=other(s.things[0].colour, COLOURS, s.background)) for s in PAIRS]
    verdicts = judge(render(changed), PAIRS)
    assert [False] * 40 == [verdict.colour for verdict in verdicts]
    assert [True] * 40 == [verdict.background and verdict.clean for verdict in verdicts]


def test_swapped_colours_do_not_pass() -> None:
    swapped = []
    for s in PAIRS:
        first, second = s.things
        things = (replace(first, colour=second.colour), replace(second, colour=first.colour))
        swapped.append(replace(s, things=things))
    differ = [s.things[0].colour != s.things[1].colour for s in PAIRS]
    verdicts = judge(render(swapped), PAIRS)
    assert [not d for d in differ] == [verdict.all for verdict in verdicts]


def test_an_extra_blob_is_only_unclean() -> None:
    pictures = render(SINGLES)
    for picture, s in zip(pictures, SINGLES, strict=True):
        row = 4 if s.things[0].y > 0.5 else 56
        picture[:, row : row + 4, 30:34] = torch.tensor(PALETTE["purple"]).reshape(3, 1, 1)
    assert [("clean",)] * 40 == wrong(judge(pictures, SINGLES))


def test_a_spot_within_a_thing_is_unclean() -> None:
    pictures = render([Scene("white", (CIRCLE,))])
    pictures[:, :, 30:34, 30:34] = torch.tensor(PALETTE["blue"]).reshape(3, 1, 1)
    assert [("clean",)] == wrong(judge(pictures, [Scene("white", (CIRCLE,))]))


def test_a_second_thing_that_nobody_asked_for_is_unclean() -> None:
    alone = [replace(s, things=(replace(s.things[0], place="top"),), relation=None) for s in PAIRS]
    assert [False] * 40 == [verdict.clean for verdict in judge(render(PAIRS), alone)]


def test_a_missing_thing_is_not_right() -> None:
    pictures = render([replace(s, things=s.things[:1]) for s in PAIRS])
    expected = [("colour", "shape", "size", "position")] * 40
    assert expected == wrong(judge(pictures, PAIRS))


def test_an_empty_picture_is_only_clean_and_of_its_background() -> None:
    pictures = render([replace(s, things=()) for s in SINGLES])
    assert [("colour", "shape", "size", "position")] * 40 == wrong(judge(pictures, SINGLES))


def test_strongly_blurred_things_have_no_shape() -> None:
    verdicts = judge(blurred(render(SCENES[:60]), 3), SCENES[:60])
    assert summary(verdicts)["shape"] <= 5
    assert summary(verdicts)["background"] >= 99


@pytest.mark.parametrize("shape", ["triangle", "star", "ring", "cross"])
def test_a_blob_is_no_shape_with_corners_or_holes(shape: str) -> None:
    generator = torch.Generator().manual_seed(5)
    axis = (torch.arange(64) + 0.5) / 64 - 0.5
    y, x = axis[:, None], axis[None, :]
    angle, radius = torch.atan2(y, x.expand(64, 64)), torch.full((50, 64, 64), 0.17)
    for waves in range(2, 6):  # a lumpy outline: each wave by some 10 % of the radius
        size, phase = torch.randn(2, 50, 1, 1, generator=generator)
        radius = radius + 0.017 * size * torch.cos(waves * angle + 3 * phase)
    inside = ((radius - torch.hypot(x, y)) * 64 + 0.5).clamp(0, 1)[:, None]
    pictures = torch.lerp(torch.ones(3, 1, 1), torch.tensor(PALETTE["red"]).reshape(3, 1, 1), inside)
    described = Scene("white", (replace(CIRCLE, shape=shape, colour="red", size="medium"),))
    assert summary(judge(pictures, [described] * 50))["shape"] <= 2


def test_a_pale_thing_is_not_of_its_strong_colour() -> None:
    described = Scene("white", (CIRCLE,))
    pale = torch.lerp(torch.ones(1), render([described]), 0.45)
    assert [("colour",)] == wrong(judge(pale, [described]))


def test_what_is_seen_is_where_and_as_large_as_drawn() -> None:
    seen = [sight.things[0] for sight in look(render(SINGLES), [1] * 40)]
    for found, s in zip(seen, SINGLES, strict=True):
        drawn = s.things[0]
        # 0.002 is an eighth of a pixel
        assert pytest.approx((drawn.x, drawn.y, drawn.radius), abs=0.002) == (found.x, found.y, found.radius)


def test_summary_gives_percentages() -> None:
    right = Verdict(True, True, True, True, True, True)
    expected = {"background": 100.0, "colour": 50.0, **dict.fromkeys(QUESTIONS[2:], 100.0), "all": 50.0}
    assert expected == summary([right, replace(right, colour=False)])
    assert dict.fromkeys((*QUESTIONS, "all"), 0.0) == summary([])


def test_each_picture_needs_its_scene() -> None:
    with pytest.raises(ValueError, match="2 pictures but 1 scenes"):
        judge(torch.zeros(2, 3, 64, 64), SCENES[:1])
