"""ComfyUI's nodes that give a CONDITIONING: prompts, and what goes with them."""

from dataclasses import replace
from typing import Any, Final

from nodeflow_comfyui.prompts import spelt
from nodeflow_comfyui.samplers import share_of_noise
from nodeflow_comfyui.turning import CannotTurnError, Turn, Turner
from nodeflow_comfyui.values import Clip, Control, File, Painting, Samples, Text, Wire
from nodeflow_comfyui.workflow import Node

PROMPTS: Final = {
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeSDXL": ("text_g", "text_l"),
    "CLIPTextEncodeSDXLRefiner": ("text",),
}


def any_weights(nodes: list[Node]) -> bool:
    """Whether a prompt of these has weights, or may have."""
    prompts = [node.inputs.get(name) for node in nodes for name in PROMPTS.get(node.kind, ())]
    return any(not isinstance(prompt, str) or spelt(prompt).weighted for prompt in prompts if prompt is not None)


def _encoded(turn: Turn, node: Node, name: str, other: str = "") -> Wire:
    """The text of that input, read by the node's CLIP; of two texts, the other one is read by the first encoder."""
    clip = turn.clip(node)
    prompts, encoder = [], clip.wire
    for prompt in [turn.given(node, own, "") for own in (name, other) if own]:
        own = spelt(prompt) if isinstance(prompt, str) else None
        for word, file in own.learnt.items() if own else ():
            encoder = turn.drawing.beside(
                node, "word", "text.textual_inversion", encoder=encoder, model=file, word=word
            )
        prompts.append(own.text if own else prompt)
    encoder = _read(turn, node, encoder, clip)
    role = turn.side(node) or "prompt"
    if other:
        made = turn.drawing.add(node, role, "text.encode_pair", encoder=encoder, prompt=prompts[1], second=prompts[0])
        turn.drawing.offer("second" if role == "positive" else f"second_{role}", made, "second")
    else:
        made = turn.drawing.add(node, role, "text.encode", encoder=encoder, prompt=prompts[0])
    turn.drawing.offer("prompt" if role == "positive" else role, made, "prompt")
    return made


def _read(turn: Turn, node: Node, encoder: Wire, clip: Clip) -> Wire:
    """The encoder, reading weights and layers as ComfyUI does; by itself where that makes no difference."""
    if clip.skip is None and not turn.weighted:
        return encoder
    skip = {} if clip.skip is None else {"skip": clip.skip}
    return turn.drawing.beside(node, "reading", "text.reading", encoder=encoder, emphasis="empty", **skip)


def _text(turn: Turn, node: Node) -> tuple[Any, ...]:
    return (Text(_encoded(turn, node, "text"), node.id),)


def _text_xl(turn: Turn, node: Node) -> tuple[Any, ...]:
    sizes = {
        "width": turn.whole(node, "width", 1024),
        "height": turn.whole(node, "height", 1024),
        "left": turn.whole(node, "crop_w", 0),
        "top": turn.whole(node, "crop_h", 0),
        "target_width": turn.whole(node, "target_width", 1024),
        "target_height": turn.whole(node, "target_height", 1024),
    }
    same = turn.given(node, "text_g", "") == turn.given(node, "text_l", "")
    return (Text(_encoded(turn, node, "text_g", "" if same else "text_l"), node.id, sizes),)


def _text_refiner(turn: Turn, node: Node) -> tuple[Any, ...]:
    sizes = {
        "width": turn.whole(node, "width", 1024),
        "height": turn.whole(node, "height", 1024),
        "score": turn.real(node, "ascore", 6.0),
    }
    return (Text(_encoded(turn, node, "text"), node.id, sizes),)


def _average(turn: Turn, node: Node) -> tuple[Any, ...]:
    first, second = turn.words(node, "conditioning_from"), turn.words(node, "conditioning_to")
    amount = turn.real(node, "conditioning_to_strength", 1.0)
    if not 0 <= amount <= 1:
        raise CannotTurnError(f"conditioning_to_strength {amount:g} is outside 0..1")
    made = turn.drawing.add(
        node, "mixed", "text.mix", first=turn.wire(first), second=turn.wire(second), amount=amount
    )  # fmt: skip
    return (replace(second, wire=made, node=node.id),)


def _nothing(turn: Turn, node: Node) -> tuple[Any, ...]:
    text = turn.words(node)
    return (text if text.wire is None else replace(text, wire=None, node=node.id),)  # nothing of nothing is nothing


def _control_of(turn: Turn, node: Node, *, both: bool) -> Control:
    net = turn.given(node, "control_net")
    if not isinstance(net, File):
        raise CannotTurnError("the ControlNet comes from a node that is not known")
    strength = turn.real(node, "strength", 1.0)
    if not 0 <= strength <= 10:
        raise CannotTurnError(f"strength {strength:g} is outside 0..10")
    start, stop = turn.real(node, "start_percent", 0.0), turn.real(node, "end_percent", 1.0)
    image = turn.pixels(node).wire
    return Control(node.id, image, net.name, strength, share_of_noise(start), share_of_noise(stop), both)


def _control(turn: Turn, node: Node) -> tuple[Any, ...]:
    text = turn.words(node)
    return (replace(text, controls=(*text.controls, _control_of(turn, node, both=True))),)


def _control_advanced(turn: Turn, node: Node) -> tuple[Any, ...]:
    control = _control_of(turn, node, both=False)
    texts = [turn.words(node, name) for name in ("positive", "negative")]
    return tuple(replace(text, controls=(*text.controls, control)) for text in texts)


def _inpaint(turn: Turn, node: Node) -> tuple[Any, ...]:
    texts = [turn.words(node, name) for name in ("positive", "negative")]
    vae, image, mask = turn.plain(node, "vae"), turn.pixels(node, "pixels"), turn.plain(node, "mask")
    painting = Painting(vae, image.wire, mask)
    encoded = turn.drawing.add(node, "encode", "codebooks.encode", autoencoder=vae, image=image.wire)
    kept = mask if turn.flag(node, "noise_mask", True) else None
    positive, negative = (replace(text, painting=painting) for text in texts)
    return positive, negative, Samples(encoded, node.id, image.side, mask=kept)


TEXTS: Final[dict[str, Turner]] = {
    "CLIPTextEncode": _text,
    "CLIPTextEncodeSDXL": _text_xl,
    "CLIPTextEncodeSDXLRefiner": _text_refiner,
    "ConditioningAverage": _average,
    "ConditioningZeroOut": _nothing,
    "ControlNetApply": _control,
    "ControlNetApplyAdvanced": _control_advanced,
    "InpaintModelConditioning": _inpaint,
}
