"""The kernels beside what torch offers: on a GPU by replayed graphs, without one small, in CPU seconds.

On a GPU: attention in bfloat16 at the shapes of Stable Diffusion against each of torch's own kernels, and what moves
memory as a share of what a copy of as many bytes reaches. Needs torch, triton and this repository, nothing else:

    PYTHONPATH=.:plugins python benchmarks/kernels.py [--budget 300] [--out benchmarks/results]

Without a GPU the same table is made of small float32 and bfloat16 tensors, each operation as it is called beside the
plain torch forms of it. It shows that nothing is lost on a CPU, and says nothing about a GPU.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # CPU time is the time of a run where one thread computes

import torch
from clocks import interleaved, on_cpu
from report import Report, Row, asked, goal, machine
from torch import Tensor

from nodeflow import kernels
from nodeflow.kernels import OPERATIONS
from nodeflow.kernels.timing import Accelerator

WANTED = {40: 1.15, 80: 1.15, 160: 1.0, 64: 0.95}
"""How many times as fast as the best of torch the fused attention is to be, by head dimension."""
LATE, SHARE = 1.02, 0.75
"""What "auto" may take of the best candidate's time; the share of a copy's bandwidth that is asked for."""
NETWORKS = ((4096, 40, 8), (1024, 80, 8), (256, 160, 8), (4096, 64, 10), (1024, 64, 20))
"""Tokens, head dimension and heads of Stable Diffusion 1.5 at 512 x 512 and of XL at 1024 x 1024."""
OTHERS = tuple(
    (tokens, head, 8)
    for tokens in (4096, 1024, 256)
    for head in (40, 80, 160, 64)
    if (tokens, head) not in {shape[:2] for shape in NETWORKS}
)
NARROW = ((4096, 8), (1024, 8), (4096, 12))
"""Heads of small networks, which get columns of zeros on a CPU where its products want more."""
WORDS = 77
UNMEASURED = (
    "fused attention, d40 and d80: at least 1.15 times as fast as the best of torch's own kernels",
    "fused attention, d160: at least 1.0 times; d64: at least 0.95 times, else one of torch's is taken",
    "auto: at most 1.02 times the time of the best candidate",
    "group_norm_act, geglu, rms_norm, layer_norm_modulate, guided_step: at least 75 % of a copy's bandwidth",
)


class Memory(NamedTuple):
    """A call of an operation that moves memory. once: bytes that no form can spare; again: what a second pass adds."""

    name: str
    operation: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    once: int
    again: int = 0


def qkv(tokens: int, words: int, heads: int, head: int, batch: int, dtype: torch.dtype, device: str) -> list[Tensor]:
    """[batch, heads, tokens or words, head] as views of what a linear layer gives, as networks have them."""

    def split(x: Tensor, parts: int) -> tuple[Tensor, ...]:
        return x.unflatten(-1, (parts, heads, head)).permute(2, 0, 3, 1, 4).unbind()

    torch.manual_seed(7)
    width = heads * head
    if words == tokens:
        return list(split(torch.randn(batch, tokens, 3 * width, dtype=dtype, device=device), 3))
    (q,) = split(torch.randn(batch, tokens, width, dtype=dtype, device=device), 1)
    return [q, *split(torch.randn(batch, words, 2 * width, dtype=dtype, device=device), 2)]


def forms(operation: str, *arguments: Any, kind: str, **options: Any) -> dict[str, Callable[[], Any]]:
    """The legal candidates of a kind for a call, ready to be run."""
    own = OPERATIONS[operation]
    bound = own.bind(*arguments, **options)
    legal = [one for one in own.candidates if one.kind == kind and one.legal(*bound) is None]
    return {candidate.name: partial(candidate.run, *bound) for candidate in legal}


def best(seconds: Mapping[str, float]) -> str:
    return min(seconds, key=lambda name: seconds[name])


def told(failed: Mapping[str, str]) -> list[str]:
    return [f"{name} failed: {why}" for name, why in failed.items()]


def attention_on_gpu(group: str, name: str, head: int, tensors: list[Tensor], *, judged: bool) -> Row:
    """torch's kernels, the best of the fused ones, and "auto" after it has chosen."""
    torchs = forms("attention", *tensors, kind="torch")
    fused = forms("attention", *tensors, kind="triton")
    kernels.attention(*tensors)  # chooses now: a capture measures nothing
    whole = {**torchs, **fused, "auto": partial(kernels.attention, *tensors)}
    seconds, failed = interleaved(Accelerator().prepare, whole)
    theirs = {one: taken for one, taken in seconds.items() if one in torchs}
    ours = {one: taken for one, taken in seconds.items() if one in fused}
    row: Row = {"group": group, "row": name, "seconds": theirs, "reference": best(theirs), "goals": []}
    notes = [f"auto is {kernels.explain('attention', *tensors).implementation}", *told(failed)]
    if ours:
        row["seconds"] = theirs | {"triton": min(ours.values())}
        notes.insert(0, f"the best of Triton is {best(ours)}")
        if judged:
            ratio = min(theirs.values()) / min(ours.values())
            row["goals"].append(goal("triton / best of torch", ratio, ">=", WANTED[head]))
    if "auto" in seconds:
        least = min(*theirs.values(), *ours.values())
        row["seconds"] = row["seconds"] | {"auto": seconds["auto"]}
        row["goals"].append(goal("auto's time / best", seconds["auto"] / least, "<=", LATE))
    return row | {"note": "; ".join(notes)}


def gpu_attention(report: Report) -> None:
    about = "bfloat16, batch 2, views of fused projections; seconds by graph replay."
    measure = "times as fast as the best of torch's own kernels"
    for title, shapes in (("Attention in Stable Diffusion", NETWORKS), ("Attention, other shapes", OTHERS)):
        report.group(title, about, measure)
        for tokens, head, heads in shapes:
            for words in (tokens, WORDS):
                name = f"{tokens} tokens, {'self' if words == tokens else f'{words} words'}, {heads} x d{head}"
                if report.room(title, name, 5):
                    tensors = qkv(tokens, words, heads, head, 2, torch.bfloat16, "cuda")
                    report.add(attention_on_gpu(title, name, head, tensors, judged=shapes is NETWORKS))


def memories(dtype: torch.dtype, device: str, scale: int) -> Iterator[Memory]:
    """Calls of what moves memory: in the networks' sizes with scale 1, large ones with more, tiny ones with 0."""
    few = 1 if scale else 16
    batch = 2 * max(scale, 1)

    def number(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, device=device)

    def size(*tensors: Tensor) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    side, wide = 128 // few, 320
    x = number(batch, wide, side, side).contiguous(memory_format=torch.channels_last)
    gain, bias = number(wide), number(wide)
    shown = "x".join(map(str, x.shape))
    yield Memory(f"group_norm_act {shown}", "group_norm_act", (x, gain, bias, 32), {"eps": 1e-5}, 2 * size(x), size(x))
    x = number(batch, 4096 // few, 5120)
    yield Memory(f"geglu {'x'.join(map(str, x.shape))}", "geglu", (x,), {}, size(x) * 3 // 2)
    x = number(batch, 4096 // few, 1152)
    shown = "x".join(map(str, x.shape))
    yield Memory(f"rms_norm {shown}", "rms_norm", (x, number(1152), 1e-6), {}, 2 * size(x))
    told = (x, None, number(batch, 1152), number(batch, 1152), 1e-6)
    yield Memory(f"layer_norm_modulate {shown}", "layer_norm_modulate", told, {}, 2 * size(x))
    given = [number(32 * batch, 4, side, side) for _ in range(4)]
    weights = {"guidance": 7.5, "c_x": 0.98, "c_eps": -0.13, "c_noise": 0.07}
    shown = "x".join(map(str, given[0].shape))
    yield Memory(f"guided_step {shown}", "guided_step", tuple(given), weights, size(*given) + size(given[0]))
    z, codebook = number(batch * 4096 // few, 16), number(1024, 16)
    yield Memory(f"vq_nearest {len(z)}x16, 1024 entries", "vq_nearest", (z, codebook), {}, size(z) + 8 * len(z))


def memory_on_gpu(group: str, call: Memory, *, judged: bool) -> Row:
    """Candidates and "auto" as shares of the bandwidth that a copy of as many bytes reaches in the same rounds."""
    public = partial(getattr(kernels, call.operation), *call.arguments, **call.options)
    torchs = forms(call.operation, *call.arguments, kind="torch", **call.options)
    fused = forms(call.operation, *call.arguments, kind="triton", **call.options)
    source = torch.empty(call.once // 2, dtype=torch.uint8, device=call.arguments[0].device)
    target = torch.empty_like(source)
    public()
    copying = partial(target.copy_, source)
    seconds, failed = interleaved(Accelerator().prepare, {"copy": copying, **torchs, **fused, "auto": public})
    moved = {one: call.once + (call.again if one != "triton one" else 0) for one in seconds}
    chosen = kernels.explain(call.operation, *call.arguments, **call.options).implementation
    moved |= {"copy": call.once, "auto": moved.get(chosen, call.once)}
    rate = call.once / seconds["copy"]
    shares = {one: moved[one] / taken / rate for one, taken in seconds.items()}
    row: Row = {"group": group, "row": call.name, "seconds": seconds, "shares": shares, "reference": "copy"}
    notes = [f"a copy reaches {rate / 1e12:.2f} TB/s, auto is {chosen}", *told(failed)]
    if call.again:
        notes.append("a form that reads x twice, for statistics and again, is counted with both")
    if call.operation == "vq_nearest":
        notes.append("bound by arithmetic, so without a goal")
    elif judged and "auto" in shares:
        row["goals"] = [goal("share of a copy's bandwidth", shares["auto"], ">=", SHARE)]
    return row | {"note": "; ".join(notes)}


def gpu_memory(report: Report) -> None:
    measure = "share of the bandwidth of a copy of as many bytes"
    sizes = (("Memory-bound kernels, larger than the caches", 32), ("Memory-bound kernels in the networks' sizes", 1))
    for title, scale in sizes:
        report.group(title, "bfloat16, as networks lay them out; seconds by graph replay.", measure, SHARE)
        for call in memories(torch.bfloat16, "cuda", scale):
            if report.room(title, call.name, 3):
                report.add(memory_on_gpu(title, call, judged=scale > 1))
        torch.cuda.empty_cache()


def on_a_cpu(group: str, name: str, operation: str, *arguments: Any, **options: Any) -> Row:
    """The operation as it is called beside its plain forms."""
    torchs = forms(operation, *arguments, kind="torch", **options)
    public = partial(getattr(kernels, operation), *arguments, **options)
    with torch.inference_mode():
        seconds, failed = interleaved(on_cpu, {**torchs, "op": public})
    theirs = {one: taken for one, taken in seconds.items() if one != "op"}
    ratio = f"{min(theirs.values()) / seconds['op']:.2f} times as fast as the best of these, {best(theirs)}"
    row = {"group": group, "row": name, "seconds": seconds, "reference": best(theirs)}
    return row | ({"note": "; ".join([f"the operation is {ratio}", *told(failed)])} if failed else {})


def cpu(report: Report) -> None:
    """The table without a GPU, a quarter of the tokens."""
    measure = "times as fast as the best plain form"
    report.unmeasured(*(f"{one} (needs a GPU)" for one in UNMEASURED))
    for dtype in (torch.float32, torch.bfloat16):
        kind = str(dtype).removeprefix("torch.")
        title = f"Attention, {kind}"
        report.group(title, "Batch 1, 2 heads; CPU seconds of one call, one thread.", measure)
        for tokens, head in (*dict.fromkeys(shape[:2] for shape in NETWORKS), *NARROW):
            for words in (tokens // 4, WORDS):
                name = f"{tokens // 4} tokens, {'self' if words == tokens // 4 else f'{words} words'}, d{head}"
                if report.room(title, name):
                    tensors = qkv(tokens // 4, words, 2, head, 1, dtype, "cpu")
                    report.add(on_a_cpu(title, name, "attention", *tensors))
        title = f"Other operations, {kind}"
        report.group(title, "CPU seconds of one call, one thread.", measure)
        for call in memories(dtype, "cpu", 0):
            if report.room(title, call.name):
                report.add(on_a_cpu(title, call.name, call.operation, *call.arguments, **call.options))


def main(argv: list[str] | None = None) -> None:
    options = asked(__doc__, argv)
    if torch.cuda.is_available() and not options.cpu:
        import triton

        report = Report(options.out / "kernels.json", "Kernels", options.budget, machine(triton=triton.__version__))
        with tempfile.TemporaryDirectory() as folder:  # choices are made anew: the measuring is measured as well
            os.environ["NODEFLOW_CACHE"] = folder
            with torch.inference_mode():
                gpu_attention(report)
                gpu_memory(report)
    else:
        report = Report(options.out / "kernels-cpu.json", "Kernels, on a CPU", options.budget, machine())
        cpu(report)
    report.finish()


if __name__ == "__main__":
    main()
