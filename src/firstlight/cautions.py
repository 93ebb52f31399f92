"""What firstlight warns of: a code for each kind of warning, with what it means and what to do.

The code stands behind the warning, wherever it is shown: "(FL103)". `firstlight help FL103` explains it, and so does a
page of the reference, which is made from this file. A code is never given to another kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NOTE = "Note: "  # how a warning begins on the terminal


@dataclass(frozen=True)
class Explanation:
    """Of a kind of warning.

    code     under which it is explained
    title    what is the matter, in a few words
    meaning  what was found, and why it matters
    remedy   what to do
    """

    code: str
    title: str
    meaning: str
    remedy: str


class Caution(Enum):
    """FL1 is of images, labels and splits, FL2 of training, FL3 of comparing, FL4 of using a model, FL5 of files."""

    UNVERIFIED_FILES = Explanation(
        "FL101",
        "Files that are not the published ones",
        "The checksum of a file of a named set is not the one that is published, or none is known. The images may be "
        "others than those that are meant by this name, so that accuracies do not compare with published ones.",
        "Delete the file and let firstlight fetch it again, or give your images a name of their own by their path.",
    )
    UNREADABLE_FILES = Explanation(
        "FL102",
        "Files that could not be read",
        "Some image files are damaged, cut short, empty or of a kind that is not read. They are left out, and the run "
        "records which and why.",
        "`firstlight data check` lists them with the reason of each. Replace or remove them.",
    )
    COPIES_ACROSS_SPLITS = Explanation(
        "FL103",
        "The same image in two splits",
        "Images of the validation or the test split are also in an earlier split, pixel for pixel. A model is measured "
        "there on what it has learnt by heart: the accuracy is flattered, or the wrong weights are selected.",
        'Remove the copies (`firstlight data check` lists them), or set `data.near_copies = "drop"` to leave out the '
        'copies in the earlier split, or `"group"` to keep all copies of an image in one split.',
    )
    COPIES_WITHIN_SPLIT = Explanation(
        "FL104",
        "The same image several times in a split",
        "An image that is there twice counts twice: in training it has twice the weight, in a test the interval of the "
        "accuracy is narrower than it should be.",
        "Remove the copies where they are not meant: `firstlight data check` lists them.",
    )
    COPIES_WITH_OTHER_LABELS = Explanation(
        "FL105",
        "Copies of an image with different labels",
        "Of an image and its exact copy at most one label is right, so that no model can get both right.",
        "Look at them (`firstlight data check`, `firstlight labels`) and correct the labels: `data.corrections`.",
    )
    NEAR_COPIES_ACROSS_SPLITS = Explanation(
        "FL106",
        "Nearly the same image in two splits",
        "Images of the validation or the test split show the same picture as one of an earlier split, turned, "
        "mirrored, resized, compressed, brighter or shifted. As with exact copies (FL103), the accuracy is flattered.",
        '`firstlight data check` lists the pairs and draws them. `data.near_copies = "drop"` leaves those of the '
        'earlier split out, `"group"` keeps them together.',
    )
    NEAR_COPIES_WITHIN_SPLIT = Explanation(
        "FL107",
        "Nearly the same image several times in a split",
        "They are less different images than their number says.",
        'Set `data.near_copies = "group"`, so that no split divides them, or remove what is not meant.',
    )
    NEAR_COPIES_WITH_OTHER_LABELS = Explanation(
        "FL108",
        "Near copies with different labels",
        "Two pictures that are nearly the same have different labels. One of the labels may be wrong.",
        "Look at them (`firstlight data check`) and correct the labels: `data.corrections`.",
    )
    NEAR_COPIES_NOT_SOUGHT = Explanation(
        "FL109",
        "Near copies were not looked for",
        "The set is so large that looking for near copies would take long, so a run does not do it of its own accord. "
        "Whether there are any across the splits is not known.",
        "`firstlight data check` looks for them.",
    )
    DARK_IMAGES = Explanation(
        "FL110",
        "Images that are nearly black",
        "This is how 16-bit images look when they are read as if they had 8, and how broken exports look.",
        "Look at some of them; convert them to 8 bits, with white at 255.",
    )
    ALIKE_CLASSES = Explanation(
        "FL111",
        "Classes with nearly the same name",
        "Names such as Cat and cat are different classes, and the images of one are wrong for the other.",
        "Where they are meant to be one class, give them one name, or put them together with `data.regroup`.",
    )
    MISSING_LABELS = Explanation(
        "FL112",
        "A class named as a missing label is",
        "A class is called nan, none, unknown or nothing at all, which is how tables write that a label is missing.",
        "Leave these images out (`data.classes`), or give the class another name.",
    )
    EMPTY_CLASSES = Explanation(
        "FL113",
        "Classes without images in a split",
        "A class without training images cannot be learnt; one without test images cannot be measured.",
        "Add images, leave the class out (`data.classes`), or draw another split: `--seed`, larger shares.",
    )
    SINGLE_CLASS = Explanation(
        "FL114",
        "A single class",
        "All images are of one class. There is nothing to tell apart.",
        "Check where the labels come from: a folder too high or too low, or the wrong column.",
    )
    DIVIDED_GROUPS = Explanation(
        "FL115",
        "A group is in two splits",
        "Images that belong together (`data.group`) are in two splits, since the splits came with the data. The model "
        "is tested on images whose like it has learnt from: the accuracy is flattered.",
        "Set `data.pool = true`, so that firstlight draws splits in whole groups.",
    )
    GROUPS_OF_ONE = Explanation(
        "FL116",
        "Groups of one image each",
        "`data.group` tells each image from each other, so that nothing is kept together.",
        "Name what images have in common, such as the patient or the video, or leave `data.group` out.",
    )
    LARGE_GROUP = Explanation(
        "FL117",
        "A group that holds half of the images or more",
        "A group is never divided, so that one split gets it all, and the others have the rest.",
        "Check whether `data.group` is fine enough: a pattern may match too much.",
    )
    UNEVEN_GROUPS = Explanation(
        "FL118",
        "Groups that allow no even split",
        "Groups are kept whole, and they are so few or so unequal that a split, or a class in it, has far less or far "
        "more than its share.",
        "Take folds (`--folds`), which test all images once, or more groups.",
    )
    LIKELY_GROUPS = Explanation(
        "FL119",
        "Images that look like a series",
        "By their names, and perhaps by their pixels, images belong together like the frames of a video, and no "
        "`data.group` says so. Where such images are divided between splits, the accuracy is flattered.",
        "Set `data.group` as the warning says, unless the names mislead.",
    )
    PUBLISHED_TEST_IN_FOLDS = Explanation(
        "FL120",
        "Folds over images that were published as test images",
        "Folds put all splits together, so that each net is trained on most of the published test images.",
        "To compare with published accuracies, leave the folds out and take several seeds.",
    )
    CORRECTED_TEST_LABELS = Explanation(
        "FL121",
        "Corrected labels among the test images",
        "Labels of test images were corrected. Accuracies by the labels before do not compare with those after.",
        "`firstlight compare` measures both runs by the same labels.",
    )
    WRITTEN_CHARACTERS = Explanation(
        "FL201",
        "An augmentation that turns characters into others",
        "The images show written characters. A mirrored 2 is no 2, and a 6 that is turned far is a 9: the model is "
        "taught wrong labels.",
        "Leave the flips out, and turn by less.",
    )
    METRIC_WITHOUT_NUMBER = Explanation(
        "FL202",
        "A metric that has no number",
        "The metric is not defined on these images, such as one that needs two classes where there is one.",
        "Read the reason in the warning; choose another metric, or a split in which all classes occur.",
    )
    OPTIMIZER_NOT_COMPILED = Explanation(
        "FL203",
        "The formula of an optimizer is not compiled",
        "NumPy computes it as it is written. The results are the same, and a step takes longer.",
        "Write the formula with NumPy's universal functions alone (see `firstlight check FILE`).",
    )
    LAYER_NOT_COMPILED = Explanation(
        "FL204",
        "A layer without a compiled operation",
        "The whole net is computed layer by layer. The results are the same, and an epoch takes longer.",
        "Give the layer a `record`, from operations that there are or from one of your own; see the guide to "
        "components of your own.",
    )
    CORRECTIONS_CHANGED = Explanation(
        "FL205",
        "The table of corrections has changed since the run began",
        "A run that goes on keeps to the corrections that it recorded, so that it learns from the same labels "
        "throughout.",
        "Start a new run where the new corrections are meant.",
    )
    OTHER_ENVIRONMENT = Explanation(
        "FL206",
        "A run goes on in another environment",
        "The machine, the number of threads or a version is not the one that the run began with, so that sums may be "
        "rounded otherwise. The weights may differ in their last digits from those of a run that went through.",
        "Nothing, unless the same bits are needed: then resume it where it began.",
    )
    DAMAGED_CHECKPOINT = Explanation(
        "FL207",
        "A damaged checkpoint",
        "The newest checkpoint is not as it was written; an older one is taken, and the epochs since then trained "
        "again.",
        "Nothing; where it happens again, check the disk.",
    )
    DIVERGED = Explanation(
        "FL208",
        "Training diverged",
        "The loss was no longer a finite number. The weights are those of the best, or of the last, epoch before.",
        "Lower the learning rate (`firstlight rate` finds one), or check the images for what is no image.",
    )
    INTERRUPTED = Explanation(
        "FL209",
        "The run was interrupted",
        "It has not trained for as many epochs as were asked for; the numbers are those of what it had learnt.",
        "`firstlight resume RUN` goes on.",
    )
    FEW_COMBINATIONS = Explanation(
        "FL210",
        "A search with fewer combinations than trials",
        "No values are trained twice, so the search ends when all combinations are tried.",
        "Nothing, or more values.",
    )
    SEARCH_OF_IMAGES = Explanation(
        "FL211",
        "A search that changes the validation images",
        "Trials that differ in a key of `[data]` are measured on different images, or on images prepared otherwise, so "
        "that the best may be the one with the easiest images.",
        "Leave `data.…` out of `[space]`, and compare such settings in a study.",
    )
    SEARCH_OF_LOSSES = Explanation(
        "FL212",
        "A search that changes what is compared",
        "The loss itself is searched, and trials are compared by it.",
        'Set `training.monitor = "val_accuracy"`.',
    )
    SEARCH_INCOMPLETE = Explanation(
        "FL213",
        "A search that is not complete",
        "Trials are missing or have failed; the best is the best of those that came to an end.",
        "The same command goes on; the reasons of trials that failed are told beside.",
    )
    BEST_OF_MANY = Explanation(
        "FL214",
        "The accuracy of the best trial is optimistic",
        "It was chosen as the largest of many by the same number, on one seed.",
        "Train `best.toml` on several seeds: `firstlight run best.toml --seed 1`.",
    )
    NO_RESULT = Explanation(
        "FL301",
        "Runs without a result",
        "Runs of a comparison are missing, have failed or cannot be read; means are over the others.",
        "Give the same command again, which trains what is missing, once the reasons that are told are mended.",
    )
    OTHER_TEST_IMAGES = Explanation(
        "FL302",
        "Runs that were not tested on the same images",
        "A difference between their accuracies may be one of the images.",
        "Compare runs with the same data, seed of the split and corrections.",
    )
    INTERRUPTED_RUNS_LEFT_OUT = Explanation(
        "FL303",
        "Interrupted runs are left out of means",
        "They have trained for fewer epochs than the others.",
        "`firstlight resume` them.",
    )
    SEEN_IMAGES = Explanation(
        "FL401",
        "Images that the model has learnt from",
        "Some images are among those that the run was trained on, or by which its weights were chosen. What the model "
        "says of them tells nothing of new images.",
        "Give others. `firstlight evaluate` leaves them out unless --include-seen is given.",
    )
    OTHER_SCALE = Explanation(
        "FL402",
        "Numbers on another scale than in training",
        "The arrays reach over another range than those given to `fit`, as 0 to 1 instead of 0 to 255.",
        "Give images as they were given to `fit`.",
    )
    NOT_IMAGES = Explanation(
        "FL403",
        "Files that are no images",
        "A folder or a pattern holds files that are not read.",
        "Nothing, unless one of them is meant as an image: name it by itself, which says why it cannot be read.",
    )
    NOT_MEASURED = Explanation(
        "FL404",
        "Images that were not measured",
        "They have no label, one that the model does not know, or could not be read.",
        "Check the names of the classes; the message names an example.",
    )
    NO_HASHES = Explanation(
        "FL405",
        "A run without hashes of its files",
        "It was written by an earlier version. Whether its files are as they were written cannot be checked.",
        "Nothing; train it again where that matters.",
    )
    MEMBER_LEFT_OUT = Explanation(
        "FL406",
        "A net of several is left out",
        "Several nets answer together, and one of them is missing, incomplete or does not fit the others.",
        "Mend what the warning tells, or give the folder of a single run.",
    )
    NO_NOTEBOOK = Explanation(
        "FL407",
        "Curves cannot be drawn here",
        "`live=True` draws in a Jupyter notebook only.",
        "Nothing: a line is printed for each epoch.",
    )
    TABLES_OF_A_SEARCH = Explanation(
        "FL408",
        "Tables of a search are ignored",
        "`[space]` and `[tune]` say how to search; `firstlight run` trains once, with the values of the other tables.",
        "`firstlight tune FILE.toml` searches.",
    )
    NO_LOCKS = Explanation(
        "FL501",
        "A file system without locks",
        "Nothing keeps two processes from writing the same folder at once.",
        "Start one at a time, or keep runs (of a search: --storage) on a local disk.",
    )
    KERNELS_NOT_KEPT = Explanation(
        "FL502",
        "Compiled kernels cannot be kept",
        "No cache folder can be written, so the next process compiles again, which takes seconds to minutes.",
        "Set NUMBA_CACHE_DIR to a folder that can be written.",
    )
    CHART_NOT_DRAWN = Explanation(
        "FL503",
        "A report lacks a chart",
        "A chart could not be drawn; a sentence stands in its place, and all else is there.",
        "Read the reason in the warning; `firstlight report RUN` makes the report again.",
    )
    REPORT_NOT_RENEWED = Explanation(
        "FL504",
        "A report could not be made anew",
        "What was asked for is done; the report is missing, or as it was before.",
        "Mend what the warning tells, then: `firstlight report RUN`.",
    )
    EXPORT_NOT_RECORDED = Explanation(
        "FL505",
        "An export that is not recorded in its run",
        "The file is written and checked; the folder of its run cannot be written, so the report does not tell of it.",
        "Make the folder writable and export again.",
    )
    PLUGIN_CHANGED = Explanation(
        "FL506",
        "A file of components is not what a run was trained with",
        "A component of your own has changed since, so that the net may compute something else.",
        "Use the version that the run keeps, or train again.",
    )
    PACKAGE_NOT_LOADED = Explanation(
        "FL507",
        "An installed package of components cannot be loaded",
        "Its components are missing from every list.",
        "Mend or remove the package.",
    )
    RENAMED = Explanation(
        "FL508",
        "A name that has changed",
        "The old name works for one more release.",
        "Write the new name, which the warning tells.",
    )

    def text(self, sentence: str) -> str:
        """A warning of this kind, with its code."""
        return f"{sentence} ({self.value.code})"

    def note(self, sentence: str) -> str:
        """The same as a line on the terminal."""
        return f"{NOTE}{self.text(sentence)}"


EXPLAINED = {caution.value.code: caution.value for caution in Caution}
