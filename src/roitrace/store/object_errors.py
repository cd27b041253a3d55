"""What an object store says when it refuses, in words: the cause in one line, and what helps.

Nothing of what libraries say is passed on: a refusal of S3 quotes access keys and what was signed.
"""

from __future__ import annotations

import asyncio
import re

from roitrace.errors import FileAccessError

__all__ = ["explain_object", "is_beyond_end"]

_CREDENTIALS = "check the credentials: AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_REGION = ("{url} lies in another region", "set AWS_DEFAULT_REGION to the region of the bucket")
_BUSY = (
    "{url}: the store asks for fewer requests, and went on to after several retries",
    "try again later, or give fewer workers",
)
_CODES = {
    "NoSuchBucket": ("there is no bucket for {url}", "check its name, and the endpoint (AWS_ENDPOINT_URL)"),
    "InvalidAccessKeyId": ("{url}: the access key is not known there", _CREDENTIALS),
    "SignatureDoesNotMatch": ("{url}: the secret key is wrong", _CREDENTIALS),
    "ExpiredToken": (
        "{url}: the credentials have expired",
        "log in again, then repeat the command: what is done is kept",
    ),
    "InvalidToken": ("{url}: the session token is wrong", "check AWS_SESSION_TOKEN, or log in again"),
    "RequestTimeTooSkewed": ("{url}: the clock of this computer is wrong", "set the clock"),
    "SlowDown": _BUSY,
    "TooManyRequests": _BUSY,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "EntityTooLarge": ("{url}: the object is too large for one upload", "choose smaller chunks"),
}
_STATUSES = {
    301: _REGION,
    400: (
        "{url}: the store does not understand the request",
        "check the address, the region and the endpoint",
    ),
    401: ("{url} asks for credentials", _CREDENTIALS + "; for a web server, ~/.netrc"),
    404: ("there is no {url}", "check the address"),
    405: ("{url} cannot be written to", "choose another place"),
    408: (
        "{url}: the store did not answer in time, after several retries",
        "check the connection, then repeat the command",
    ),
    429: _BUSY,
    503: _BUSY,
}
_DENIED = (
    "permission denied: {url}",
    "ask for the rights to list (s3:ListBucket) and read it (s3:GetObject), to write also s3:PutObject and s3:DeleteObject",
)
_NO_CREDENTIALS = (
    "permission denied: {url}, and no credentials were found",
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for gs://, GOOGLE_APPLICATION_CREDENTIALS",
)
_SERVER = ("{url}: the store failed (status {status}), after several retries", "try again later")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"\b(?:status|code|HTTP error|returned)\D{0,12}\b([345]\d\d)\b", re.IGNORECASE)
_TIMED_OUT = re.compile(r"timed out|(?<!_)timeout(?!:)", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"connect|dns|resolve|error sending request|unreachable|name or service",
    re.IGNORECASE,
)
_INCOMPLETE = re.compile(
    r"Missing ?(AccessKeyId|SecretAccessKey)|Partial credentials|InvalidKey|private_?key|service account",
    re.IGNORECASE,
)
_PROFILE = re.compile(r"config profile \(([\w.@ -]+)\) could not be found")


def explain_object(error: BaseException, url: str, *, anonymous: bool = False) -> FileAccessError:
    """Return what an error of a client means: its cause in one line, and the next step; never its own words.

    Parameters
    ----------
    error : Exception
        As the client raised it.
    url : str
        What was being worked on, without secrets.
    anonymous : bool
        Whether no credentials were found.

    Examples
    --------
    >>> print(explain_object(FileNotFoundError("x"), "s3://lab/movie.zarr"))
    there is no s3://lab/movie.zarr; check the address
    """
    cause, step = _meaning(error, anonymous=anonymous)
    return FileAccessError(cause.format(url=url, status=_status_of(error)), step)


def is_beyond_end(error: BaseException) -> bool:
    """Whether a range was asked for that begins behind the end of the object."""
    return _status_of(error) == 416 or _code_of(error) == "InvalidRange" or "InvalidRange" in str(error)


def _meaning(error: BaseException, *, anonymous: bool) -> tuple[str, str]:
    code, status, text = _code_of(error), _status_of(error), str(error)
    if code in _CODES:
        return _CODES[code]
    name = type(error).__name__
    if status == 403 or isinstance(error, PermissionError) or name == "PermissionDeniedError":
        return _NO_CREDENTIALS if anonymous else _DENIED
    if name == "UnauthenticatedError":
        return _STATUSES[401]
    if status in _STATUSES:
        return _STATUSES[status]
    if status is not None and status >= 500:
        return _SERVER
    if isinstance(error, FileNotFoundError):
        return _STATUSES[404]
    if (profile := _PROFILE.search(text)) is not None:
        return f"{{url}}: there is no profile {profile[1]} in ~/.aws", "check AWS_PROFILE"
    if _INCOMPLETE.search(text):
        return "{url}: the credentials are incomplete", _CREDENTIALS
    if "redirect" in text.lower():
        return _REGION
    if isinstance(error, asyncio.TimeoutError | TimeoutError) or _TIMED_OUT.search(text):
        return _STATUSES[408]
    if isinstance(error, ConnectionError) or _UNREACHABLE.search(f"{name} {text}"):
        return "{url} cannot be reached", "check the network, the address and the endpoint (AWS_ENDPOINT_URL)"
    return f"{{url}}: the store or its client failed ({name})", "check the address and the credentials"


def _code_of(error: BaseException) -> str | None:
    """Return the code that S3 and those like it give: in the answer of botocore, or in the text."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code"))
    found = _CODE.search(str(error))
    if found is not None:
        return found[1]
    inner = error.__cause__
    return None if inner is None else _code_of(inner)


def _status_of(error: BaseException) -> int | None:
    """Return the HTTP status of a refusal, where there is one."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    status = getattr(error, "status", None)
    if isinstance(status, int) and status:
        return status
    found = _STATUS.search(str(error))
    if found is not None:
        return int(found[1])
    inner = error.__cause__
    return None if inner is None else _status_of(inner)
