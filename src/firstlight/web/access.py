"""Who may ask: what a browser says of where a request comes from, and secrets compared in constant time."""

from __future__ import annotations

import hmac
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import Request

READING = ("GET", "HEAD")
# Vega sets styles through the CSSOM, which the policy allows, and evaluates expressions with its interpreter.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def same(text: str | None, secret: str) -> bool:
    """Whether a text is the secret, found out in a time that does not tell how much of it is."""
    return text is not None and hmac.compare_digest(text.encode(), secret.encode())


def from_elsewhere(request: Request, unlinked: tuple[str, ...]) -> bool:
    """Whether another site's page asks for more than a link to a page of ours, by what a browser says of itself.

    unlinked  how the paths begin that are not pages
    Its answer would be unreadable to that page, but the work would be done. Another port is another site here.
    """
    if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    follows_a_link = (
        request.method in READING
        and request.headers.get("sec-fetch-mode") == "navigate"
        and request.headers.get("sec-fetch-dest", "document") == "document"
    )
    return not follows_a_link or request.url.path.startswith(unlinked)


@lru_cache(maxsize=64)  # who asks again comes by the same name
def hostname(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
