"""The search for good settings: its file, its space, its storage, its trials."""
