"""The pages of the report: each is a list of sections."""
