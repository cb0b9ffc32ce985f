"""One JSON document to one secret HTTPS address."""

import email.utils
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request

from .patience import NotTakenError, Patience, TryAgainError, persist

_AGAIN = frozenset({408, 429})
_REASONS = {
    400: "it does not understand the body",
    401: "it wants other credentials: make the webhook's URL anew, for anyone to trigger",
    403: "it wants other credentials: make the webhook's URL anew, for anyone to trigger",
    404: "there is no such webhook (any more)",
    410: "there is no such webhook (any more)",
    413: "the body is too large for it",
}


class Webhook:
    """Posts to an https:// URL. The URL is a secret: no error has it.

    The standard library's client is used because it never logs: urllib3, and so requests, log the path and the query,
    which hold the secret, whenever they try again.
    """

    def __init__(self, url: str, trust: ssl.SSLContext, patience: Patience) -> None:
        self._url = url
        self._patience = patience
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), _NoRedirects)

    def post(self, body: dict) -> None:
        """Raises NotTakenError where no answer of 2xx came: after a 4xx at once, where it may change after patience."""
        request = urllib.request.Request(
            self._url,
            encode(body),
            {"Content-Type": "application/json; charset=utf-8", "User-Agent": "flairstream-train"},
        )
        persist(lambda timeout: self._once(request, timeout), self._patience)

    def _once(self, request: urllib.request.Request, timeout: float) -> None:
        try:
            self._opener.open(request, timeout=timeout).close()
        except urllib.error.HTTPError as answer:
            answer.close()
            raise _fault(answer) from None
        except urllib.error.URLError as err:
            raise _network_fault(err.reason) from None
        except (OSError, http.client.HTTPException) as err:
            raise _network_fault(err) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args, **_kwargs) -> None:
        return None


def encode(body: dict) -> bytes:
    """The bytes that are posted."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _fault(answer: urllib.error.HTTPError) -> NotTakenError | TryAgainError:
    code = answer.code
    if code in _AGAIN or code >= 500:
        return TryAgainError(f"it answered {code}", retry_after(answer.headers.get("Retry-After"), time.time()))
    if 300 <= code < 400:
        return NotTakenError(f"it answered {code}; redirects are not followed")
    return NotTakenError(f"it answered {code}" + (f": {_REASONS[code]}" if code in _REASONS else ""))


def _network_fault(reason: object) -> NotTakenError | TryAgainError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return NotTakenError(
            f"its certificate is not trusted ({reason.verify_message}): "
            "name the file with your own authority's certificates in REQUESTS_CA_BUNDLE"
        )
    if isinstance(reason, TimeoutError):
        return TryAgainError("it did not answer in time")
    if isinstance(reason, OSError) and reason.strerror:
        return TryAgainError(f"no connection: {reason.strerror}")
    return TryAgainError(f"no connection: {type(reason).__name__}")


def retry_after(value: str | None, now: float) -> float | None:
    """The header's seconds, or the seconds until its date (RFC 9110, 10.2.3); None where it says neither."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None
