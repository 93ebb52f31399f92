"""What a report shows, one thing a file, for one run or for many: learning curves, the confusion matrix, calibration, …

A run is a group of one. Each file goes from the records to the page, top to bottom:

    numbers(group) -> record            what is shown, as plain values and arrays: a frozen dataclass
    chart(record, …) -> specification   how it is drawn, from the record alone
    caption(record, …) -> text          what to look for, computed from the numbers
    section(groups) -> Section | None   the blocks under their title; None where these groups have nothing of it
    examples() -> blocks by name        of odd records, by what is odd: every renderer is tested with them

What is shown of a search has `section(tuned)` instead, and what is shown of an explanation without its run has
`card(explanation, class_names)` besides. Sections do not import one another. To add one, copy `calibration.py` (of one
run) or `confusion.py` (of one or many), and name it in `pages/contents.py`, once for each page that shows it.
"""
