"""The reference, made from the program itself: each module here makes the page of its name."""
