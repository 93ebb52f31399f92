"""The pages, a folder each: page.py with its `PAGE`, page.html.j2, page.css and page.js."""
