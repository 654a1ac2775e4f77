"""What becomes of nodes: those that are known, those that are not, and what only the editor knows."""

import json
from pathlib import Path
from typing import Any

import pytest
from nodeflow_comfyui.translation import TURNERS, Translation, translate
from nodeflow_comfyui.widgets import ORDER
from nodeflow_comfyui.workflow import UnreadableError
from nodeflow_diffusion.schedules import alphas_cumprod, scaled_linear_betas
from nodeflow_diffusion.sigmas import of_table

WORKFLOWS = Path(__file__).parent / "workflows"


def file(name: str) -> Any:
    return json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))


def turned(data: Any, known: tuple[str, ...] = ()) -> Translation:
    found = translate(json.dumps(data).encode(), known)
    assert found is not None
    return found


def changed(name: str, **changes: dict[str, Any]) -> dict[str, Any]:
    """A workflow with other inputs: by node, after an underscore."""
    steps: dict[str, Any] = file(name)
    for node, inputs in changes.items():
        steps[node.strip("_")]["inputs"] |= inputs
    return steps


def differences(found: Translation) -> str:
    return "\n".join(f"{remark.node}: {remark.message}" for remark in found.differs)


def values(found: Translation, node: str) -> dict[str, Any]:
    inputs: dict[str, Any] = found.graph["nodes"][node]["inputs"]
    return inputs


def test_widgets_are_known_of_every_kind_that_is_turned() -> None:
    without = {
        "ConditioningZeroOut", "VAEDecode", "VAEEncode", "SetLatentNoiseMask", "SamplerCustomAdvanced", "BasicGuider",
        "DisableNoise", "PreviewImage", "ImageUpscaleWithModel", "ImageInvert", "ImageBatch", "InvertMask",
        "MaskToImage",
    }  # fmt: skip
    assert set() == TURNERS.keys() - ORDER.keys() - without


def test_switched_off_nodes_stay_and_what_only_the_editor_knows_is_wired_past() -> None:
    found = turned(file("switches"))
    nodes = found.graph["nodes"]
    assert "bypassed" == nodes["lora_10"]["mode"] == nodes["text_lora_10"]["mode"]
    assert "muted" == nodes["resized_13"]["mode"]
    assert {"$from": "checkpoint_4.autoencoder"} == values(found, "decode_8")["autoencoder"]  # past the reroute
    assert 64 == values(found, "empty_5")["width"]  # of the primitive, not of the widget
    assert {"image": "decode_8"} == found.graph["outputs"]
    assert [] == found.left
    assert [{"title": "Words", "box": [680, 20, 440, 460]}] == found.graph["view"]["frames"]
    assert [{"text": "Put the model into models.", "box": [0, 300, 300, 100]}] == found.graph["view"]["notes"]


def test_notes_keep_their_titles_and_all_their_colours() -> None:
    data = file("switches")
    notes = [item for item in data["nodes"] if item["type"] in ("Note", "MarkdownNote")]
    notes[0] |= {"title": "Read me", "color": "#432"}
    data["groups"][0]["color"] = "#A88"
    data["nodes"][7] |= {"color": "#232", "bgcolor": "#353"}
    assert "KSampler" == data["nodes"][7]["type"]
    plain = {"id": 99, "type": "MarkdownNote", "title": "Markdown Note", "widgets_values": ["# One\n\ntwo"]}
    data["nodes"].append(plain)
    view = turned(data).graph["view"]
    first, second = view["notes"]
    assert ("Read me\n\nPut the model into models.", "yellow") == (first["text"], first["colour"])
    assert {"text": "# One\n\ntwo", "box": [0, 0, 210, 100]} == second
    assert "red" == view["frames"][0]["colour"]
    assert {"sample_3": "green"} == {node: name for node, name in view["colours"].items() if node.startswith("sample")}


def test_collapsed_nodes_come_in_folded() -> None:
    data = file("switches")
    assert "folded" not in turned(data).graph["view"]
    kinds = {item["type"]: item for item in data["nodes"]}
    kinds["KSampler"]["flags"] = {"collapsed": True}
    kinds["VAEDecode"]["flags"] = {"collapsed": "yes"}
    found = turned(data).graph
    number = kinds["KSampler"]["id"]
    assert {node for node in found["nodes"] if node.endswith(f"_{number}")} == found["view"]["folded"].keys() != set()


def test_a_workflow_without_notes_has_none_in_its_view() -> None:
    assert "notes" not in turned(file("subgraph")).graph["view"]


def test_a_bypassed_node_that_cannot_stay_is_wired_past() -> None:
    data = file("switches")
    data["nodes"][7]["mode"] = 4  # the KSampler
    found = turned(data)
    assert "KSampler (3): bypassed: it is left out, and wires lead past it" in differences(found)
    assert not any("sample" in name for name in found.graph["nodes"])


def test_a_subgraph_is_opened_out_with_the_values_that_stand_on_it() -> None:
    found = turned(file("subgraph"))
    sample = values(found, "sample_2_13")
    assert (7, 2, "a cab") == (sample["seed"], sample["steps"], values(found, "positive_2_11")["prompt"])
    (frame,) = found.graph["view"]["frames"]
    assert "Sampler in a box" == frame["title"]
    x, y = found.graph["view"]["nodes"]["sample_2_13"]
    left, top, wide, high = frame["box"]
    assert left < x < left + wide
    assert top < y < top + high
    assert [] == found.left


def test_a_picture_of_a_subgraph_takes_the_values_that_were_run() -> None:
    from nodeflow_comfyui import reading, subgraphs

    workflow = reading.parse(file("subgraph"))
    assert workflow is not None
    workflow.run = reading.parse({"2:13": {"class_type": "KSampler", "inputs": {"seed": 99}}})
    assert ["Sampler in a box"] == subgraphs.opened(workflow)
    reading.overlay(workflow)
    assert 99 == workflow.nodes["2:13"].inputs["seed"]


def test_a_subgraph_that_holds_itself_is_refused() -> None:
    data = file("subgraph")
    inner = data["definitions"]["subgraphs"][0]
    inner["nodes"][0]["type"] = inner["id"]
    with pytest.raises(UnreadableError, match="holds itself"):
        turned(data)


def test_a_node_that_is_not_known_stays_with_its_wires_and_values() -> None:
    steps = changed("text_to_image", _3={"model": ["20", 0]})
    steps["20"] = {
        "class_type": "FreeU_V2",
        "inputs": {"b1": 1.3, "model": ["4", 0]},
        "_meta": {"title": "Free lunch"},
    }
    found = turned(steps)
    (left,) = found.left
    assert ('FreeU_V2 "Free lunch" (20)', "freeu_v2_20") == (left.node, left.ours)
    assert "nothing like it" in left.message
    assert "comfyui:FreeU_V2" == found.graph["nodes"]["freeu_v2_20"]["type"]
    assert {"b1": 1.3, "model": {"$from": "checkpoint_4.denoiser"}} == values(found, "freeu_v2_20")
    assert {"$from": "freeu_v2_20.output_0"} == values(found, "guided_3")["denoiser"]


def test_values_without_a_name_are_kept_in_their_order() -> None:
    data = file("switches")
    data["nodes"].append({"id": 30, "type": "Strange (node)", "widgets_values": [1, "fixed", {"a": [None, 2.5]}]})
    found = turned(data)
    assert [1, "fixed", {"a": [None, 2.5]}] == values(found, "strange__node_30")["widgets_values"]


def test_newer_files_name_the_values_of_strange_nodes() -> None:
    data = file("switches")
    ports = [{"name": name, "type": "INT", "widget": {"name": name}, "link": None} for name in ("seed", "size")]
    data["nodes"].append({"id": 30, "type": "Strange", "inputs": ports, "widgets_values": [5, "randomize", 3]})
    assert {"seed": 5, "size": 3} == values(turned(data), "strange_30")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_3": {"model": ["77", 0]}}, 'its input "model" is wired to nothing that is in the file'),
        ({"_3": {"model": ["8", 0]}}, "round in a circle"),
        ({"_3": {"model": ["4", 9]}}, 'its input "model" is wired to nothing that is in the file'),
        ({"_3": {"model": None}}, 'its input "model" is missing'),
        ({"_3": {"model": ["4", 2], "latent_image": ["4", 0]}}, "is of another kind"),
        ({"_3": {"steps": "many"}}, 'its input "steps" is no number'),
        ({"_3": {"steps": True}}, 'its input "steps" is no number'),
        ({"_3": {"steps": 0}}, "0 steps: 1 to 1000 are possible"),
        ({"_3": {"cfg": 101.0}}, "cfg 101 is outside 0..100"),
        ({"_6": {"clip": ["5", 0]}}, "is of another kind"),
    ],
)
def test_what_is_amiss_is_told_of_its_node_and_the_rest_is_turned(change: dict[str, Any], said: str) -> None:
    found = turned(changed("text_to_image", **change))
    assert any(said in remark.message for remark in found.left)
    assert any(kind.startswith("diffusion.") for kind in (node["type"] for node in found.graph["nodes"].values()))


def test_only_what_stands_in_a_circle_is_blamed_for_it() -> None:
    found = turned(changed("lora", _10={"model": ["20", 0]}, _4={}) | {
        "20": {"class_type": "A", "inputs": {"x": ["21", 0]}}, "21": {"class_type": "B", "inputs": {"y": ["20", 0]}},
    })  # fmt: skip
    assert {"A (20)", "B (21)"} == {remark.node for remark in found.left}
    assert {"$from": "a_20.output_0"} == values(found, "lora_10")["denoiser"]


def test_what_a_strange_node_takes_stays_with_it() -> None:
    steps = file("custom_sampling")
    steps["20"] = {"class_type": "SplitSigmas", "inputs": {"step": 1, "sigmas": ["8", 0], "gone": ["77", 0]}}
    steps["9"]["inputs"]["sigmas"] = ["20", 1]
    found = turned(steps)
    assert {"step": 1, "sigmas": {"$from": "basicscheduler_8.output_0"}} == values(found, "splitsigmas_20")
    assert {"$from": "splitsigmas_20.output_1"} == values(found, "samplercustomadvanced_9")["sigmas"]
    assert {"$from": "randomnoise_5.output_0"} == values(found, "samplercustomadvanced_9")["noise"]
    assert {"BasicScheduler (8)", "RandomNoise (5)", "SplitSigmas (20)"} < {remark.node for remark in found.left}
    assert found == turned(steps)


def test_what_leads_nowhere_is_told() -> None:
    steps = file("text_to_image")
    steps["20"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
    assert "EmptyLatentImage (20): it leads nowhere, and is left out" == differences(turned(steps))


def test_an_empty_picture_has_as_many_whole_cells_as_fit() -> None:
    made = values(turned(changed("text_to_image", _5={"width": 519, "height": 70})), "empty_5")
    assert (512, 64) == (made["width"], made["height"])


def test_a_long_chain_is_no_matter() -> None:
    steps = changed("text_to_image", _3={"model": ["6000", 0]})
    for number in range(1001, 6001):
        source = ["4", 0] if number == 1001 else [str(number - 1), 0]
        inputs = {"lora_name": "a.safetensors", "strength_model": 0.1, "model": source}
        steps[str(number)] = {"class_type": "LoraLoaderModelOnly", "inputs": inputs}
    assert {"$from": "lora_6000"} == values(turned(steps), "guided_3")["denoiser"]
    for number in range(1001, 6001):
        source = ["6", 0] if number == 1001 else [str(number - 1), 0]
        steps[str(number)] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": source}}
    steps["3"]["inputs"] |= {"model": ["4", 0], "negative": ["6000", 0]}
    assert ["ConditioningZeroOut (1001)"] == [remark.node for remark in turned(steps).left]


def test_a_guidance_of_one_takes_the_wanted_text_alone() -> None:
    steps = changed("text_to_image", _3={"cfg": 1.0, "negative": ["20", 0]})
    steps["20"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}}
    found = turned(steps)
    assert "diffusion.condition" == found.graph["nodes"]["bound_3"]["type"]
    assert [] == found.left
    steps["3"]["inputs"]["cfg"] = 2.0
    assert ["ConditioningZeroOut (20)"] == [remark.node for remark in turned(steps).left]


def test_part_of_the_way_takes_as_many_steps_as_in_comfyui() -> None:
    """Of int(3 / 0.5) steps the last three."""
    sample = values(turned(file("image_to_image")), "sample_3")
    assert (6, 0.5) == (sample["steps"], sample["strength"])


def test_a_controlnet_acts_on_that_share_of_noise_where_comfyui_ends_it() -> None:
    control = values(turned(file("controlnet")), "control_12")
    assert 1.0 == control["start"]
    below, above = of_table(alphas_cumprod(scaled_linear_betas()))[399:401].tolist()  # 0.6 of the way is step 399.6
    assert below / (1 + below) < control["stop"] < above / (1 + above)
    alone = turned(changed("controlnet", _3={"negative": ["7", 0]}))
    assert "the ControlNet acts on both texts" in differences(alone)


def test_the_prediction_reaches_the_loader() -> None:
    steps = changed("text_to_image", _3={"model": ["20", 0]})
    steps["20"] = {
        "class_type": "ModelSamplingDiscrete",
        "inputs": {"sampling": "v_prediction", "zsnr": True, "model": ["4", 0]},
    }
    found = turned(steps)
    assert "v" == values(found, "checkpoint_4")["prediction"]
    assert {"kind": "scaled_linear", "spacing": "trailing", "zero_snr": True} == values(found, "schedule_3")
    assert "trailing is taken" in differences(found)


def test_a_learnt_word_and_weights_are_read_as_in_comfyui() -> None:
    found = turned(changed("text_to_image", _6={"text": "a (cab:1.2), embedding:mine/style.pt"}))
    encode = values(found, "positive_6")
    assert "a (cab:1.2), style" == encode["prompt"]
    reading = values(found, encode["encoder"]["$from"])
    word = values(found, reading["encoder"]["$from"])
    assert ("empty", "mine/style", "style") == (reading["emphasis"], word["model"], word["word"])


def test_seeds_of_64_bits_are_brought_into_range_and_told() -> None:
    found = turned(changed("text_to_image", _3={"seed": 2**63 + 5}))
    assert 5 == values(found, "sample_3")["seed"]
    assert "ours have 53 bits" in differences(found)


def test_two_passes_of_base_and_refiner_are_told_where_they_differ() -> None:
    found = turned(file("sdxl_refiner"))
    assert 0.2 == values(found, "sample_11")["strength"]
    assert "it goes all 5 steps, not to step 4" in differences(found)
    sized = [values(found, values(found, "guided_11")[side]["$from"]) for side in ("positive", "negative")]
    assert [6.0, 2.5] == [one["score"] for one in sized]
    assert ("a pig", "a cab") == (values(found, "positive_6")["prompt"], values(found, "positive_6")["second"])


def test_upscaling_models_need_the_nodes_that_take_them() -> None:
    steps = file("text_to_image")
    steps["20"] = {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "4x.pth"}}
    steps["21"] = {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["20", 0], "image": ["8", 0]}}
    steps["9"]["inputs"]["images"] = ["21", 0]
    assert ["UpscaleModelLoader (20)", "ImageUpscaleWithModel (21)"] == [remark.node for remark in turned(steps).left]
    found = turned(steps, ("image.load_upscaler",))
    assert [] == found.left
    assert {"image": "upscaled_21"} == found.graph["outputs"]


def test_names_of_outputs_come_from_the_prefix() -> None:
    steps = changed("text_to_image", _9={"filename_prefix": "cats/%date:yyyy%_big cat"})
    steps["20"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    steps["21"] = {"class_type": "ImageScale", "inputs": {"upscale_method": "area", "width": 0, "height": 32,
                   "crop": "disabled", "image": ["8", 0]}}  # fmt: skip
    steps["22"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["21", 0]}}
    found = turned(steps)
    assert {"big_cat": "decode_8", "image": "resized_21"} == found.graph["outputs"]
    assert ("contain", 32) == (values(found, "resized_21")["fit"], values(found, "resized_21")["height"])
