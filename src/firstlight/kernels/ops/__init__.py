"""The operations, one a file: a function that layers find by its name, its steps, and their compiled loops."""

from importlib import import_module
from pkgutil import iter_modules

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
