"""Python source as a person would write it: names, texts, and lines as ruff and Black lay them out."""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

LINE = 88  # characters; what ruff and Black allow by default
LONGEST = 32  # of a name
WORDS = {"lenet": "LeNet", "vgg": "VGG", "resnet": "ResNet", "densenet": "DenseNet", "mlp": "MLP", "cnn": "CNN"}
WORDS |= {"mnist": "MNIST", "batchnorm": "BatchNorm", "denselayer": "DenseLayer"}

# What nn.Module has itself, besides what begins with an underscore; a test holds this to PyTorch.
_MODULE = """T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu
load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters
register_backward_hook register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
set_submodule share_memory state_dict to to_empty train training type xpu zero_grad"""
MODULE = frozenset(_MODULE.split())
# What the file has beside the net.
FILE = {"CHANNELS", "CLASSES", "F", "HEIGHT", "Image", "ImageOps", "MEAN", "Path", "STATISTICS", "STD", "Tensor"}
FILE |= {"UNREADABLE", "WEIGHTS", "WIDTH"}


def identifier(name: str, taken: Collection[str]) -> str:
    """An attribute of a module from a layer's name, another than those `taken`."""
    plain = re.sub(r"[^0-9A-Za-z_]", "_", name)[:LONGEST].strip("_") or "layer"
    plain = f"layer_{plain}" if plain[0].isdigit() else plain
    plain = f"{plain}_" if keyword.iskeyword(plain) or plain in MODULE else plain
    return _another(plain, taken)


def class_name(name: str, taken: Collection[str] = ()) -> str:
    """The name of a class from that of a model or a layer: "lenet5-dropout" is LeNet5Dropout."""
    made = ""
    for word in re.findall(r"[A-Za-z]+|[0-9]+", name[:LONGEST]):
        made += f"_{word}" if word[0].isdigit() and made[-1:].isdigit() else WORDS.get(word.lower(), word.title())
    made = made if made[:1].isalpha() else f"Net{made}"
    return _another(f"{made}Net" if keyword.iskeyword(made) else made, {*taken, *FILE})


def text(value: str) -> str:
    """A literal of text, in double quotes unless single ones save a backslash."""
    quote = "'" if '"' in value and "'" not in value else '"'
    return quote + "".join(_letter(letter, quote) for letter in value) + quote


def paragraph(value: str) -> str:
    """A text inside a docstring, wrapped."""
    plain = "".join(_letter(letter, "") for letter in " ".join(value.split())).replace('"', "'")
    return textwrap.fill(plain, LINE, break_on_hyphens=False)


def statement(indent: int, head: str, call: str, comment: str = "", end: str = "") -> list[str]:
    """The lines of `head` and an expression that ends in a bracket, such as "x = " and "f(a, b)"; `end` follows it."""
    space, remark = " " * indent, f"  # {comment}" if comment else ""
    line = f"{space}{head}{call}{end}{remark}"
    if len(line) <= LINE:
        return [line]
    if comment:
        return [f"{space}# {comment}", *statement(indent, head, call, end=end)]
    opening = _matching(call)
    if opening is None:
        return [line]
    inside = call[opening + 1 : -1]
    first, last = f"{space}{head}{call[: opening + 1]}", f"{space}{call[-1]}{end}"
    if len(inside) + indent + 4 <= LINE:
        return [first, f"{space}    {inside}", last]
    return [first, *(f"{space}    {part}," for part in parts(inside)), last]


def listed(head: str, items: Sequence[str]) -> list[str]:
    """The lines of `head` and a list, one item a line unless all fit on one."""
    line = f"{head}[{', '.join(items)}]"
    return [line] if len(line) <= LINE else [f"{head}[", *(f"    {one}," for one in items), "]"]


def exploded(indent: int, head: str, call: str, arguments: Iterable[str]) -> list[str]:
    """A call with one argument a line."""
    space = " " * indent
    return [f"{space}{head}{call}(", *(f"{space}    {one}," for one in arguments), f"{space})"]


def parts(inside: str) -> list[str]:
    """What stands between brackets, cut at its own commas. There are no texts in it."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(inside):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            found.append(inside[start:place].strip())
            start = place + 1
    return [*found, inside[start:].strip()]


def _matching(call: str) -> int | None:
    """Where the bracket opens that the last character closes."""
    depth = 0
    for place in range(len(call) - 1, -1, -1):
        depth += (call[place] in ")]") - (call[place] in "([")
        if depth == 0:
            return place if call[-1] in ")]" else None
    return None


def _letter(letter: str, quote: str) -> str:
    if letter in ("\\", quote):
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(letter)
    code = ord(letter)
    return short or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")


def _another(name: str, taken: Collection[str]) -> str:
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}_{number}" if name[-1].isdigit() else f"{name}{number}"
    return made
