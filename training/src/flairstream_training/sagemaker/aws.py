"""Amazon's services as a submitter needs them; what goes wrong is one line that says the remedy."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import InputError

_REMEDIES = {
    "403": "the credentials lack the right to do so",
    "404": "nothing is there",
    "AccessDenied": "the credentials lack the right to do so",
    "AccessDeniedException": "the credentials lack the right to do so",
    "ExpiredToken": "the credentials have expired: sign in anew",
    "ExpiredTokenException": "the credentials have expired: sign in anew",
    "InvalidAccessKeyId": "AWS does not know these credentials",
    "InvalidClientTokenId": "AWS does not know these credentials",
    "NoSuchBucket": "create the bucket, or name another one",
    "ResourceLimitExceeded": "ask for a higher quota, or choose another --instance",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "UnrecognizedClientException": "AWS does not know these credentials",
}


@dataclass(frozen=True)
class Place:
    """s3://bucket/prefix; the prefix without slashes at its ends."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def below(self, name: str) -> "Place":
        """A place inside this one."""
        return Place(self.bucket, f"{self.prefix}/{name}".strip("/"))


def place(url: str, what: str) -> Place:
    """Reads s3://bucket/prefix; what is the option that it came from."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.query:
        raise InputError(f"{what} {url}: want s3://BUCKET/PREFIX")
    return Place(parts.netloc, parts.path.strip("/"))


@dataclass(frozen=True)
class Clients:
    """boto3's clients; credentials, region and endpoint (AWS_ENDPOINT_URL) are boto3's own settings."""

    sagemaker: object
    s3: object
    logs: object


def clients() -> Clients:
    """Raises InputError without boto3 or a region. Nothing is asked of AWS yet."""
    try:
        import boto3
    except ModuleNotFoundError:
        raise InputError("submit needs boto3: pip install 'flairstream-training[sagemaker]'") from None
    with explained("AWS"):
        session = boto3.session.Session()
        return Clients(*(session.client(name) for name in ("sagemaker", "s3", "logs")))


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns what AWS and its client say into one line."""
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    try:
        yield
    except ClientError as err:
        fault = err.response.get("Error", {})
        code, message = fault.get("Code", "?"), " ".join(fault.get("Message", "").split())
        remedy = f" ({_REMEDIES[code]})" if code in _REMEDIES else ""
        raise InputError(f"{doing}: {code}: {message}{remedy}") from None
    except NoCredentialsError:
        raise InputError(f"{doing}: no AWS credentials: sign in (aws sso login), or set AWS_PROFILE") from None
    except NoRegionError:
        raise InputError(f"{doing}: no region: set AWS_REGION, e.g. eu-west-1") from None
    except (BotoCoreError, S3UploadFailedError) as err:
        raise InputError(f"{doing}: {' '.join(str(err).split())}") from None
