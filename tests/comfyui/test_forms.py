"""The files that ComfyUI writes: all forms of one workflow become the same graph."""

import io
import json
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from nodeflow_comfyui import pictures
from nodeflow_comfyui.translation import translate
from nodeflow_comfyui.workflow import UnreadableError
from PIL import Image, PngImagePlugin

WORKFLOWS = Path(__file__).parent / "workflows"
API = sorted(path.stem for path in WORKFLOWS.glob("*.json") if path.stem not in ("switches", "subgraph"))
WIDGETS = {
    "CheckpointLoaderSimple": "ckpt_name",
    "LoraLoader": "lora_name strength_model strength_clip",
    "CLIPSetLastLayer": "stop_at_clip_layer",
    "ControlNetLoader": "control_net_name",
    "ControlNetApplyAdvanced": "strength start_percent end_percent",
    "CLIPTextEncode": "text",
    "CLIPTextEncodeSDXL": "width height crop_w crop_h target_width target_height text_g text_l",
    "CLIPTextEncodeSDXLRefiner": "ascore width height text",
    "EmptyLatentImage": "width height batch_size",
    "KSampler": "seed * steps cfg sampler_name scheduler denoise",
    "KSamplerAdvanced": "add_noise noise_seed * steps cfg sampler_name scheduler start_at_step end_at_step "
    "return_with_leftover_noise",
    "InpaintModelConditioning": "noise_mask",
    "VAEEncodeForInpaint": "grow_mask_by",
    "VAEDecodeTiled": "tile_size overlap",
    "LoadImage": "image !",
    "LoadImageMask": "image channel !",
    "SaveImage": "filename_prefix",
    "ImageScale": "upscale_method width height crop",
    "ImageScaleBy": "upscale_method scale_by",
    "LatentUpscaleBy": "upscale_method scale_by",
    "ImagePadForOutpaint": "left top right bottom feathering",
    "RandomNoise": "noise_seed *",
    "CFGGuider": "cfg",
    "KSamplerSelect": "sampler_name",
    "BasicScheduler": "scheduler steps denoise",
}
"""As ComfyUI 0.3.64 shows them, from above: * is what becomes of a seed after a run, ! the button for uploads."""
CONTROL, BUTTON = "randomize", "image"


def api(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))
    return found


def edited(steps: dict[str, Any], version: float, *, old: bool = False) -> dict[str, Any]:
    """The file that ComfyUI's editor has of the same workflow; `old` ones do not list widgets among the inputs."""
    links: list[dict[str, Any]] = []
    nodes = []
    for name, step in steps.items():
        order = WIDGETS.get(step["class_type"], "").split()
        inputs = []
        for key, value in step["inputs"].items():
            if isinstance(value, list):
                links.append({"id": len(links) + 1, "origin_id": int(value[0]), "origin_slot": value[1], "type": "*",
                              "target_id": int(name), "target_slot": len(inputs)})  # fmt: skip
                inputs.append({"name": key, "type": "*", "link": len(links)})
            elif not old:
                inputs.append({"name": key, "type": "*", "widget": {"name": key}, "link": None})
        values = {"*": CONTROL, "!": BUTTON} | step["inputs"]
        shown = {"pos": [300 * len(nodes), 0], "size": [200, 100], "mode": 0}
        kept = {"inputs": inputs, "outputs": [], "widgets_values": [values[key] for key in order]}
        nodes.append({"id": int(name), "type": step["class_type"], **shown, **kept})
    if version == 0.4:
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        return {"nodes": nodes, "links": [[link[key] for key in keys] for link in links], "version": version}
    return {"nodes": nodes, "links": links, "reroutes": [], "version": version}


def graph(data: Any) -> dict[str, Any]:
    found = translate(data if isinstance(data, bytes) else json.dumps(data).encode())
    assert found is not None
    return found.graph


def engine_reads(made: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made.items() if key != "view"}


@pytest.mark.parametrize("name", API)
@pytest.mark.parametrize(("version", "old"), [(0.4, True), (0.4, False), (1, False)])
def test_the_editors_files_become_the_graph_of_what_is_run(name: str, version: float, old: bool) -> None:
    assert engine_reads(graph(api(name))) == engine_reads(graph(edited(api(name), version, old=old)))


def test_a_prompt_within_what_is_sent_to_the_server_is_found() -> None:
    steps = api("text_to_image")
    assert graph(steps) == graph({"prompt": steps, "client_id": "x"})


def test_places_are_kept_and_nodes_without_any_stand_in_columns() -> None:
    placed = graph(edited(api("text_to_image"), 0.4))["view"]["nodes"]
    assert ([0, 0], [300, 0], [1200, 0]) == (placed["checkpoint_4"], placed["positive_6"], placed["sample_3"])
    columns = graph(api("text_to_image"))["view"]["nodes"]
    assert columns["checkpoint_4"][0] < columns["positive_6"][0] < columns["sample_3"][0] < columns["decode_8"][0]
    assert len(columns) == len({tuple(place) for place in columns.values()})


def png(**texts: str) -> bytes:
    about, file = PngImagePlugin.PngInfo(), io.BytesIO()
    for name, text in texts.items():
        about.add_text(name, text)
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=about)
    return file.getvalue()


def test_a_picture_gives_the_editors_file_with_the_values_of_what_was_run() -> None:
    steps, saved = api("text_to_image"), edited(api("text_to_image"), 0.4)
    steps["3"]["inputs"]["seed"] = 99
    found = translate(png(prompt=json.dumps(steps), workflow=json.dumps(saved)))
    assert found is not None
    assert "a picture's workflow 0.4, with the values of what was run" == found.source
    assert (99, [0, 0]) == (
        found.graph["nodes"]["sample_3"]["inputs"]["seed"],
        found.graph["view"]["nodes"]["checkpoint_4"],
    )


def test_one_of_the_two_will_do() -> None:
    steps = api("text_to_image")
    assert graph(steps) == graph(png(prompt=json.dumps(steps)))
    assert graph(edited(steps, 1)) == graph(png(workflow=json.dumps(edited(steps, 1))))


@pytest.mark.parametrize(
    "damaged", ["{", '{"nodes": [{"id": 1}], "links": []}', '{"nodes": [], "links": [], "version": 9}']
)
def test_of_a_picture_whose_workflow_is_damaged_what_was_run_is_taken_and_that_is_said(damaged: str) -> None:
    prompt = json.dumps(api("text_to_image"))
    found = translate(png(workflow=damaged, prompt=prompt))
    assert found is not None
    assert graph(png(prompt=prompt)) == found.graph
    assert found.source.startswith("a picture's API file, as ")
    assert "workflow" in found.source
    with pytest.raises(UnreadableError, match="workflow"):
        translate(png(workflow=damaged, prompt="{"))


@pytest.mark.parametrize("form", ["WEBP", "JPEG"])
def test_the_exif_of_other_pictures_is_read(form: str) -> None:
    steps, file = api("text_to_image"), io.BytesIO()
    image = Image.new("RGB", (8, 8))
    exif = image.getexif()
    exif[0x0110] = f"prompt:{json.dumps(steps)}"
    image.save(file, form, exif=exif)
    assert graph(steps) == graph(file.getvalue())


def test_a_deflated_text_and_one_with_foreign_letters_are_read() -> None:
    steps = api("text_to_image")
    steps["6"]["inputs"]["text"] = "ein Kätzchen 猫"
    text = json.dumps(steps, ensure_ascii=False).encode()
    plain = png()
    head, tail = plain[:33], plain[33:]

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for body in (chunk(b"tEXt", b"prompt\0" + text), chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(text))):
        assert "ein Kätzchen 猫" == graph(head + body + tail)["nodes"]["positive_6"]["inputs"]["prompt"]


def packed(*texts: tuple[str, bytes]) -> bytes:
    """A PNG with texts that are deflated."""
    plain = png()
    bodies = [name.encode() + b"\0\0" + zlib.compress(text, 9) for name, text in texts]
    chunks = [struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
              for body in bodies]  # fmt: skip
    return plain[:33] + b"".join(chunks) + plain[33:]


def test_few_texts_of_a_picture_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten megabytes of zeros take ten thousand bytes, so a picture could hold thousands of them under many names."""
    unpacked: list[int] = []
    inflated = pictures._inflated
    monkeypatch.setattr(pictures, "_inflated", lambda data: unpacked.append(len(data)) or inflated(data))
    steps = json.dumps(api("text_to_image")).encode()
    zeros = [(f"name{number}", bytes(100_000)) for number in range(500)]
    assert graph(api("text_to_image")) == graph(packed(*zeros, ("prompt", steps), *zeros))
    assert 1 == len(unpacked)
    monkeypatch.setattr(pictures, "LARGEST", 50_000)
    assert {} == pictures.texts(packed(*[("prompt", bytes(100_000))] * 500))
    assert 1 + pictures.MOST_TEXTS == len(unpacked)


def test_the_entries_of_an_exif_are_not_copied_one_by_one() -> None:
    """65,535 entries may all name the same sixty megabytes."""
    count, size = 65_535, 30_000_000
    entries = b"".join(struct.pack("<HHII", 1, 2, size, 8 + 2 + 12 * count) for _ in range(count))
    exif = b"II*\0" + struct.pack("<IH", 8, count) + entries + b"x" * size
    data = b"WEBPEXIF" + struct.pack("<I", len(exif)) + exif
    began = time.monotonic()
    assert {} == pictures.texts(b"RIFF" + struct.pack("<I", len(data)) + data)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"nodes": [}', "is not JSON"),
        (b"\xff\xfe{}", "is not UTF-8"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"3": {"class_type": "KSampler", "inputs": {"seed": ' + b"9" * 5000 + b"}}}", "4,300 digits"),
        (json.dumps({"nodes": [], "links": [], "version": 2}).encode(), "version 2; 0.4 and 1 are known"),
        (
            json.dumps({"nodes": [{"id": 1}], "links": [], "version": 0.4}).encode(),
            "node 1 of the workflow has no type",
        ),
        (json.dumps({str(i): {"class_type": "A", "inputs": {}} for i in range(20_001)}).encode(), "20,001 nodes"),
        (png(), "carries no workflow"),
        (png()[:40], "is cut off"),
        (png(prompt="[1, 2]"), "is no workflow of ComfyUI"),
        (png(prompt="{"), 'its "prompt" is not JSON'),
        (b"\xff\xd8\xff\xe0\0\x04JF", "is cut off"),
        (b"RIFF\xff\0\0\0WEBPVP8 ", "is cut off"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_cure(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableError, match=said) as caught:
        translate(data)
    assert caught.value.cure


@pytest.mark.parametrize("data", [b"1", b"[]", b"{}", b'{"nodeflow": 1, "nodes": {}}', png(nodeflow="{}")])
def test_files_of_others_are_left_to_others(data: bytes) -> None:
    assert translate(data) is None


def test_damaged_parts_of_pictures_lead_to_no_other_failure() -> None:
    whole = png(prompt=json.dumps(api("text_to_image")))
    for at in range(8, len(whole), 37):
        for damaged in (whole[:at], whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]):
            try:
                translate(damaged)
            except UnreadableError as error:
                assert str(error)  # noqa: PT017 # to be read or to be refused are both in order
