"""The notation of formulas in docstrings, Unicode as it stands there, read into a tree.

    y = γ x̂ + β          factors side by side, with a space between them; KN, 2N and f(x) without one
    x̂ = (x − μ) / √(σ² + ε)   all factors before a stroke are over what follows it: a b / c d is (a b / c) d
    y[o,i,j], xᵢ, x², e⁻ˣ, q^γ, Wᵀ, θ̄, f′(x)   indices, powers, hats, bars, derivatives
    Σₙ dy, Σ[c,u,v] W[o,c,u,v], max[u,v] x[c,u,v]   with the indices that are summed over
    tanh x, log(1 − p)   a function of the one factor that follows it
    x where x > 0, else α (eˣ − 1)   cases
    θ ← θ − lr g, dx += W dy, y = x in evaluation   what is done, and when

A name is one letter. dx, dW, dγ are gradients: d and a letter. Lower-case words, such as lr, are names too; KN is K N.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import TypeAlias

FUNCTIONS = frozenset({"exp", "log", "tanh", "sinh", "cosh", "sign", "softmax"})
BIG = frozenset({"Σ", "Π", "max", "min"})  # what may have indices below
RELATIONS = frozenset({"=", "≠", "<", ">", "≤", "≥", "≈", "∝", "∈", "←", "→", "+="})
TIMES = frozenset({"·", "×", "∗", "⊙"})
CLOSING = {"(": ")", "[": "]", "{": "}", "|": "|", "‖": "‖", "⌊": "⌋", "⌈": "⌉"}
ACCENTS = {"\u0302": "^", "\u0304": "¯", "\u0303": "~", "\u0307": "˙"}

_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥᵦᵧᵨᵩᵪ", "0123456789+−=()aeoxhklmnpstijruvβγρφχ", strict=True))
_RAISED = dict(
    zip(
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵅᵝᵞᵟᵠᵡ",
        "0123456789+−=()abcdefghijklmnoprstuvwxyzTαβγδφχ",
        strict=True,
    )
)
_LETTER = "[A-Za-zΑ-Ωα-ω][\u0300-\u036f]*"
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    | (?P<number>\d+(?:\.\d+)?|[∞…½])
    | (?P<gradient>d{_LETTER}(?![a-zα-ω]))
    | (?P<word>[a-z]{{2,}})
    | (?P<symbol>\+=|[Σ=Π≠<>≤≥≈∝∈←→+−±·×∗⊙/√∂()\[\]{{}}|‖⌊⌋⌈⌉,;^′])
    | (?P<letter>{_LETTER})
    | (?P<lowered>[{"".join(_LOWERED)}]+(?:[…≠<>≤≥][{"".join(_LOWERED)}]+)*)
    | (?P<raised>[{"".join(_RAISED)}]+)""",
    re.VERBOSE,
)


class FormulaError(ValueError):
    """A text that is no formula of this notation."""


# --- the tree ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A number as it is written, ∞, or … for what is left out."""

    text: str


@dataclass(frozen=True)
class Name:
    """A name: a letter, a word, or a gradient, which is called `of` what is differentiated by: dx of x."""

    text: str
    accents: str = ""
    gradient: bool = False


@dataclass(frozen=True)
class Script:
    """A base with indices below it, a power above it, or strokes of derivatives."""

    base: Node
    below: tuple[Node, ...] = ()
    above: Node | None = None
    primes: int = 0


@dataclass(frozen=True)
class Group:
    """What stands between two brackets, as many entries as the commas or semicolons part."""

    opening: str
    entries: tuple[Node, ...]
    separator: str = ","


@dataclass(frozen=True)
class Call:
    """A function of its arguments; of one factor, where there are no brackets."""

    function: Node
    argument: Node


@dataclass(frozen=True)
class Root:
    """A square root."""

    body: Node


@dataclass(frozen=True)
class Partial:
    """∂ and what it is of."""

    body: Node


@dataclass(frozen=True)
class Fraction:
    """One over the other."""

    over: Node
    under: Node


@dataclass(frozen=True)
class Product:
    """Factors, and what stands between each two: "" for nothing, " " for a space, or a sign of `TIMES`."""

    factors: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Sum:
    """Terms, each with the sign before it; that of the first may be ""."""

    terms: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Big:
    """Σ, Π, max or min of a body over the indices below it, up to a bound above it."""

    sign: str
    below: tuple[Node, ...]
    above: Node | None
    body: Node


@dataclass(frozen=True)
class Relation:
    """Sides with a sign of `RELATIONS` between each two; a line that goes on from the one above begins with one."""

    sides: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Cases:
    """A value where its condition holds, or else the last one."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True)
class Qualified:
    """A formula that holds in training, or in evaluation."""

    body: Node
    when: str


Node: TypeAlias = (
    Number
    | Name
    | Script
    | Group
    | Call
    | Root
    | Partial
    | Fraction
    | Product
    | Sum
    | Big
    | Relation
    | Cases
    | Qualified
)


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Token:
    """One sign of a text: what kind it is, whether a space stands before it, and from where to where it goes."""

    kind: str
    text: str
    spaced: bool
    start: int
    end: int


def parse(text: str) -> Node:
    """The tree of a formula. Raises FormulaError where the text is none."""
    reader = Reader(text)
    node = reader.formula()
    if reader.token.kind != "end":
        raise reader.misread("an operator, or the end")
    return node


def tokens(text: str, single: bool = False) -> Iterator[Token]:
    """The tokens of a text; what is no part of the notation is one of kind "other".

    single  whether each letter stands for itself, as in indices: ij are i and j
    """
    place, spaced = 0, True
    while place < len(text):
        found = _TOKEN.match(text, place)
        kind, sign = (str(found.lastgroup), found[0]) if found else ("other", text[place])
        if single and kind in ("gradient", "word"):
            kind, sign = "letter", sign[0]
        end = place + len(sign)
        if kind != "space":
            yield Token(kind, sign, spaced, place, end)
        place, spaced = end, kind == "space"
    yield Token("end", "", True, place, place)


class Reader:
    """Reads a formula from a place of a text on, and stands behind it then.

    words  the words that are names; all where None is given
    """

    def __init__(self, text: str, words: Container[str] | None = None, place: int = 0, single: bool = False) -> None:
        self.text, self.words = text, words
        self._tokens = [token for token in tokens(text, single) if token.start >= place]
        self._place = 0

    @property
    def token(self) -> Token:
        """The one to be read next."""
        return self._tokens[self._place]

    @property
    def behind(self) -> int:
        """Where in the text what has been read ends."""
        return self._tokens[self._place - 1].end if self._place else self.token.start

    def misread(self, wanted: str) -> FormulaError:
        """The error where something else should stand here."""
        found = repr(self.token.text) if self.token.text else "the end"
        return FormulaError(
            f"The formula {self.text!r} cannot be read: at character {self.token.start + 1} it should have {wanted}; "
            f"received {found}."
        )

    def formula(self) -> Node:
        """Sides with relations between them, and when that holds."""
        node = self._related(self._cases, [] if self._is(*RELATIONS) else [self._cases()])
        following = self._tokens[self._place + 1 : self._place + 2]
        if self._is("in") and following and following[0].text in ("training", "evaluation"):
            self._take()
            node = Qualified(node, self._take())
        return node

    def _cases(self) -> Node:
        value, place = self._sum(), self._place
        if self._is("where"):
            try:
                return self._branches(value)
            except FormulaError:
                self._place = place  # it explains a name, and is no part of the formula
        return value

    def _branches(self, value: Node) -> Node:
        branches = []
        while not self._is("else"):
            self._expect("where")
            branches.append((value, self._relation()))
            self._expect(",")
            value = value if self._is("else") else self._sum()
        self._take()
        return Cases(tuple(branches), self._sum())

    def _relation(self) -> Node:
        return self._related(self._sum, [self._sum()])

    def _related(self, side: Callable[[], Node], sides: list[Node]) -> Node:
        signs: list[str] = []
        while self._is(*RELATIONS):
            signs.append(self._take())
            sides.append(side())
        return Relation(tuple(sides), tuple(signs)) if signs else sides[0]

    def _sum(self) -> Node:
        sign = self._take() if self._is("−", "+", "±") else ""
        terms = [(sign, self._term())]
        while self._is("+", "−", "±"):
            terms.append((self._take(), self._term()))
        return terms[0][1] if len(terms) == 1 and not sign else Sum(tuple(terms))

    def _term(self) -> Node:
        factors = [self._factor()]
        signs: list[str] = []
        while True:
            if self._is("/"):
                self._take()
                since = next((i + 1 for i in reversed(range(len(signs))) if signs[i] in TIMES), 0)
                over = _product(factors[since:], signs[since:])
                factors[since:], signs[since:] = [Fraction(over, self._factor())], []
            elif self._is(*TIMES):
                signs.append(self._take())
                factors.append(self._factor())
            elif self._begins_factor():
                signs.append(" ")
                factors.append(self._factor())
            else:
                return _product(factors, signs)

    def _begins_factor(self) -> bool:
        kind, text = self.token.kind, self.token.text
        if kind == "word":
            return text in FUNCTIONS | BIG or self._is_name(text)
        return kind in ("number", "letter", "gradient") or text in ("(", "{", "[", "⌊", "⌈", "√", "∂", "Σ", "Π")

    def _is_name(self, word: str) -> bool:
        return word not in ("where", "else", "in") and (self.words is None or word in self.words)

    def _factor(self) -> Node:
        """What a stroke takes as its denominator: letters and numbers that stand close together are one factor."""
        if self._is(*BIG) and (self.token.kind == "symbol" or self._following() != "("):
            return self._big()
        factors = [self._single()]
        while not self.token.spaced and self._begins_factor() and not self._is(*BIG):
            factors.append(self._single())
        return _product(factors, [""] * (len(factors) - 1))

    def _following(self) -> str:
        following = self._tokens[self._place + 1]
        return "" if following.spaced else following.text

    def _big(self) -> Node:
        sign = self._take()
        below = self._below()
        above = self._take_script() if self.token.kind == "raised" and not self.token.spaced else None
        return Big(sign, below, above, self._term())

    def _single(self) -> Node:
        token = self.token
        if token.kind == "word" and token.text in FUNCTIONS | BIG:
            return self._function()
        if self._is("√"):
            self._take()
            of_function = self.token.kind == "word" and self.token.text in FUNCTIONS | BIG
            body = self._function() if of_function else self._scripted(self._atom(), powers=False)
            return self._scripted(Root(_bare(body)))
        if self._is("∂"):
            self._take()
            above = self._take_script() if self.token.kind == "raised" else None
            body = Partial(self._single())
            return body if above is None else Script(body, above=above)
        node = self._scripted(self._atom())
        if isinstance(_base(node), Name) and self._is("(") and not self.token.spaced:
            node = self._scripted(Call(node, self._atom()))
        return node

    def _function(self) -> Node:
        function = self._scripted(Name(self._take()), indices=False)
        if self._is("(") and not self.token.spaced:
            return self._scripted(Call(function, self._atom()))
        if self.token.kind == "word" and self.token.text in FUNCTIONS:
            return Call(function, self._function())
        return Call(function, self._single())

    def _scripted(self, node: Node, powers: bool = True, indices: bool = True) -> Node:
        """The node with the indices, powers and strokes that follow it without a space."""
        below: tuple[Node, ...] = ()
        above, primes = None, 0
        while not self.token.spaced:
            if not below and indices and (self.token.kind == "lowered" or self._is("[")):
                below = self._below()
            elif above is None and powers and self.token.kind == "raised":
                above = self._take_script()
            elif above is None and powers and self._is("^"):
                self._take()
                above = _bare(self._atom())
            elif self._is("′"):
                self._take()
                primes += 1
            else:
                break
        return Script(node, below, above, primes) if below or above is not None or primes else node

    def _below(self) -> tuple[Node, ...]:
        if self.token.spaced:
            return ()
        if self.token.kind == "lowered":
            return (self._take_script(),)
        return self._list("[")[0] if self._is("[") else ()

    def _take_script(self) -> Node:
        letters = {**_LOWERED, **_RAISED}
        small = "".join(letters.get(letter, letter) for letter in self._take())
        inner = Reader(small, single=True)
        node = inner._relation()
        if inner.token.kind != "end":
            raise self.misread("an index or a power")
        return node

    def _atom(self) -> Node:
        kind, text = self.token.kind, self.token.text
        if kind == "number":
            return Number(self._take())
        if kind == "word" and self._is_name(text):
            return Name(self._take())
        if kind == "letter":
            return self._name(self._take())
        if kind == "gradient":
            return self._name(self._take().removeprefix("d"), gradient=True)
        if text in CLOSING:
            entries, separator = self._list(text)
            return Group(text, entries, separator)
        raise self.misread("a name, a number or a bracket")

    def _name(self, letter: str, gradient: bool = False) -> Name:
        if unknown := [accent for accent in letter[1:] if accent not in ACCENTS]:
            raise FormulaError(f"The formula {self.text!r} has an accent that is not known: {unknown[0]!r}.")
        return Name(letter[0], letter[1:], gradient)

    def _list(self, opening: str) -> tuple[tuple[Node, ...], str]:
        """The entries between brackets, and what parts them."""
        self._take()
        entries, separator = [self._relation()], ","
        while self._is(",", ";"):
            separator = self._take()
            entries.append(self._relation())
        self._expect(CLOSING[opening])
        return tuple(entries), separator

    def _expect(self, text: str) -> None:
        if not self._is(text):
            raise self.misread(repr(text))
        self._take()

    def _is(self, *texts: str) -> bool:
        return self.token.kind in ("symbol", "word") and self.token.text in texts

    def _take(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1].text


def _product(factors: list[Node], signs: list[str]) -> Node:
    return factors[0] if len(factors) == 1 else Product(tuple(factors), tuple(signs))


def _bare(node: Node) -> Node:
    """What stands in round brackets that the typesetting does without: a root's body, a power."""
    if isinstance(node, Group) and node.opening == "(" and len(node.entries) == 1:
        return node.entries[0]
    return node


def _base(node: Node) -> Node:
    return node.base if isinstance(node, Script) else node
