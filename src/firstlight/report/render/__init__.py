"""A document as a page of HTML, as a PDF and as figures: how reports are drawn."""
