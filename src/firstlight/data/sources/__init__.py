"""The sources that firstlight brings: one file each, or one for sets that were published together."""

from firstlight.components import import_modules

import_modules(__name__, __path__)
