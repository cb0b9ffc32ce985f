"""The way to an MLflow server: where it is, who we are, and what its errors mean.

The variables are MLflow's own: MLFLOW_TRACKING_URI, and MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD, each of the last three from a file too (MLFLOW_TRACKING_TOKEN_FILE ...).
"""

import logging
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from .. import credentials
from ..errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient  # takes seconds to import

_SECRETS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
_HIDDEN = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD")
_ANSWER_SECONDS = 5.0
_TRY_AGAIN = (401, 403, 408, 429)  # credentials are rotated while a training runs
_CLIENT = {  # its own defaults try for minutes; what must not be lost is tried again by the sender
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class UnreachableError(InputError):
    """The server does not answer."""


def server() -> str:
    """The server's address, without credentials that may stand in it."""
    parts = urlsplit(_uri())
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def client() -> "MlflowClient":
    """A client; no request is made yet."""
    credentials.read(*_SECRETS)
    for name, value in _CLIENT.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise InputError("mlflow:// needs MLflow: pip install 'flairstream-training[mlflow]'") from None
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # else a warning at every try in an outage
    return MlflowClient(tracking_uri=_uri(), registry_uri=_uri())


def connect() -> "MlflowClient":
    """A client of a server that answers and lets us in; InputError in one line otherwise."""
    made = client()
    try:
        made.search_experiments(max_results=1)
    except errors() as err:
        refused = not temporary(err) or _status(err) in (401, 403, 404)
        raise (InputError if refused else UnreachableError)(reason(err)) from None
    return made


def errors() -> tuple[type[Exception], ...]:
    """What the client raises: the last is what it lets through of a file's upload or download."""
    from mlflow.exceptions import MlflowException

    return MlflowException, requests.RequestException


def answers() -> bool:
    """Whether the server says anything at all within a few seconds."""
    try:
        requests.get(f"{server()}/health", timeout=_ANSWER_SECONDS, allow_redirects=False)
    except requests.RequestException:
        return False
    return True


def temporary(err: Exception) -> bool:
    """Whether the same request may go well later; a refusal that is not MLflow's own may be of a proxy before it."""
    if not isinstance(err, errors()):
        return False
    status = _status(err)
    return not 400 <= status < 500 or status in _TRY_AGAIN or _by_proxy(err)


def reason(err: Exception) -> str:
    """What a request came to in one line, with the remedy where there is one."""
    if not isinstance(err, errors()):
        return type(err).__name__
    text, status = " ".join(credentials.hidden(str(err), *_HIDDEN).split()), _status(err)
    text = text.replace(urlsplit(_uri()).netloc, urlsplit(server()).netloc)  # without credentials
    where = f"the MLflow server at {server()}"
    if "Invalid Host" in text:
        return f"{where} refuses its own name: start it with --allowed-hosts {urlsplit(server()).hostname}"
    if status in (401, 403):
        return (
            f"{where} refuses the credentials: set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD (or the same with _FILE)"
        )
    if refused := re.search(r"too many (\d+) error responses", text):
        return f"{where} answers with error {refused[1]}: look into its log"
    if "Max retries exceeded" in text or "Connection" in text or "timed out" in text:
        return f"{where} does not answer: is it running, and is MLFLOW_TRACKING_URI right?"
    if "not in a valid JSON format" in text or (status == 404 and "RESOURCE_DOES_NOT_EXIST" not in text):
        return f"{where} is no MLflow server: is MLFLOW_TRACKING_URI right?"
    return f"{where} says: {text[:300]}"


def _uri() -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if urlsplit(uri).scheme not in ("http", "https") or not uri.isprintable():
        raise InputError("mlflow:// needs MLFLOW_TRACKING_URI, the server's address, e.g. http://127.0.0.1:5000")
    return uri


def _by_proxy(err: Exception) -> bool:
    """Whether a 4xx has no MLflow error code in it; what MLflow's client refuses by itself has no answer."""
    from mlflow.exceptions import RestException

    match err:
        case RestException():
            return "error_code" not in err.json
        case requests.RequestException():
            try:
                return "error_code" not in err.response.json()
            except (ValueError, TypeError):
                return True
        case _:
            return "failed with error code" in str(err)


def _status(err: Exception) -> int:
    if isinstance(err, requests.RequestException):
        return 503 if err.response is None else err.response.status_code
    return int(err.get_http_status_code())
