"""The pages, a package each with its `PAGE`, its template page.html.j2, and page.css and page.js where it has some."""
