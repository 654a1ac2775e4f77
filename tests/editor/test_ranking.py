"""What somebody means who types a few letters."""

from nodeflow_editor.ranking import Candidate, ranked, score

NODES = [
    Candidate.of("image.blend", "Blend", "image.blend", "image/combine"),
    Candidate.of("diffusion.blend_latents", "Blend latents", "diffusion.blend_latents", "diffusion/latent"),
    Candidate.of("image.load", "Load picture", "image.load", "image/file"),
    Candidate.of("diffusion.load", "Load denoiser", "diffusion.load", "diffusion/model"),
    Candidate.of("diffusion.sample", "Sample", "diffusion.sample", "diffusion/sampling"),
    Candidate.of("image.resample", "Resample", "image.resample", "image/size"),
    Candidate.of("text.encode", "Encode text", "text.encode", "text"),
]


def keys(query: str, used: dict[str, int] | None = None) -> list[str]:
    return [item.key for item in ranked(query, NODES, used or {})]


def test_exact_comes_before_prefix_before_word_before_substring_before_fuzzy() -> None:
    names = ["sample", "sample more", "image sample", "resample", "sal am pole"]
    candidates = [Candidate.of(name, name) for name in reversed(names)]
    assert names == [item.key for item in ranked("sample", candidates, {})]


def test_the_shorter_title_wins_among_prefixes() -> None:
    assert ["image.blend", "diffusion.blend_latents"] == keys("blen")


def test_ones_own_use_decides_between_equals_and_not_between_kinds_of_hits() -> None:
    assert "image.load" == keys("load", {"image.load": 9})[0]
    assert "diffusion.load" == keys("load", {"diffusion.load": 9})[0]
    assert "diffusion.sample" == keys("sample", {"image.resample": 60})[0]


def test_the_id_and_the_menu_are_searched_as_well() -> None:
    assert {"image.load", "image.blend", "image.resample"} == set(keys("image"))
    assert ["text.encode"] == keys("text enc")


def test_letters_that_begin_words_are_enough() -> None:
    assert "diffusion.blend_latents" == keys("bl la")[0]
    assert ["text.encode"] == keys("etxt")


def test_what_does_not_fit_is_left_out() -> None:
    assert [] == keys("zzz")
    assert score("qx", NODES[0]) is None


def test_nothing_typed_offers_what_was_used_most() -> None:
    assert ["text.encode", "diffusion.sample"] == keys("", {"text.encode": 5, "diffusion.sample": 2})[:2]


def test_what_others_use_comes_first_where_nothing_else_decides() -> None:
    common = {NODES[3].key: 7, NODES[1].key: 2}
    found = [item.key for item in ranked("", NODES, {}, common=common)]
    assert [NODES[3].key, NODES[1].key] == found[:2]
    own = [item.key for item in ranked("", NODES, {NODES[0].key: 1}, common=common)]
    assert [NODES[0].key, NODES[3].key, NODES[1].key] == own[:3]
