"""The classes of a net: one for each kind of block, and the net itself.

Blocks that differ in numbers alone are one class, and the numbers its arguments; those that are called block1_1,
block1_2 and so on are one nn.Sequential called block1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from firstlight.export.pytorch.modules import Body, Flow, Own, filled
from firstlight.export.pytorch.source import LINE, class_name, exploded, identifier, parts, statement
from firstlight.layers import Activation, Chain, Concat, Layer, Residual
from firstlight.types import Array, Shape

INPUT = "x"
MANY = 3  # blocks that are written as a loop
SEQUENTIAL = "nn.Sequential"


@dataclass
class Kind:
    """Blocks that differ in numbers alone."""

    name: str
    about: str
    bodies: list[Body] = field(default_factory=list)

    @cached_property
    def arguments(self) -> dict[str, tuple[int, ...]]:
        """The arguments of the class by name, each with its value for every block."""
        return {name: values for (values, _), name in self._written[0].items()}

    def call(self, block: int) -> dict[str, int]:
        """The arguments of one block."""
        return {name: values[block] for name, values in self.arguments.items()}

    def source(self) -> list[str]:
        """The lines of the class."""
        head = [f"class {self.name}(nn.Module):", f'    """{self.about}"""', ""]
        return [*head, *_methods(self.bodies[0], self._written[1], [*self.arguments], shapes=False)]

    @cached_property
    def _written(self) -> tuple[dict[tuple[tuple[int, ...], bool], str], list[str]]:
        """The arguments by their values, and what is written for each number of a block.

        A number that is the same in all blocks is written as it is. One that is always as large as another, or so many
        times as large, is written by that one's name.
        """
        names: dict[tuple[tuple[int, ...], bool], str] = {}
        written: list[str] = []
        for column in zip(*(body.numbers for body in self.bodies), strict=True):
            values, kind = tuple(number.value for number in column), column[0].kind
            if len(set(values)) == 1:
                written.append(str(values[0]))
                continue
            known = [(name, one) for (one, stride), name in names.items() if stride == (kind == "stride")]
            found = next((text for name, one in known if (text := _by(values, one, name))), "")
            if not found:
                taken = [*names.values(), *(name for name, _ in self.bodies[0].attributes)]
                found = names[values, kind == "stride"] = identifier(kind, taken)
            written.append(found)
        return names, written


@dataclass(frozen=True)
class Block:
    """A container in the net's chain, with the activation that follows a residual; the output's shape."""

    name: str
    kind: Kind
    number: int
    shape: Shape

    @property
    def arguments(self) -> dict[str, int]:
        return self.kind.call(self.number)

    @property
    def weights(self) -> dict[str, str | Array]:
        return self.kind.bodies[self.number].weights

    def call(self) -> str:
        return _call(self.kind.name, {name: str(value) for name, value in self.arguments.items()})


@dataclass(frozen=True)
class NetSource:
    """The text of the classes, and what the arrays of the net are: see `Body.weights`."""

    text: str
    weights: dict[str, str | Array]


def net_source(chain: Chain, shape: Shape, name: str, about: str, own: Own, taken: set[str]) -> NetSource:
    """The classes of a net.

    shape  of the prepared image, (C, H, W)
    name   of the net's own class
    about  its docstring
    own    how layers are written that PyTorch does not have
    taken  names of classes, to which those of blocks are added
    """
    net, flow = Body(own), Flow(INPUT, INPUT, shape)
    kinds: dict[object, Kind] = {}
    weights: dict[str, str | Array] = {}
    for blocks in _stages([*_items(chain, shape, own, kinds, taken)]):
        if isinstance(blocks, tuple):
            net.through(blocks[1], blocks[0], flow)
            continue
        place = net.attribute(_stage(blocks[0].name) if len(blocks) > 1 else blocks[0].name, _made(blocks))
        for number, block in enumerate(blocks):
            inside = f"{place}.{number}" if len(blocks) > 1 else place
            weights |= {f"{inside}.{theirs}": ours for theirs, ours in block.weights.items()}
        net.module(place, blocks[-1].shape, flow)
    net.finish(flow)
    lines = [line for kind in kinds.values() for line in (*kind.source(), "", "")]
    lines += [f"class {name}(nn.Module):", f'    """{about}"""', ""]
    lines += _methods(net, [str(number.value) for number in net.numbers], [], shapes=True)
    return NetSource("\n".join(lines), weights | net.weights)


Item = Block | tuple[str, Layer]


def _items(chain: Chain, shape: Shape, own: Own, kinds: dict[object, Kind], taken: set[str]) -> Iterator[Item]:
    """The layers of the net, with containers as blocks; what is new among these goes into `kinds`."""
    layers, skip = [*chain.named()], False
    for (name, layer), (_, then) in zip(layers, [*layers[1:], ("", None)], strict=True):
        if skip:
            skip = False
            continue
        if type(layer) not in (Residual, Concat, Chain) or layer == Chain(()):
            yield name, layer
        else:
            body, flow = Body(own, prefix=name), Flow(INPUT, INPUT, shape)
            body.through(layer, "", flow)
            if isinstance(layer, Residual) and isinstance(then, Activation):
                body.through(then, "activation", flow)
                skip = True
            body.finish(flow)
            texts = [(line.target, line.expression) for line in body.lines]
            key = repr((type(layer), body.attributes, texts, [number.kind for number in body.numbers]))
            if key not in kinds:
                kinds[key] = Kind(class_name(_kind_name(name, layer), taken), _about(layer))
                taken.add(kinds[key].name)
            kinds[key].bodies.append(body)
            yield Block(name, kinds[key], len(kinds[key].bodies) - 1, flow.shape)
        shape = layer.output_shape(shape)


def _stages(items: Sequence[Item]) -> Iterator[list[Block] | tuple[str, Layer]]:
    """Blocks that follow one another and are called alike, but for a number at the end, together."""
    run: list[Block] = []
    others = {item[0] if isinstance(item, tuple) else item.name for item in items}
    for item in items:
        if isinstance(item, Block) and run and _follows(run[-1].name, item.name) and _stage(item.name) not in others:
            run.append(item)
            continue
        if run:
            yield run
        run = [item] if isinstance(item, Block) else []
        if isinstance(item, tuple):
            yield item
    if run:
        yield run


def _follows(name: str, after: str) -> bool:
    first, second = (re.fullmatch(r"(.*)_(\d+)", one) for one in (name, after))
    return bool(first and second and first[1] == second[1] and int(first[2]) + 1 == int(second[2]))


def _stage(name: str) -> str:
    """What a block and those that follow it are called together."""
    return name.rpartition("_")[0]


def _made(blocks: Sequence[Block]) -> str:
    """What makes blocks one after another; many whose numbers are the same, or rise evenly, in a loop."""
    if len(blocks) == 1:
        return blocks[0].call()
    made, start = list[str](), 0
    while start < len(blocks):
        run = _run(blocks[start:])
        if len(run) < MANY:
            made.append(blocks[start].call())
            start += 1
            continue
        first, second = (block.arguments for block in run[:2])
        steps = {name: second[name] - value for name, value in first.items()}
        values = {name: f"{value} + {steps[name]} * i" if steps[name] else str(value) for name, value in first.items()}
        index = "i" if any(steps.values()) else "_"
        made.append(f"*({_call(run[0].kind.name, values)} for {index} in range({len(run)}))")
        start += len(run)
    return f"{SEQUENTIAL}({', '.join(made)})"


def _run(blocks: Sequence[Block]) -> Sequence[Block]:
    """The first of the blocks, as many as are of one kind and rise by the same numbers."""

    def rise(number: int) -> list[int]:
        before, after = blocks[number - 1].arguments, blocks[number].arguments
        return [after[name] - before[name] for name in before]

    end = 1
    while end < len(blocks) and blocks[end].kind is blocks[0].kind and rise(end) == rise(1):
        end += 1
    return blocks[:end]


def _call(name: str, arguments: dict[str, str]) -> str:
    return f"{name}({', '.join(f'{key}={value}' for key, value in arguments.items())})"


def _by(values: tuple[int, ...], known: tuple[int, ...], name: str) -> str:
    """Numbers written by others: as they are, or so many times or parts of them; "" where they are neither."""
    if values == known:
        return name
    pairs = [*zip(values, known, strict=True)]
    if not all(pair[0] and pair[1] for pair in pairs):
        return ""
    times, share = pairs[0][0] // pairs[0][1], pairs[0][1] // pairs[0][0]
    if times > 1 and all(value == times * one for value, one in pairs):
        return f"{times} * {name}"
    if share > 1 and all(one == share * value for value, one in pairs):
        return f"{name} // {share}"
    return ""


def _kind_name(name: str, layer: Layer) -> str:
    """What a class of blocks is called: as they are, without their numbers, or by their type."""
    word = "".join(re.findall("[A-Za-z]+", name)) if layer.name else ""
    word = {"": type(layer).__name__, "layer": "Block"}.get(word.lower(), word)
    return f"{word} with-shortcut" if isinstance(layer, Residual) and layer.shortcut != Chain(()) else word


def _about(layer: Layer) -> str:
    if isinstance(layer, Residual):
        return f"A body, and {'the input' if layer.shortcut == Chain(()) else 'a shortcut'} added to it."
    if isinstance(layer, Concat):
        return "Branches side by side, their channels one after another."
    return "Layers one after another."


def _methods(body: Body, numbers: Sequence[str], arguments: Sequence[str], shapes: bool) -> list[str]:
    """`__init__` and `forward`, with what stands for the numbers, and with comments on shapes."""
    signature = ", ".join(["self", *(f"{name}: int" for name in arguments)])
    lines = [*statement(4, "def ", f"__init__({signature})", end=" -> None:"), "        super().__init__()"]
    forward = [
        (line, filled(line.expression, [re.sub(r"[a-z]\w*", r"self.\g<0>", one) for one in numbers]))
        for line in body.lines
    ]
    kept = [name for name in arguments if any(re.search(rf"\bself\.{name}\b", text) for _, text in forward)]
    lines += [f"        self.{name} = {name}" for name in kept]
    for name, made in body.attributes:
        whole, head = filled(made, numbers), f"self.{name} = "
        inside = parts(whole.removeprefix(SEQUENTIAL)[1:-1]) if whole.startswith(SEQUENTIAL) else []
        one_line = len(inside) < 2 and len(head + whole) <= LINE - 8
        lines += statement(8, head, whole) if one_line or not inside else exploded(8, head, SEQUENTIAL, inside)
    lines += ["", f"    def forward(self, {INPUT}: Tensor) -> Tensor:"]
    for line, expression in forward:
        head = f"{line.target} = " if line.target else "return "
        comment = " × ".join(map(str, line.shape)) if shapes else ""
        lines += statement(8, head, expression, comment)
    return lines
