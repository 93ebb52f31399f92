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
        "The checksum of a file of a named dataset is not the published one, or none is known. The images may not be "
        "those that are known by this name, so accuracies are not comparable with published ones.",
        "Delete the file, so that firstlight downloads it again, or give your own images by their path.",
    )
    UNREADABLE_FILES = Explanation(
        "FL102",
        "Files that could not be read",
        "Some image files are damaged, truncated, empty or of an unsupported format. They are left out, and the run "
        "records which and why.",
        "`firstlight data check` lists them with the reason of each. Replace or remove them.",
    )
    COPIES_ACROSS_SPLITS = Explanation(
        "FL103",
        "The same image in two splits",
        "Images of the validation or the test split are also in an earlier split, pixel for pixel. The model is "
        "tested there on images that it may have memorized: the accuracy is too high, or the wrong weights are "
        "selected (data leakage).",
        'Remove the copies (`firstlight data check` lists them), or set `data.near_copies = "drop"` to leave out the '
        'copies in the earlier split, or `"group"` to keep all copies of an image in one split.',
    )
    COPIES_WITHIN_SPLIT = Explanation(
        "FL104",
        "The same image several times in a split",
        "A duplicated image counts twice: in training it has twice the weight, in a test the interval of the accuracy "
        "is narrower than it should be.",
        "Remove the copies unless they are intended: `firstlight data check` lists them.",
    )
    COPIES_WITH_OTHER_LABELS = Explanation(
        "FL105",
        "Copies of an image with different labels",
        "At most one of the two labels of an image and its exact copy is right, so no model can get both right.",
        "Look at them (`firstlight data check`, `firstlight labels`) and correct the labels: `data.corrections`.",
    )
    NEAR_COPIES_ACROSS_SPLITS = Explanation(
        "FL106",
        "Nearly the same image in two splits",
        "Images of the validation or the test split show the same picture as one of an earlier split, turned, "
        "mirrored, resized, compressed, brighter or shifted. As with exact copies (FL103), the accuracy is too high.",
        '`firstlight data check` lists the pairs and draws them. `data.near_copies = "drop"` leaves those of the '
        'earlier split out, `"group"` keeps them together.',
    )
    NEAR_COPIES_WITHIN_SPLIT = Explanation(
        "FL107",
        "Nearly the same image several times in a split",
        "There are fewer different images than their number suggests.",
        'Set `data.near_copies = "group"`, so that no split divides them, or remove what is not intended.',
    )
    NEAR_COPIES_WITH_OTHER_LABELS = Explanation(
        "FL108",
        "Near copies with different labels",
        "Two pictures that are nearly the same have different labels. One of the labels may be wrong.",
        "Look at them (`firstlight data check`) and correct the labels: `data.corrections`.",
    )
    NEAR_COPIES_NOT_SOUGHT = Explanation(
        "FL109",
        "Near copies were not searched for",
        "The dataset is so large that searching for near copies would take long, so a run does not do it by default. "
        "Whether there are any across the splits is not known.",
        "`firstlight data check` searches for them.",
    )
    DARK_IMAGES = Explanation(
        "FL110",
        "Images that are nearly black",
        "16-bit images that are read as 8-bit ones look like this, and so do broken exports.",
        "Look at some of them; convert them to 8 bits, with white at 255.",
    )
    ALIKE_CLASSES = Explanation(
        "FL111",
        "Classes with nearly the same name",
        "Names such as Cat and cat are different classes, and the images of one are wrong for the other.",
        "If they are the same class, give them one name, or merge them with `data.regroup`.",
    )
    MISSING_LABELS = Explanation(
        "FL112",
        "A class whose name means a missing label",
        "The name of a class is nan, none, unknown or empty, which in tables usually marks a missing label.",
        "Leave these images out (`data.classes`), or give the class another name.",
    )
    EMPTY_CLASSES = Explanation(
        "FL113",
        "Classes without images in a split",
        "A class without training images cannot be learned; the accuracy on one without test images is not known.",
        "Add images, leave the class out (`data.classes`), or draw another split: `--seed`, larger shares.",
    )
    SINGLE_CLASS = Explanation(
        "FL114",
        "A single class",
        "All images are of one class. There is nothing to classify.",
        "Check where the labels come from: a folder one level too high or too low, or the wrong column.",
    )
    DIVIDED_GROUPS = Explanation(
        "FL115",
        "A group is in two splits",
        "Images that belong together (`data.group`) are in two splits, since the splits came with the data. The model "
        "is tested on images that resemble training images: the accuracy is too high.",
        "Set `data.pool = true`, so that firstlight draws splits in whole groups.",
    )
    GROUPS_OF_ONE = Explanation(
        "FL116",
        "Groups of one image each",
        "Each image has its own `data.group`, so nothing is kept together.",
        "Name what images have in common, such as the patient or the video, or leave `data.group` out.",
    )
    LARGE_GROUP = Explanation(
        "FL117",
        "A group that holds half of the images or more",
        "A group is never divided, so one split gets all of it, and the others share the rest.",
        "Check whether `data.group` is fine enough: a pattern may match too much.",
    )
    UNEVEN_GROUPS = Explanation(
        "FL118",
        "Groups that do not allow an even split",
        "Groups are kept whole, and they are so few or so unequal that a split, or a class in it, has far less or far "
        "more than its share.",
        "Use cross-validation (`--folds`), which tests each image once, or more groups.",
    )
    LIKELY_GROUPS = Explanation(
        "FL119",
        "Images that look like a series",
        "By their names, and perhaps by their pixels, images belong together like the frames of a video, and no "
        "`data.group` says so. If such images are divided between splits, the accuracy is too high.",
        "Set `data.group` as the warning says, unless the names are misleading.",
    )
    PUBLISHED_TEST_IN_FOLDS = Explanation(
        "FL120",
        "Folds over images that were published as test images",
        "Folds pool all splits, so each net is trained on most of the published test images.",
        "To compare with published accuracies, use several seeds instead of folds.",
    )
    CORRECTED_TEST_LABELS = Explanation(
        "FL121",
        "Corrected labels among the test images",
        "Labels of test images were corrected. Accuracies before and after the correction are not comparable.",
        "`firstlight compare` evaluates both runs on the same labels.",
    )
    WRITTEN_CHARACTERS = Explanation(
        "FL201",
        "An augmentation that changes characters into others",
        "The images show written characters. A mirrored 2 is not a 2, and a 6 that is rotated far is a 9: the model "
        "is trained with wrong labels.",
        "Leave the flips out, and rotate by less.",
    )
    METRIC_WITHOUT_NUMBER = Explanation(
        "FL202",
        "A metric without a value",
        "The metric is not defined on these images, for example if it needs two classes and there is only one.",
        "Read the reason in the warning; choose another metric, or a split in which all classes occur.",
    )
    OPTIMIZER_NOT_COMPILED = Explanation(
        "FL203",
        "The formula of an optimizer is not compiled",
        "It runs in NumPy. The results are the same, but a step takes longer.",
        "Write the formula with NumPy's universal functions only (see `firstlight check FILE`).",
    )
    LAYER_NOT_COMPILED = Explanation(
        "FL204",
        "A layer without a compiled operation",
        "The whole net is computed layer by layer. The results are the same, but an epoch takes longer.",
        "Give the layer a `record`, made of existing operations or of your own; see the guide to your own components.",
    )
    CORRECTIONS_CHANGED = Explanation(
        "FL205",
        "The corrections have changed since the run began",
        "A resumed run keeps the corrections that it recorded, so that it is trained on the same labels throughout.",
        "Start a new run to use the new corrections.",
    )
    OTHER_ENVIRONMENT = Explanation(
        "FL206",
        "A run is resumed in another environment",
        "The machine, the number of threads or a version is not the one that the run began with, so rounding may "
        "differ. The weights may differ in their last digits from those of an uninterrupted run.",
        "Nothing, unless you need the same bits: then resume it where it began.",
    )
    DAMAGED_CHECKPOINT = Explanation(
        "FL207",
        "A damaged checkpoint",
        "The newest checkpoint is damaged; an older one is used, and the epochs since then are trained again.",
        "Nothing; if it happens again, check the disk.",
    )
    DIVERGED = Explanation(
        "FL208",
        "Training diverged",
        "The loss was no longer a finite number. The weights are those of the best, or of the last, epoch before that.",
        "Lower the learning rate (`firstlight rate` finds one), or check the images (`firstlight data check`).",
    )
    INTERRUPTED = Explanation(
        "FL209",
        "The run was interrupted",
        "It was trained for fewer epochs than requested; the numbers are those of the weights at that point.",
        "`firstlight resume RUN` continues.",
    )
    FEW_COMBINATIONS = Explanation(
        "FL210",
        "A search with fewer combinations than trials",
        "No values are trained twice, so the search ends when all combinations have been tried.",
        "Nothing, or more values.",
    )
    SEARCH_OF_IMAGES = Explanation(
        "FL211",
        "A search that changes the validation images",
        "Trials that differ in a key of `[data]` are evaluated on different images, or with different preprocessing, "
        "so the best may be the one with the easiest images.",
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
        "Trials are missing or have failed; the best is the best of those that finished.",
        "The same command continues; the warning gives the reasons of failed trials.",
    )
    BEST_OF_MANY = Explanation(
        "FL214",
        "The accuracy of the best trial is optimistic",
        "It is the maximum over many trials, on one seed (selection bias).",
        "Train `best.toml` on several seeds: `firstlight run best.toml --seed 1`.",
    )
    NO_RESULT = Explanation(
        "FL301",
        "Runs without a result",
        "Runs of a comparison are missing, have failed or cannot be read; means are over the others.",
        "Fix the reasons that the warning gives, and repeat the command: it trains what is missing.",
    )
    OTHER_TEST_IMAGES = Explanation(
        "FL302",
        "Runs that were not tested on the same images",
        "A difference between their accuracies may be due to the images.",
        "Compare runs with the same data, seed of the split and corrections.",
    )
    INTERRUPTED_RUNS_LEFT_OUT = Explanation(
        "FL303",
        "Interrupted runs are left out of means",
        "They have trained for fewer epochs than the others.",
        "Resume them: `firstlight resume RUN`.",
    )
    SEEN_IMAGES = Explanation(
        "FL401",
        "Images that the model was trained on",
        "Some images are among those that the run was trained on, or by which its weights were selected. Predictions "
        "on them say nothing about new images.",
        "Use other images. `firstlight evaluate` leaves them out unless --include-seen is given.",
    )
    OTHER_SCALE = Explanation(
        "FL402",
        "Images on another scale than in training",
        "The arrays have another range than those given to `fit`, such as 0 to 1 instead of 0 to 255.",
        "Scale the images as for `fit`.",
    )
    NOT_IMAGES = Explanation(
        "FL403",
        "Files that are not images",
        "A folder or a pattern contains files that are not read.",
        "Nothing, unless one of them is an image: give its path, and the message says why it cannot be read.",
    )
    NOT_MEASURED = Explanation(
        "FL404",
        "Images that were left out of the evaluation",
        "They have no label, one that the model does not know, or could not be read.",
        "Check the names of the classes; the message names an example.",
    )
    NO_HASHES = Explanation(
        "FL405",
        "A run without hashes of its files",
        "It was made by an earlier version. Whether its files are unchanged cannot be checked.",
        "Nothing; train it again if that matters.",
    )
    MEMBER_LEFT_OUT = Explanation(
        "FL406",
        "A net of an ensemble is left out",
        "One of the nets of an ensemble is missing, incomplete or does not fit the others.",
        "Fix the reason that the warning gives, or give the folder of a single run.",
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
        "Nothing prevents two processes from writing to the same folder at once.",
        "Start one at a time, or keep runs (of a search: --storage) on a local disk.",
    )
    KERNELS_NOT_KEPT = Explanation(
        "FL502",
        "Compiled kernels cannot be cached",
        "No cache folder can be written, so the next process compiles again, which takes seconds to minutes.",
        "Set NUMBA_CACHE_DIR to a folder that can be written.",
    )
    CHART_NOT_DRAWN = Explanation(
        "FL503",
        "A report lacks a chart",
        "A chart could not be drawn; a sentence replaces it, and the rest of the report is complete.",
        "Read the reason in the warning; `firstlight report RUN` makes the report again.",
    )
    REPORT_NOT_RENEWED = Explanation(
        "FL504",
        "A report could not be updated",
        "The command itself succeeded; the report is missing or unchanged.",
        "Fix the reason that the warning gives, then: `firstlight report RUN`.",
    )
    EXPORT_NOT_RECORDED = Explanation(
        "FL505",
        "An export that is not recorded in its run",
        "The file was written and verified; the folder of its run cannot be written, so the report does not show it.",
        "Make the folder writable and export again.",
    )
    PLUGIN_CHANGED = Explanation(
        "FL506",
        "A plugin has changed since a run was trained",
        "One of your own components has changed since, so the net may compute something else.",
        "Use the version that the run keeps, or train again.",
    )
    PACKAGE_NOT_LOADED = Explanation(
        "FL507",
        "An installed package of components cannot be loaded",
        "Its components are missing from every list.",
        "Repair or remove the package.",
    )
    RENAMED = Explanation(
        "FL508",
        "A name that has changed",
        "The old name works for one more release.",
        "Use the new name, which the warning gives.",
    )

    def text(self, sentence: str) -> str:
        """A warning of this kind, with its code."""
        return f"{sentence} ({self.value.code})"

    def note(self, sentence: str) -> str:
        """The same as a line on the terminal."""
        return f"{NOTE}{self.text(sentence)}"


EXPLAINED = {caution.value.code: caution.value for caution in Caution}
