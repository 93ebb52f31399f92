"""firstlight in a Jupyter notebook: cards of runs, models and images, and curves that grow while a run trains."""
