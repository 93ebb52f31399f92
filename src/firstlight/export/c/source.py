"""The C99 file of a model: what it is, its constants, a function for each kind of operation, and one call a layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import numpy as np

from firstlight.export.c.calls import Calls
from firstlight.export.c.text import TYPES, array, comment, declaration, string
from firstlight.export.exportable import Expected, Exportable
from firstlight.export.inference_graph import PROBABILITIES, STRANGENESS, Operation, tells_strangeness
from firstlight.export.reference import values
from firstlight.types import Array, unlabelled

STRANGE = [
    "float firstlight_strangeness(void)",
    "How strange the image of the last call was: above 1, it is of none of the classes, and only most like the one "
    "returned.",
]
STRANGENESS_FUNCTION = """
float firstlight_strangeness(void)
{
    return strangeness[0];
}
"""
STRANGENESS_TEST = """\
        {
            const float wished = test_strangeness[n], difference = firstlight_strangeness() - wished;
            const float size = difference < 0.0f ? -difference : difference;
            good = good && size <= 1e-3f * (wished > 1.0f ? wished : 1.0f);
        }
"""
HEADERS = {  # by what is called from them
    "<float.h>": r"FLT_MAX",
    "<math.h>": r"sqrt|expm1f|expf|tanhf|erfcf|floorf?",
}


@dataclass(frozen=True, eq=False)
class Source:
    """The file of a model.

    operations  what it computes
    claim       a sentence on what was verified
    facts       in addition to those of the model
    measured    a further line on the memory it needs, as a compiler has found
    """

    model: Exportable
    operations: Sequence[Operation]
    claim: str
    facts: Mapping[str, str]
    measured: str = ""

    @property
    def strange(self) -> bool:
        """Whether it tells how strange an image is."""
        return tells_strangeness(self.operations)

    @cached_property
    def calls(self) -> Calls:
        return Calls(self.operations)

    @property
    def constant_bytes(self) -> int:
        """Weights and other constants."""
        return sum(values.nbytes for values in self.calls.constants.values())

    @property
    def scratch_bytes(self) -> int:
        """Memory that is written while a class is predicted."""
        return sum(size * np.dtype(kind).itemsize for kind, size in self.calls.scratch.values())

    @property
    def memory(self) -> str:
        """What it needs, in a few words."""
        return f"{self.constant_bytes:,} bytes of weights and tables, {self.scratch_bytes:,} bytes of RAM"

    def text(self) -> str:
        """The whole file."""
        code = self._code(array)
        head = self._head("<math.h>" in code)
        return "\n".join([head, code, self._self_test()])

    def code(self) -> str:
        """Its code alone, without the numbers of its constants, as a compiler measures it."""
        return self._code(declaration)

    def _code(self, constant: Callable[[str, Array], str]) -> str:
        functions = _needed(" ".join([*self.calls.statements, "largest("]))
        constants = (constant(name, values) for name, values in self.calls.constants.items())
        body = "\n".join([*constants, *functions, self._predict()])
        headers = ["<stdint.h>", *(name for name, called in HEADERS.items() if re.search(rf"\b({called})\b", body))]
        includes = "".join(f"#include {name}\n" for name in sorted(headers))
        return "\n".join([includes, self._offers(), body])

    def _head(self, math_library: bool) -> str:
        height, width, channels = self.model.input_shape
        classes = len(self.model.class_names)
        paragraphs = [
            [
                f"{self.model.title}, a classifier of images: one file of C99 that needs nothing else and "
                f"allocates nothing{'; link it with the mathematics library (-lm)' if math_library else ''}."
            ],
            [
                "int firstlight_predict(const uint8_t *image, float *probabilities)",
                f"image: {height} rows of {width} pixels of {channels} "
                f"{'byte, grey' if channels == 1 else 'bytes, red, green and blue'}, from 0 to 255, as they are: the "
                "preparation is inside.",
                f"probabilities: receives {classes}, which sum to 1.",
                "Returns the class, an index into firstlight_classes. Its scratch memory is static: one call at a "
                "time.",
            ],
            *([STRANGE] if self.strange else []),
            [
                "Memory:",
                f"flash {self.constant_bytes:,} bytes of weights and tables, and the code",
                f"RAM {self.scratch_bytes:,} bytes of static scratch memory, and the stack; the caller's image "
                f"({height * width * channels:,} bytes) and probabilities ({4 * classes:,} bytes) besides",
                *filter(None, [self.measured]),
            ],
            [self.claim],
            [
                "With FIRSTLIGHT_SELF_TEST defined, the file has a main that runs it on "
                f"{len(self._samples.images)} images and says whether they are what firstlight gives.",
                "Where two models meet in one program, compile each with names of its own: "
                "-Dfirstlight_predict=first_predict -Dfirstlight_classes=first_classes, and so for "
                "each of the others.",
            ],
            [
                "The functions are firstlight's, under the Apache License 2.0. Where the model comes from:",
                *(f"{name}: {text}" for name, text in self._facts),
            ],
            ["Classes, number and name:", *(f"{k} {name}" for k, name in enumerate(self.model.class_names))],
        ]
        text = "\n\n".join("\n".join(comment(line) for line in lines) for lines in paragraphs)
        return f"/*\n{text}\n */\n"

    @cached_property
    def _facts(self) -> list[tuple[str, str]]:
        return [*self.model.facts.items(), *self.facts.items()]

    def _offers(self) -> str:
        height, width, channels = self.model.input_shape
        classes = len(self.model.class_names)
        strangeness = "float firstlight_strangeness(void);\n" if self.strange else ""
        names = ",\n".join(f"    {string(name, 'name of the class')}" for name in self.model.class_names)
        facts = ",\n".join(f"    {{{string(name)}, {string(text)}}}" for name, text in self._facts)
        return f"""\
enum {{
    FIRSTLIGHT_HEIGHT = {height},
    FIRSTLIGHT_WIDTH = {width},
    FIRSTLIGHT_CHANNELS = {channels},
    FIRSTLIGHT_CLASSES = {classes}
}};

int firstlight_predict(const uint8_t *image, float *probabilities);
{strangeness}extern const char *const firstlight_classes[{classes}];
extern const char *const firstlight_facts[{len(self._facts)}][2]; /* name and text */
extern const char firstlight_claim[];

const char *const firstlight_classes[{classes}] = {{
{names}
}};

const char *const firstlight_facts[{len(self._facts)}][2] = {{
{facts}
}};

const char firstlight_claim[] =
    {string(self.claim, "claim")};
"""

    def _predict(self) -> str:
        scratch = "".join(
            f"static {TYPES[kind]} {name}[{size}];\n" for name, (kind, size) in self.calls.scratch.items()
        )
        steps = "\n".join(self.calls.statements)
        return f"""\
/* What the operations give, each where nothing lies that is still needed. */
{scratch}
int firstlight_predict(const uint8_t *image, float *probabilities)
{{
{steps}
    return largest(probabilities, FIRSTLIGHT_CLASSES);
}}
{STRANGENESS_FUNCTION if self.strange else ""}"""

    @cached_property
    def _samples(self) -> Expected:
        if self.model.samples is not None:
            return self.model.samples
        noise = np.random.default_rng(0).integers(0, 256, (10, *self.model.input_shape), np.uint8)
        found = {one.output: y for one, y in values(self.operations, noise)}
        strangeness = found[STRANGENESS][0] if self.strange else None
        return Expected(unlabelled(noise), found[PROBABILITIES].T, strangeness)

    def _self_test(self) -> str:
        samples = self._samples
        n = len(samples.images)
        pixels = array("test_images", np.asarray(samples.images.pixels).reshape(n, -1))
        wanted = array("test_probabilities", samples.probabilities.astype(np.float32))
        strange = "" if samples.strangeness is None or not self.strange else STRANGENESS_TEST
        if samples.strangeness is not None and strange:
            wanted += array("test_strangeness", samples.strangeness.astype(np.float32))
        return f"""\
#ifdef FIRSTLIGHT_SELF_TEST
#include <stdio.h>

{pixels}
{wanted}
int main(void)
{{
    static float probabilities[FIRSTLIGHT_CLASSES];
    float apart = 0.0f;
    int right = 0;
    for (int n = 0; n < {n}; n++) {{
        const int wanted = largest(test_probabilities[n], FIRSTLIGHT_CLASSES);
        int good = firstlight_predict(test_images[n], probabilities) == wanted;
        for (int k = 0; k < FIRSTLIGHT_CLASSES; k++) {{
            const float difference = probabilities[k] - test_probabilities[n][k];
            const float size = difference < 0.0f ? -difference : difference;
            good = good && size <= 1e-4f;
            apart = size > apart ? size : apart;
        }}
{strange}        right += good;
    }}
    printf("firstlight: %d of {n} test images as expected; probabilities differ by %g at most.\\n", right,
           (double)apart);
    return right == {n} ? 0 : 1;
}}
#endif
"""


def _functions() -> dict[str, str]:
    """The functions of C that files may need, by name, in their order; the comment before each is its formula."""
    folder = resources.files("firstlight.export.c")
    text = "\n".join((folder / name).read_text(encoding="ascii") for name in ("common.c", "float32.c", "int8.c"))
    found: dict[str, str] = {}
    for part in re.split(r"\n(?=/\*)", text):
        name = re.search(r"^(?:static [\w ]*?\*?(\w+)\(|struct (\w+) \{)", part, re.MULTILINE)
        assert name is not None, part
        found[name[1] or name[2]] = part.strip("\n") + "\n"
    return found


def _needed(text: str) -> Iterable[str]:
    """The functions that `text` calls, and those that they call."""
    known = _functions()
    wanted, found = [text], set[str]()
    while wanted:
        calls = wanted.pop()
        reached = {name for name in known if re.search(rf"\b{name}\(|\bstruct {name}\b", calls)} - found
        found |= reached
        wanted += [known[name] for name in reached]
    return (known[name] for name in known if name in found)
