"""CLIP's vision towers by their nodes: pictures to vectors, and how well texts fit them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nodeflow_image.pictures import write_png
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.published import Sources, Transposed, name_of
from nodeflow_text import clip_names
from nodeflow_text.clip import ClipTextConfig, ClipTextTower, ClipVisionConfig, ClipVisionTower
from nodeflow_text.clip_pictures import DEVIATION, MEAN, prepared
from nodeflow_text.clip_resnet import ClipResNetConfig, ClipResNetTower
from nodeflow_text.clip_resnet_names import ResNet, config_of
from nodeflow_text.nodes import load_encoder
from nodeflow_text.published_nodes import join_encoders, load_clip
from nodeflow_text.vision_nodes import compare, encode_image, load_vision
from PIL import Image as Picture
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow import QUIET, Engine, Image, ImageEmbedding, ModelError, Table, build, find_checkpoint, open_catalog
from nodeflow.document import parse, with_values
from nodeflow.kinds import kind_of
from nodeflow.plan.walk import Planner
from nodeflow.testing import RecordingContext

GRAPHS = Path(__file__).parents[2] / "graphs" / "published"
TEXT = ClipTextConfig(vocabulary=40, width=64, depth=2, heads=2, hidden=96, projection=24, end=39)
VISION = ClipVisionConfig(side=32, patch=8, width=48, depth=2, heads=2, hidden=64, projection=24)
RESNET = ClipResNetConfig(side=64, width=16, layers=(1, 2, 1, 1), heads=8, projection=24)
LETTERS = "abcdefghijklmnopqr!"


@torch.no_grad()
def drawn(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, value in module.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        positive = name.endswith(("weight", "variance"))
        value.copy_(noise / value[0].numel() ** 0.5 if value.ndim > 1 else (0.1 * noise.abs() + positive))
    return module.eval().requires_grad_(False)


def published(module: nn.Module, sources: Sources) -> dict[str, Tensor]:
    return {
        name_of(piece): (part.T if isinstance(piece, Transposed) else part).clone().contiguous()
        for ours, value in drawn(module).state_dict().items()
        for piece, part in zip(sources[ours], value.chunk(len(sources[ours])), strict=True)
    }


def weights(layout: str) -> dict[str, Tensor]:
    """A whole CLIP: of transformers, or of OpenAI with a transformer or a ResNet that sees."""
    homes = clip_names.TEXT_HOMES, clip_names.VISION_HOMES
    text, vision = (group[0] if layout == "hf" else next(h for h in group if h.layout == "openai") for group in homes)
    found = published(ClipTextTower(TEXT), clip_names.Tower("text", text, True).sources(TEXT.depth))
    if layout == "resnet":
        found |= published(ClipResNetTower(RESNET), ResNet("visual.").sources(RESNET))
    else:
        found |= published(ClipVisionTower(VISION), clip_names.Tower("vision", vision, True).sources(VISION.depth))
    return found | {"logit_scale": torch.tensor(3.0)}


Write = Callable[..., str]


@pytest.fixture
def clip(here: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a whole CLIP with its vocabulary and gives its name."""
    monkeypatch.setattr(clip_names, "KNOWN_VISION", {VISION.width: (VISION.heads, VISION.activation)})
    monkeypatch.setattr(clip_names, "KNOWN", (clip_names.Known("ViT-tiny", TEXT.width, TEXT.activation),))

    def write(layout: str = "hf", called: str = "clip", **said: Any) -> str:
        folder = here / called if layout == "hf" else here
        folder.mkdir(exist_ok=True)
        pieces = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
        (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        if layout != "hf":
            save_file(weights(layout), here / f"{called}.safetensors")
            return called
        save_file(weights(layout), folder / "model.safetensors")
        text = {"hidden_act": TEXT.activation, "num_attention_heads": TEXT.heads, "eos_token_id": TEXT.end}
        vision = {"hidden_act": VISION.activation, "num_attention_heads": VISION.heads}
        (folder / "config.json").write_text(json.dumps({"text_config": text, "vision_config": vision}))
        if said:
            (folder / "preprocessor_config.json").write_text(json.dumps(said))
        return called

    return write


def picture(count: int = 1, high: int = 50, wide: int = 70) -> Image:
    return Image(torch.rand(count, 3, high, wide, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(("high", "wide"), [(50, 70), (224, 100), (41, 41), (20, 23), (32, 32)])
def test_pictures_are_prepared_as_by_pillow(high: int, wide: int) -> None:
    pixels, side = picture(1, high, wide).pixels, 32
    size = (side, int(side * high / wide)) if wide < high else (int(side * wide / high), side)
    left, top = (round((length - side) / 2) for length in size)
    channels = [
        # numbers, not bytes: Pillow rounds these after each direction
        np.asarray(Picture.fromarray(channel.numpy()).resize(size, Picture.Resampling.BICUBIC))
        for channel in pixels[0]
    ]
    expected = torch.from_numpy(np.stack(channels)).clamp(0, 1)[:, top : top + side, left : left + side]
    found = prepared(pixels, side)[0] * torch.tensor(DEVIATION)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    assert (3, side, side) == found.shape
    assert float((expected - found).abs().max()) < 1e-5


def test_of_a_line_the_middle_alone_is_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.rand(1, 3, 2, 1000, generator=torch.Generator().manual_seed(0))
    sizes, resize = [], F.interpolate
    monkeypatch.setattr(F, "interpolate", lambda x, size, **how: sizes.append(size) or resize(x, size, **how))
    found = prepared(pixels, 32)
    assert [(32, 32 * 64)] == sizes
    whole = resize(pixels, (32, 16000), mode="bicubic", antialias=True).clamp(0, 1)[..., 7984:8016]
    assert torch.equal((whole - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None], found)


@pytest.mark.parametrize("layout", ["hf", "openai", "resnet"])
def test_the_vectors_are_those_of_the_tower(layout: str, clip: Write) -> None:
    module: nn.Module = drawn(ClipResNetTower(RESNET) if layout == "resnet" else ClipVisionTower(VISION))
    encoder = load_vision(clip(layout))
    found = encode_image(encoder, picture(3)).vectors
    expected = module(prepared(picture(3).pixels, module.config.side)).projected
    assert (3, 24) == found.shape
    torch.testing.assert_close(found, expected)
    assert found.dtype == torch.float32
    torch.testing.assert_close(encode_image(load_vision("clip", precision="bf16"), picture(3)).vectors, found,
                               rtol=0.1, atol=0.05 * float(found.abs().max()))  # fmt: skip


def test_many_pictures_and_grey_ones(clip: Write) -> None:
    encoder = load_vision(clip())
    many = picture(40, 32, 32)
    found = encode_image(encoder, many).vectors
    torch.testing.assert_close(found[33:34], encode_image(encoder, Image(many.pixels[33:34])).vectors)
    grey = many.pixels[:1, :1]
    same = encode_image(encoder, Image(grey.expand(-1, 3, -1, -1))).vectors
    assert torch.equal(same, encode_image(encoder, Image(grey)).vectors)
    with pytest.raises(ValueError, match=r"alpha channel.*\n    flatten it"):
        encode_image(encoder, Image(torch.zeros(1, 4, 32, 32)))


@pytest.mark.parametrize("layout", ["hf", "openai"])
@pytest.mark.parametrize(
    ("where", "within", "before"),
    [
        ("preprocessor_config.json", None, "image_"),
        ("feature_extractor/preprocessor_config.json", None, "image_"),
        ("processor_config.json", "image_processor", "image_"),
        ("open_clip_config.json", "preprocess_cfg", ""),
    ],
)
def test_colours_are_normalised_as_is_said_in_or_beside(
    layout: str, where: str, within: str | None, before: str, clip: Write
) -> None:
    usual = encode_image(load_vision(clip(layout)), picture()).vectors
    said: dict[str, Any] = {f"{before}{name}": [0.5] * 3 for name in ("mean", "std")}
    file = Path("clip" if layout == "hf" else ".", where)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({within: said} if within else said))
    module = drawn(ClipVisionTower(VISION))
    expected = module(prepared(picture().pixels, 32, (0.5,) * 3, (0.5,) * 3)).projected
    found = encode_image(load_vision("clip"), picture()).vectors
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, usual)


NORMALISED = "says of how colours are normalised"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('{"image_mean": [1, 2]}', rf'{NORMALISED} {{"mean": \[1, 2\], "std": null}}, but expected three numbers each'),
        ('{"image_mean": [0, 0, 0], "image_std": [1, 0, 1]}', rf'{NORMALISED} .* "std": \[1, 0, 1\]}}'),
        ('{"image_mean": [0, NaN, 0], "image_std": [1, 1, 1]}', NORMALISED),
        ('{"image_mean": "a", "image_std": 1}', NORMALISED),
        ('{"preprocess_cfg": 5}', f"{NORMALISED} 5, but expected"),
        ("[", "is no JSON: it ends too early, at line 1, column 2"),
        ('{"image_mean"\n; 3}', 'is no JSON from line 2, column 1 on, where "; 3}" stands'),
        ("[]", r"holds \[\], but expected a JSON object"),
    ],
)
def test_a_folder_that_garbles_them(said: str, told: str, clip: Write) -> None:
    Path(clip(), "preprocessor_config.json").write_text(said)
    with pytest.raises(ModelError, match=rf"preprocessor_config.json {told}.*\n    fetch it again"):
        load_vision("clip")


@pytest.mark.parametrize("layout", ["hf", "openai", "resnet"])
def test_texts_are_weighed_by_the_models_own_scale(layout: str, clip: Write) -> None:
    words = load_clip(clip(layout))
    seen = encode_image(load_vision("clip"), picture(2))
    texts = ["a cab", "a dog", "f"]
    table = compare(words, seen, texts, "a {}!")
    module = QUIET.load(words)
    vectors = module.vectors([f"a {text}!" for text in texts])
    cosines = torch.cosine_similarity(seen.vectors[:, None], vectors[None], dim=-1)
    shares = (cosines * torch.tensor(3.0).exp()).softmax(-1)
    assert ("picture", "text", "similarity", "share") == table.columns
    assert [0, 0, 0, 1, 1, 1] == [row[0] for row in table.rows]
    for number, text, cosine, share in table.rows:
        at = number, texts.index(text)  # type: ignore[arg-type]
        assert cosine == pytest.approx(float(cosines[at]), abs=1e-6)
        assert share == pytest.approx(float(shares[at]), abs=1e-6)
    for number in (0, 1):
        cosines_of = [row[2] for row in table.rows if row[0] == number]
        assert 3 == len(set(cosines_of))
        assert sorted(cosines_of, reverse=True) == cosines_of  # type: ignore[type-var]
        assert sum(row[3] for row in table.rows if row[0] == number) == pytest.approx(1)  # type: ignore[misc]


def test_the_texts_of_a_resnet_know_their_activation(clip: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's RN50x64 has texts as wide as those of ViT-H, which have the other activation."""
    clip("resnet", "eyes")
    clip("openai", "patches")
    monkeypatch.setattr(clip_names, "KNOWN", (clip_names.Known("ViT-H", TEXT.width, "gelu"),))
    assert "quick_gelu" == QUIET.load(load_clip("eyes")).encoder.module.config.activation
    assert "gelu" == QUIET.load(load_clip("patches")).encoder.module.config.activation


def test_many_texts_go_in_parts(clip: Write) -> None:
    words, seen = load_clip(clip()), ImageEmbedding(torch.randn(1, 24))
    texts = [a + b for a in LETTERS[:9] for b in LETTERS[:9]]
    rows = {row[1]: row[2] for row in compare(words, seen, texts).rows}
    alone = compare(words, seen, [texts[70]]).rows[0][2]
    assert rows[texts[70]] == pytest.approx(alone, abs=1e-6)
    assert len(rows) == 81


def drawn_anew(folder: Path, seed: int) -> None:
    """Other weights of the same shapes."""
    numbers = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(value.shape, generator=numbers) for name, value in weights("hf").items()}
    save_file(made, folder / "model.safetensors")


def test_towers_of_two_models_are_not_compared(clip: Write, here: Path) -> None:
    clip("hf", "one")
    clip("hf", "other")
    drawn_anew(here / "other", 5)
    one, other = (encode_image(load_vision(name), picture()) for name in ("one", "other"))
    assert one.space != other.space
    ctx = RecordingContext()
    compare(load_clip("one"), one, ["a", "b"], ctx=ctx)
    compare(load_clip("other"), other, ["a", "b"], ctx=ctx)
    assert [] == ctx.said
    with pytest.raises(
        ValueError, match=r"encoded by another CLIP than the texts.*\n    load both towers from one file"
    ):
        compare(load_clip("one"), other, ["a", "b"])


@pytest.mark.parametrize("lost", ["vision_model", "text_model"])
def test_a_tower_by_itself_may_be_of_the_same_model(lost: str, clip: Write, here: Path) -> None:
    clip("hf", "whole")
    clip("hf", "half")
    kept = {name: value for name, value in weights("hf").items() if not name.startswith(lost)}
    save_file(kept, here / "half" / "model.safetensors")
    names = ("half", "whole") if lost == "vision_model" else ("whole", "half")
    ctx = RecordingContext()
    compare(load_clip(names[0]), encode_image(load_vision(names[1]), picture()), ["a", "b"], ctx=ctx)
    (said,) = ctx.said
    assert said.startswith("nobody can tell whether the texts and the pictures were encoded by one CLIP")


def test_what_cannot_be_compared(clip: Write) -> None:
    words = load_clip(clip())
    seen = ImageEmbedding(torch.ones(1, 24))
    with pytest.raises(ValueError, match=r'the template "a photo" has no place for a text\n    write {}'):
        compare(words, seen, ["a"], "a photo")
    with pytest.raises(
        ValueError, match=r"vectors of 20 numbers, but the texts of 24\n    load both towers of one CLIP"
    ):
        compare(words, ImageEmbedding(torch.ones(1, 20)), ["a"])
    with pytest.raises(ValueError, match=r"knows nothing of pictures\n    load the text tower of a CLIP"):
        compare(load_encoder(), seen, ["a"])
    told = r"does not reach the space of pictures.*\n    load the text tower of a whole CLIP"
    with pytest.raises(ValueError, match=told):
        compare(join_encoders(words, words), seen, ["a"])
    whole = load_file("clip/model.safetensors")
    save_file(
        {name: value for name, value in whole.items() if name != "text_projection.weight"}, "clip/model.safetensors"
    )
    with pytest.raises(ValueError, match=told):
        compare(load_clip("clip"), seen, ["a"])


def test_a_checkpoint_without_a_vision_tower(clip: Write) -> None:
    whole = weights("resnet")
    clip("resnet")
    save_file({name: value for name, value in whole.items() if not name.startswith("visual.")}, "words.safetensors")
    with pytest.raises(ModelError, match="holds no vision tower of CLIP"):
        load_vision("words")
    save_file(whole | {"visual.layer1.0.odd": torch.ones(1)}, "odd.safetensors")
    with pytest.raises(ModelError, match=r"left over visual.layer1.0.odd"):
        load_vision("odd")
    lost = "visual.layer2.1.bn2.running_mean"
    save_file({name: value for name, value in whole.items() if name != lost}, "lost.safetensors")
    with pytest.raises(ModelError, match=f"missing {lost}"):
        load_vision("lost")
    save_file(whole | {"visual.conv3.weight": torch.ones(16)}, "flat.safetensors")
    with pytest.raises(ModelError, match=r"visual.conv3.weight is \[16\], but expected a tensor of 4"):
        load_vision("flat")


@pytest.mark.parametrize("layout", ["hf", "openai", "resnet"])
def test_towers_are_told_by_their_headers(layout: str, clip: Write) -> None:
    assert "clip" == kind_of(find_checkpoint(clip(layout)))
    eyes = {name: value for name, value in weights(layout).items() if name.startswith("vis")}
    save_file(eyes, "eyes.safetensors")
    assert "vision encoder" == kind_of(find_checkpoint("eyes"))
    with pytest.raises(
        ModelError, match=r'"vision encoder", but expected clip or checkpoint\n    open it by text.load_vi'
    ):
        load_clip("eyes", "clip" if layout == "hf" else "")


def test_openais_resnet_50_has_its_published_size() -> None:
    with WithoutMemory():
        module = ClipResNetTower(ClipResNetConfig())
    sizes = {name: value.numel() for name, value in module.named_parameters()}
    statistics = sum(count for name, count in sizes.items() if name.endswith((".mean", ".variance")))
    assert 38_316_896 == sum(sizes.values()) - statistics
    shapes = {
        name_of(piece): (part.shape[0] // len(pieces), *part.shape[1:])
        for ours, pieces in ResNet("visual.").sources(module.config).items()
        for part in [module.state_dict(keep_vars=True)[ours]]
        for piece in pieces
    }
    assert module.config == config_of(ResNet("visual."), shapes)


def test_the_graph_that_classifies_runs_and_is_planned(clip: Write) -> None:
    clip()
    write_png(Path("picture.png"), picture().pixels[0], "")
    document = parse((GRAPHS / "clip_classify.json").read_text("utf-8"), "clip_classify.json")
    asked = {"model": "clip", "vision": "clip", "texts": ["cab", "dog"], "template": "a {}"}
    graph = build(with_values(document, asked), open_catalog(), folder=GRAPHS)
    *events, last = Engine().run(graph)
    assert [] == [event for event in events if type(event).__name__ == "Failed"]
    table: Table = last.outputs["table"]  # type: ignore[attr-defined]
    assert {"cab", "dog"} == {row[1] for row in table.rows}
    plan = Planner(graph, "cpu").run()
    assert [] == plan.problems
    seen = next(node for node in plan.nodes if node.id == "seen").outputs["out"].tensors["vectors"]
    assert (1, 24) == seen[1]
