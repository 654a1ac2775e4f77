"""Plugins leave to `nodeflow.kernels` what it can fuse: none of them has it by hand."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "plugins").rglob("*.py"))
INSTEAD = {
    "scaled_dot_product_attention": "attention",
    "MultiheadAttention": "attention",
    "group_norm": "group_norm_act",
    "native_group_norm": "group_norm_act",
    "rms_norm": "rms_norm",
    "RMSNorm": "rms_norm",
    "cdist": "vq_nearest",
}
"""Names of torch that have no place in a plugin, and the operation that has."""


def called(node: ast.AST) -> str:
    """The last name of what is called: "silu" of `F.silu(x)`."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def by_hand(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines at which something is done that there is an operation for, and the operation."""
    ours = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "nodeflow.kernels"
        for alias in node.names
    }
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in INSTEAD and name not in ours:
            yield node.lineno, INSTEAD[name]
        if isinstance(node, ast.ImportFrom) and node.module != "nodeflow.kernels":
            yield from ((node.lineno, INSTEAD[alias.name]) for alias in node.names if alias.name in INSTEAD)
        if called(node) == "GroupNorm":  # a class of it, whose forward calls the operation, keeps its parameters
            yield node.lineno, "group_norm_act"
        if called(node) == "matmul" or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)):
            operands = node.args if isinstance(node, ast.Call) else [node.left]
            if any(called(operand) == "softmax" for operand in operands):
                yield node.lineno, "attention"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_a_plugin_does_not_do_by_hand_what_there_is_an_operation_for(path: Path) -> None:
    assert [] == list(by_hand(ast.parse(path.read_text("utf-8"))))


@pytest.mark.parametrize(
    ("line", "operation"),
    [
        ("y = F.scaled_dot_product_attention(q, k, v)", "attention"),
        ("from torch.nn.functional import scaled_dot_product_attention", "attention"),
        ("y = scores.softmax(-1) @ v", "attention"),
        ("y = torch.matmul(F.softmax(scores, -1), v)", "attention"),
        ("y = nn.Sequential(nn.GroupNorm(8, 64), nn.SiLU())", "group_norm_act"),
        ("y = F.silu(F.group_norm(x, 8))", "group_norm_act"),
        ("y = F.rms_norm(x, (64,))", "rms_norm"),
    ],
)
def test_what_is_done_by_hand_is_found(line: str, operation: str) -> None:
    assert {operation} == {found for _, found in by_hand(ast.parse(line))}


def test_what_calls_the_operations_is_let_be() -> None:
    lines = "from nodeflow.kernels import attention, rms_norm\ny = attention(rms_norm(q, w, 1e-6), k, v)"
    assert [] == list(by_hand(ast.parse(lines)))
