"""The way to Weights & Biases: who we are, whether there is a server, and where its client may write.

The variables are W&B's own: WANDB_API_KEY (from a file too: WANDB_API_KEY_FILE) or an entry in ~/.netrc, WANDB_BASE_URL
for a server of one's own, WANDB_MODE=offline for none.
"""

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

from .. import credentials
from ..errors import InputError

_OFFLINE = ("offline", "dryrun")
# Nothing of this machine, and no output of the program, belongs to a run: host name, paths, packages, console.
QUIET = {
    "console": "off",
    "disable_git": True,
    "disable_code": True,
    "host": "training",
    "username": "training",
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
_PUBLIC = "https://api.wandb.ai"


class UnreachableError(InputError):
    """The server does not answer."""


def offline() -> bool:
    """Whether runs are only kept on disk, to be synced later."""
    return os.environ.get("WANDB_MODE", "").lower() in _OFFLINE


def server() -> str:
    """The server's address."""
    return os.environ.get("WANDB_BASE_URL", _PUBLIC).rstrip("/")


def keep_in(folder: Path) -> None:
    """Has the client write below the folder; else it fills the home."""
    for name, place in {
        "WANDB_DATA_DIR": "data",
        "WANDB_CACHE_DIR": "cache",
        "WANDB_ARTIFACT_DIR": "artifacts",
    }.items():
        os.environ.setdefault(name, str((folder / "wandb" / place).resolve()))


def module():
    """The package wandb, quiet, with its secrets read."""
    credentials.read("WANDB_API_KEY")
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        import wandb
    except ImportError:
        raise InputError("wandb:// needs W&B's client: pip install 'flairstream-training[wandb]'") from None
    return wandb


def connect() -> None:
    """Checks that the server answers and takes the key; InputError in one line otherwise."""
    wandb = module()
    if offline():
        return
    if not _has_key():
        raise InputError(
            "W&B wants a key: set WANDB_API_KEY (or WANDB_API_KEY_FILE), or WANDB_MODE=offline to send the run later"
        )
    try:
        wandb.login(verify=True, relogin=False)
    except wandb.Error as err:
        raise explained(err) from None


def explained(err: Exception) -> InputError:
    """An error of W&B's client in one line, with the remedy where there is one."""
    text, where = line(err), f"the W&B server at {server()}"
    if any(word in text.lower() for word in ("permission denied", "401", "403", "api key", "unauthorized")):
        return InputError(f"{where} refuses the key, or it may not do this: see WANDB_API_KEY and the URL's entity")
    if any(word in text for word in ("did not respond", "while retrying", "timed out", "dial tcp", "deadline")):
        return UnreachableError(f"{where} does not answer: see WANDB_BASE_URL, or set WANDB_MODE=offline")
    return InputError(f"{where} says: {text}")


def line(err: Exception) -> str:
    """Its words in one line, without the key."""
    return " ".join(credentials.hidden(str(err), "WANDB_API_KEY").split())[:300]


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        kept = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return kept.authenticators(urlsplit(server()).hostname) is not None
