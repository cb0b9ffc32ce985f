"""The channels that the environment names, a URL each."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from ..errors import InputError
from .email import EmailWebhook, Smtp
from .notifier import Channel
from .patience import Patience
from .post import Webhook
from .teams import Teams

NOTIFY, NOTIFY_FILE, PASSWORD_FILE = "FLAIRSTREAM_NOTIFY", "FLAIRSTREAM_NOTIFY_FILE", "FLAIRSTREAM_SMTP_PASSWORD_FILE"
_FORMS = "teams+https://..., email+https://...?to=..., smtp://HOST?from=...&to=... or smtps://..."
_ADDRESS = re.compile(r"[^\s@,<>\"]+@[^\s@,<>\"]+")


def from_environment(environment: Mapping[str, str], patience: Patience) -> list[Channel]:
    """The channels of FLAIRSTREAM_NOTIFY and the file FLAIRSTREAM_NOTIFY_FILE; no error has a URL in it."""
    urls = [(NOTIFY, url) for url in environment.get(NOTIFY, "").split()]
    if path := environment.get(NOTIFY_FILE, ""):
        lines = (line.strip() for line in _read(path, NOTIFY_FILE).splitlines())
        urls += [(NOTIFY_FILE, line) for line in lines if line and not line.startswith("#")]
    return [_channel(url, f"{name}, channel {i}", environment, patience) for i, (name, url) in enumerate(urls, 1)]


def _channel(url: str, place: str, environment: Mapping[str, str], patience: Patience) -> Channel:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InputError(f"{place}: not a URL; want {_FORMS}") from None
    trust = _trust(environment)
    if not host:
        raise InputError(f"{place}: no host in it; want {_FORMS}")
    at = f"{host}:{port}" if port else host
    match parts.scheme:
        case "teams+https":
            return Teams(f"Teams at {at}", Webhook(url.removeprefix("teams+"), trust, patience))
        case "email+https":
            rest = "&".join(
                field for field in parts.query.split("&") if not field.startswith("to=")
            )  # sig= stays as it is
            webhook = Webhook(parts._replace(scheme="https", query=rest).geturl(), trust, patience)
            return EmailWebhook(f"e-mail by {at}", webhook, _addresses(parts, "to", place))
        case "smtp" | "smtps":
            return _smtp(parts, place, environment, trust, patience)
    raise InputError(f"{place}: want {_FORMS}")


def _smtp(
    parts: SplitResult, place: str, environment: Mapping[str, str], trust: ssl.SSLContext, patience: Patience
) -> Smtp:
    if parts.password is not None:
        raise InputError(f"{place}: a password in the URL; put it into a file and name that in {PASSWORD_FILE}")
    user, path = unquote(parts.username or ""), environment.get(PASSWORD_FILE, "")
    if user and not path:
        raise InputError(f"{place}: a user without a password; name the file that holds it in {PASSWORD_FILE}")
    at_once = parts.scheme == "smtps"
    port = parts.port or (465 if at_once else 587)
    return Smtp(
        name=f"SMTP at {parts.hostname}:{port}",
        host=parts.hostname,
        port=port,
        sender=_addresses(parts, "from", place)[0],
        to=_addresses(parts, "to", place),
        trust=trust,
        patience=patience,
        user=user,
        password=_read(path, PASSWORD_FILE).strip("\r\n") if user else "",
        tls_at_once=at_once,
    )


def _addresses(parts: SplitResult, name: str, place: str) -> tuple[str, ...]:
    """The addresses of a query's field; a "+" in an address stays one."""
    values = parse_qs(parts.query.replace("+", "%2B")).get(name, [])
    addresses = tuple(address for value in values for address in value.split(",") if address)
    if not addresses or not all(_ADDRESS.fullmatch(address) for address in addresses):
        raise InputError(f'{place}: want "{name}=" with an e-mail address, e.g. ?{name}=team@example.org')
    return addresses


def _read(path: str, variable: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{variable}: cannot read {path}: {getattr(err, 'strerror', None) or 'not UTF-8'}") from None


def _trust(environment: Mapping[str, str]) -> ssl.SSLContext:
    """The system's authorities, or the file in REQUESTS_CA_BUNDLE: so do MLflow's client and all that use requests."""
    path = environment.get("REQUESTS_CA_BUNDLE", "")
    try:
        return ssl.create_default_context(cafile=path or None)
    except OSError as err:
        raise InputError(f"REQUESTS_CA_BUNDLE: no certificates in {path}: {err.strerror or 'not PEM'}") from None
