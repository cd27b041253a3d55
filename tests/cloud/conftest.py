"""Buckets and web servers on this computer; credentials that are worth nothing."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.cloud.servers import Server, file_server, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "AKIAROITRACETESTS"
SECRET = "roitrace-secret-of-tests"
_OWN = ("AWS_", "GOOGLE_")


@pytest.fixture(scope="session")
def s3() -> Iterator[Server]:
    """Moto's server, one for all tests."""
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An empty bucket, ``s3://...``, which the environment lets one read and write."""
    for name in [name for name in os.environ if name.startswith(_OWN)]:
        monkeypatch.delenv(name)
    settings = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3.address,
        "AWS_CONFIG_FILE": str(tmp_path / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    name = f"lab-{secrets.token_hex(4)}"
    s3.log.clear()
    _make_bucket(s3, name)
    s3.log.clear()
    return f"s3://{name}"


@pytest.fixture
def google_bucket(s3: Server, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The same bucket by the address of Google's store, whose own protocol for objects S3 shares as far as reading goes."""
    account = {
        "gcs_base_url": s3.address,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
    return bucket.replace("s3://", "gs://")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, Server]]:
    """A folder, and the server that shows it."""
    folder = tmp_path / "web"
    folder.mkdir()
    with file_server(folder) as server:
        yield folder, server


def _make_bucket(server: Server, name: str) -> None:
    from urllib.request import Request, urlopen

    with urlopen(Request(f"{server.address}/{name}", method="PUT")) as answer:
        assert answer.status == 200
