"""A formula as MathML, which browsers typeset by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from html import escape

from firstlight.formulas.notation import (
    ACCENTS,
    CLOSING,
    Big,
    Call,
    Cases,
    Fraction,
    Group,
    Name,
    Node,
    Number,
    Partial,
    Product,
    Qualified,
    Relation,
    Root,
    Script,
    Sum,
    parse,
)

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
# A page with cases needs it: browsers centre the cells of a table.
STYLE = "math.formula mtd{text-align:left;padding:.15em .5em .15em 0}"

_APPLIED, _TIMES = "<mo>&#x2061;</mo>", "<mo>&#x2062;</mo>"
_LARGE = {"Σ": "∑", "Π": "∏"}
_THIN, _SPACE = '<mspace width="0.17em"/>', '<mspace width="0.3em"/>'


@lru_cache(maxsize=4096)
def mathml(text: str, *, display: bool = False) -> str:
    """A formula of docstrings, such as "dx = γ / √(σ² + ε) · dy", as an element <math>, escaped.

    display  whether it stands in a line of its own, so that fractions and sums may be as large as they are
    Raises FormulaError where the text is no formula.
    """
    form = ' display="block"' if display else ""
    plain = escape(re.sub(r"\s+", " ", text.strip()))
    return f'<math xmlns="{NAMESPACE}" class="formula"{form} alttext="{plain}">{_row(_set(parse(text)))}</math>'


def _set(node: Node, small: bool = False) -> str:
    """The elements of a node. `small` are indices and powers, in which fractions stand in the line."""
    match node:
        case Number(text):
            return f"<mn>{text}</mn>" if text[0].isdigit() else f"<mi>{text}</mi>"
        case Name():
            return _name(node)
        case Script():
            return _script(node, small)
        case Group(opening, entries, separator):
            return _group(opening, _list(entries, separator, small))
        case Call(function, argument):
            space = "" if isinstance(argument, Group) else _THIN
            return f"{_set(function, small)}{_APPLIED}{space}{_set(argument, small)}"
        case Root(body):
            return f"<msqrt>{_set(body, small)}</msqrt>"
        case Partial(body):
            return f'<mo lspace="0" rspace="0">∂</mo>{_set(body, small)}'
        case Fraction(over, under) if small:
            return f"{_set(over, small)}{_operator('/')}{_set(under, small)}"
        case Fraction(over, under):
            return f"<mfrac>{_row(_set(_inside(over)))}{_row(_set(_inside(under)))}</mfrac>"
        case Product(factors, signs):
            return _product(factors, signs, small)
        case Sum(terms):
            return _sum(terms, small)
        case Big():
            return _big(node, small)
        case Relation(sides, signs):
            if len(sides) == len(signs):
                return "".join(
                    _operator(sign) + _row(_set(side, small)) for sign, side in zip(signs, sides, strict=True)
                )
            return _joined((_set(side, small) for side in sides), [_operator(sign) for sign in signs])
        case Cases(branches, otherwise):
            rows = [(value, f"{_words('where')}{_set(condition)}") for value, condition in branches]
            table = "".join(_case(_set(value), when) for value, when in rows) + _case(_set(otherwise), _words("else"))
            return f'<mo fence="true">{{</mo><mtable>{table}</mtable>'
        case Qualified(body, when):
            return f"{_set(body, small)}{_SPACE}{_words(f'in {when}')}"


def _name(name: Name) -> str:
    letter = f"<mi>{name.text}</mi>"
    for accent in name.accents:
        letter = f'<mover accent="true">{letter}<mo stretchy="false">{ACCENTS[accent]}</mo></mover>'
    return f'<mrow><mi mathvariant="normal">d</mi>{letter}</mrow>' if name.gradient else letter


def _group(opening: str, inner: str) -> str:
    # Brackets grow round what is tall alone: without a font for mathematics, a browser makes all of them too large.
    stretchy = "true" if any(tall in inner for tall in ("<mfrac", "<munder", "<mtable")) else "false"
    before, after = (f'<mo fence="true" stretchy="{stretchy}">{sign}</mo>' for sign in (opening, CLOSING[opening]))
    return f"{before}{inner}{after}"


def _script(node: Script, small: bool) -> str:
    base = _row(_set(node.base, small))
    below = _row(_list(node.below, ",", True)) if node.below else ""
    above = "<mo>″</mo>" if node.primes == 2 else "<mo>′</mo>" * node.primes
    if node.above is not None:
        above += _set(node.above, True)
    if below and above:
        return f"<msubsup>{base}{below}{_row(above)}</msubsup>"
    return f"<msub>{base}{below}</msub>" if below else f"<msup>{base}{_row(above)}</msup>"


def _big(big: Big, small: bool) -> str:
    sign = f"<mo>{big.sign}</mo>" if big.sign.isascii() else f'<mo largeop="true">{_LARGE[big.sign]}</mo>'
    below = _row(_list(big.below, ",", True)) if big.below else ""
    above = _row(_set(big.above, True)) if big.above is not None else ""
    if below and above:
        sign = f"<munderover>{sign}{below}{above}</munderover>"
    elif below:
        sign = f"<munder>{sign}{below}</munder>"
    return f"{sign}{_THIN}{_row(_set(big.body, small))}"


def _product(factors: tuple[Node, ...], signs: tuple[str, ...], small: bool) -> str:
    between = []
    for left, right, sign in zip(factors[:-1], factors[1:], signs, strict=True):
        # Names of more than a letter, and functions without brackets, would run into each other.
        thin = sign == " " and any(_is_long(each) for each in (left, right))
        between.append(_operator(sign) if sign.strip() else _TIMES + (_THIN if thin else ""))
    return _joined((_set(factor, small) for factor in factors), between)


def _is_long(node: Node) -> bool:
    if isinstance(node, Script):
        return _is_long(node.base)
    return isinstance(node, Big | Call) or (isinstance(node, Name) and (node.gradient or len(node.text) > 1))


def _sum(terms: tuple[tuple[str, Node], ...], small: bool) -> str:
    # A sign at the start stands close to its term, as browsers see by its form.
    forms = ("prefix", *("infix" for _ in terms))
    signs = (f'<mo form="{form}">{sign}</mo>' if sign else "" for form, (sign, _) in zip(forms, terms, strict=False))
    return "".join(sign + _row(_set(term, small)) for sign, (_, term) in zip(signs, terms, strict=True))


def _case(value: str, when: str) -> str:
    return f"<mtr><mtd>{value}</mtd><mtd>{when}</mtd></mtr>"


def _words(text: str) -> str:
    return f"<mtext>{text}\u00a0</mtext>"


def _list(entries: tuple[Node, ...], separator: str, small: bool) -> str:
    return _joined((_set(entry, small) for entry in entries), [_operator(separator)] * (len(entries) - 1))


def _joined(parts: Iterable[str], between: Iterable[str]) -> str:
    first, *others = map(_row, parts)
    return first + "".join(sign + part for sign, part in zip(between, others, strict=True))


def _operator(sign: str) -> str:
    return f"<mo>{escape(sign)}</mo>"


def _row(inner: str) -> str:
    """The elements as one."""
    return f"<mrow>{inner}</mrow>"


def _inside(node: Node) -> Node:
    """What stands in brackets that a stroke makes needless."""
    if isinstance(node, Group) and node.opening in ("(", "{") and len(node.entries) == 1:
        return node.entries[0]
    return node
