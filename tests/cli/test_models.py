"""`nodeflow models`: what is in the model folders, told from headers; damaged ones are lines with the reason."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nodeflow import find_weights, open_catalog
from nodeflow.checkpoints import Checkpoint
from nodeflow.headers import Entry
from nodeflow.kinds import KINDS as ROWS
from nodeflow.kinds import OPENERS, kind_of

Call = Callable[..., Any]
LDM = "model.diffusion_model."
TEXT1 = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
KINDS = {
    "sd15 checkpoint": {LDM + "input_blocks.0.0.weight": (320, 4, 3, 3), TEXT1: (49408, 768)},
    "sd15 checkpoint (inpaint)": {LDM + "input_blocks.0.0.weight": (320, 9, 3, 3), TEXT1: (49408, 768)},
    "sd2 checkpoint": {
        LDM + "input_blocks.0.0.weight": (320, 4, 3, 3), "cond_stage_model.model.ln_final.weight": (1024,),
    },
    "sdxl checkpoint": {
        LDM + "input_blocks.0.0.weight": (320, 4, 3, 3),
        "conditioner.embedders.1.model.ln_final.weight": (1280,),
        "first_stage_model.encoder.conv_in.weight": (128, 3, 3, 3),
        "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
    },
    "sdxl refiner checkpoint": {
        LDM + "input_blocks.0.0.weight": (384, 4, 3, 3), "conditioner.embedders.0.model.ln_final.weight": (1280,),
    },
    "sdxl u-net": {LDM + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048)},
    "sd2 u-net": {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024)},
    "vae": {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)},
    "vqgan": {
        "encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3),
        "quantize.embedding.weight": (1024, 4),
    },
    "controlnet": {"control_model.input_hint_block.0.weight": (16, 3, 3, 3)},
    "sd15 lora": {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768)},
    "sdxl lora": {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 1280)},
    "sd2 lora": {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (4, 1024)},
    "lora": {"lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w1_a": (4, 1280)},
    "sdxl embedding": {"clip_g": (2, 1280), "clip_l": (2, 768)},
    "clip-l text encoder": {"text_model.embeddings.token_embedding.weight": (49408, 768)},
    "t5 text encoder": {"shared.weight": (32128, 64), "encoder.block.0.layer.0.SelfAttention.q.weight": (64, 64)},
    "unknown (something.else, ...)": {"something.else": (1,)},
    "unknown (no tensors)": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_told_by_names_and_shapes(kind: str) -> None:
    tensors = {name: Entry("F16", shape, 2 * torch.Size(shape).numel(), Path()) for name, shape in KINDS[kind].items()}
    assert kind == kind_of(Checkpoint(Path(), tensors, {}, {}, ()))


def test_what_opens_a_kind_is_a_node() -> None:
    known = {spec.id for spec in open_catalog()}
    for words, opener in OPENERS:
        assert any(words in row.kind for row in ROWS) or words.startswith(("pipeline", "nodeflow"))
        assert set(re.findall(r"\w+\.\w+", opener)) <= known


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NODEFLOW_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for shelf in ("vae", "pipe/unet", "pipe/vae"):
        (tmp_path / "models" / shelf).mkdir(parents=True)
    return tmp_path / "models"


def test_what_is_there_and_what_is_wrong_with_it(nodeflow: Call, models: Path) -> None:
    vae = {name: torch.zeros(1, 1, 1, 1, dtype=torch.float16) for name in KINDS["vae"]}
    save_file(vae, models / "vae" / "good.safetensors")
    (models / "vae" / "short.safetensors").write_bytes((models / "vae" / "good.safetensors").read_bytes()[:-1])
    torch.save({}, models / "vae" / "old.ckpt")
    (models / "pipe" / "model_index.json").write_text("{}")
    for part, name in (("unet", "down_blocks.0.attn2.to_k.weight"), ("vae", "w")):
        (models / "pipe" / part / "config.json").write_text("{}")
        save_file({name: torch.zeros(2, 2048)}, models / "pipe" / part / "diffusion_pytorch_model.safetensors")
    said = nodeflow("models")
    assert 0 == said.code
    lines = [line.split(maxsplit=4) for line in said.out.splitlines()]
    assert ["pipe", "32.8", "kB", "fp32", "sdxl pipeline"] in lines
    assert ["vae/good.safetensors", "4", "B", "fp16", "vae"] in lines
    assert any(line[0] == "shapes:unet" and line[-1] == "nodeflow unet" for line in lines)
    assert "vae/short.safetensors: " in said.err
    assert "its tensors take 4 bytes, but 3 are there" in said.err
    assert "vae/old.ckpt: " in said.err
    assert "is a pickled checkpoint" in said.err
    save_file({"w": torch.zeros(2)}, models / "vae" / "old.safetensors")
    assert "vae/old.ckpt" not in nodeflow("models").err  # it was converted
    (found,) = nodeflow("models", "--json", "good").json
    assert ("vae/good.safetensors", "vae", 4, "fp16", "") == tuple(
        found[name] for name in ("name", "kind", "bytes", "dtype", "error")
    )


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ('{"architectures": 5}', "unknown (w, ...)"),
        ('{"architectures": {"0": "a"}}', "unknown (w, ...)"),
        ('{"architectures": ["Net"]}', "unknown (Net)"),
        ('{"architectures": [["Net"]]}', 'unknown (["Net"])'),
        ('{"_class_name": {"a": 1}}', 'unknown ({"a": 1})'),
    ],
)
def test_a_garbled_config_is_no_end_of_the_list(nodeflow: Call, models: Path, config: str, kind: str) -> None:
    (models / "own").mkdir()
    (models / "own" / "config.json").write_text(config)
    save_file({"w": torch.zeros(2)}, models / "own" / "model.safetensors")
    said = nodeflow("models", "--json", "own")
    assert [("own", kind)] == [(line["name"], line["kind"]) for line in said.json if line["name"] == "own"]


def test_an_empty_list_says_where_models_belong(nodeflow: Call, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = nodeflow("models", "Nothing is called so")
    assert (0, "") == (said.code, said.out)
    assert 'no model has "Nothing is called so" in its name or kind' in said.err
    assert str(models) not in said.err
    monkeypatch.setattr("nodeflow.cli.models.entry_points", lambda group: ())
    said = nodeflow("models")
    assert (0, "") == (said.code, said.out)
    assert f"no models; put them into one of\n    {models}" in said.err


def test_links_that_lead_out_are_told(
    nodeflow: Call, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save_file({"w": torch.zeros(1)}, tmp_path / "secret.safetensors")
    (models / "vae" / "link.safetensors").symlink_to(tmp_path / "secret.safetensors")
    assert "vae/link.safetensors: a link that leads out of the model folders" in nodeflow("models").err


def test_the_working_directory_is_listed_by_the_names_that_graphs_use(
    nodeflow: Call, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({name: torch.zeros(1, 1, 1, 1) for name in KINDS["vae"]}, models / "vae" / "far.safetensors")
    (tmp_path / "mine").mkdir()
    save_file({name: torch.zeros(1, 1, 1, 1) for name in KINDS["vae"]}, tmp_path / "mine" / "near.safetensors")
    (tmp_path / "mine" / "notes.bin").write_bytes(b"no model")
    monkeypatch.chdir(tmp_path)  # which holds the model folder as well
    names = [line["name"] for line in nodeflow("models", "--json", "vae").json if ":" not in line["name"]]
    assert ["mine/near.safetensors", "vae/far.safetensors"] == names
    assert tmp_path / "mine" / "near.safetensors" == find_weights("mine/near.safetensors")
    assert "notes" not in nodeflow("models").err
    monkeypatch.setattr("nodeflow.places.MOST", 6)
    said = nodeflow("models")
    assert "vae/far.safetensors" in said.out
    assert "more than 6 files, not all of which were looked at\n    start nodeflow in a smaller folder" in said.err


def test_odd_names_stay_in_their_line(nodeflow: Call, models: Path) -> None:
    save_file({name: torch.zeros(1, 1, 1, 1) for name in KINDS["vae"]}, models / "vae" / "a\n\x1b[1mb\tc.safetensors")
    os.link(models / "vae" / "a\n\x1b[1mb\tc.safetensors", os.fsencode(models / "vae") + b"/\xff.safetensors")
    (models / "vae" / "cut\noff.safetensors").write_bytes(b"1")
    said = nodeflow("models")
    lines = [line.split("  ")[0] for line in said.out.splitlines() if line.startswith("vae/")]
    assert [r"vae/a\n\x1b[1mb\tc.safetensors", r"vae/\udcff.safetensors"] == lines
    assert rf"vae/cut\noff.safetensors: {models}/vae/cut\noff.safetensors is cut off" in said.err
    names = [line["name"] for line in nodeflow("models", "--json", "vae").json]
    assert ["vae/a\n\x1b[1mb\tc.safetensors", "vae/cut\noff.safetensors", "vae/\udcff.safetensors"] == names


def test_pipes_are_lines(nodeflow: Call, models: Path) -> None:
    save_file({"w": torch.zeros(1)}, models / "vae" / "good.safetensors")
    os.mkfifo(models / "vae" / "pipe.safetensors")
    said = nodeflow("models")
    assert 0 == said.code
    assert "vae/good.safetensors" in said.out
    assert "vae/pipe.safetensors: is a pipe, not a file" in said.err


def test_links_to_themselves_are_lines(nodeflow: Call, models: Path) -> None:
    save_file({"w": torch.zeros(1)}, models / "vae" / "good.safetensors")
    (models / "vae" / "loop.safetensors").symlink_to("loop.safetensors")
    said = nodeflow("models")
    assert 0 == said.code
    assert "vae/good.safetensors" in said.out
    assert "vae/loop.safetensors: " in said.err
    assert "loop.safetensors is a link that leads to itself\n    remove the link" in said.err


def test_a_folder_that_may_not_be_read_is_a_line(
    nodeflow: Call, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"w": torch.zeros(1)}, models / "vae" / "good.safetensors")
    locked = tmp_path / "locked"
    (locked / "sub").mkdir(parents=True)
    monkeypatch.setenv("NODEFLOW_MODELS", os.pathsep.join([str(locked), str(models)]))

    def lock(name: str, *, itself: bool) -> None:
        asked = getattr(os, name)

        def refusing(path: Any = ".", *rest: Any, **more: Any) -> Any:
            if not isinstance(path, int) and (locked in Path(path).parents or (itself and locked == Path(path))):
                raise PermissionError(13, "Permission denied", str(path))
            return asked(path, *rest, **more)

        monkeypatch.setattr(os, name, refusing)

    unlocked, scanned = os.listdir, os.scandir
    lock("stat", itself=False)
    lock("listdir", itself=True)
    lock("scandir", itself=True)
    assert models / "vae" / "good.safetensors" == find_weights("good")
    said = nodeflow("models")
    assert 0 == said.code
    assert "vae/good.safetensors" in said.out
    assert f"{locked}: [Errno 13] Permission denied" in said.err
    monkeypatch.setattr(os, "listdir", unlocked)  # its names may be read, and no more
    monkeypatch.setattr(os, "scandir", scanned)
    assert "vae/good.safetensors" in nodeflow("models").out


def test_hundreds_of_files_are_read_in_seconds_and_without_torch(models: Path) -> None:
    rows = {
        f"{LDM}{at}.weight": {"dtype": "F16", "shape": [2], "data_offsets": [4 * at, 4 * at + 4]} for at in range(1200)
    }
    text = json.dumps(rows).encode()
    for at in range(200):
        (models / "vae" / f"{at}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4800))
    script = """if True:
        import sys
        from nodeflow.cli import call
        call(["models"])
        assert "torch" not in sys.modules, "torch was imported"
        """
    began = os.times()
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    ended = os.times()
    assert ended.children_user - began.children_user < 6  # 1.4 s measured; 5 ms a file
