"""Where a bucket is and who asks: from the environment and the files of the providers' own tools, never from this package's configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError
from botocore.session import Session

from roitrace.store.object_errors import explain_object

if TYPE_CHECKING:
    from botocore.credentials import Credentials

__all__ = ["AwsSettings", "google_is_anonymous"]

_RENEWED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, repr=False)
class AwsSettings:
    """What botocore finds for S3: in `AWS_*` and ``~/.aws``, of containers and instances.

    Attributes
    ----------
    region, endpoint : str or None
        Where buckets are; None for the usual place.
    found : botocore.credentials.Credentials or None
        None to ask without signing, as public buckets allow.
    """

    region: str | None
    endpoint: str | None
    found: Credentials | None

    @classmethod
    def of_environment(cls, root: str) -> AwsSettings:
        """Look for them.

        Raises
        ------
        FileAccessError
            If a profile is named that is not there, or credentials cannot be fetched.
        """
        try:
            session = Session()
            region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
            return cls(region, _endpoint(session), session.get_credentials())
        except BotoCoreError as error:
            refusal = explain_object(error, root)
        raise refusal

    def __call__(self) -> dict[str, Any]:
        """Return the credentials of now, as obstore asks for them; they are fetched again when they expire."""
        assert self.found is not None
        now = self.found.get_frozen_credentials()
        lasting = getattr(self.found, "refresh_needed", None) is None
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": None if lasting else datetime.now(tz=UTC) + _RENEWED_EVERY,
        }


def _endpoint(session: Session) -> str | None:
    """Return the address of S3 where it is not Amazon's."""
    profile = session.get_scoped_config()
    section = session.full_config.get("services", {}).get(profile.get("services", ""), {})
    service = section.get("s3", {})
    own = service.get("endpoint_url") if isinstance(service, dict) else None
    return (
        os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or own
        or profile.get("endpoint_url")
    )


def google_is_anonymous() -> bool:
    """Whether nothing says who asks Google: no key in the environment, none of gcloud's, and no instance of Google's that would know."""
    named = [
        name for name in os.environ if name.startswith(("GOOGLE_APPLICATION_C", "GOOGLE_SERVICE_ACCOUNT"))
    ]
    gcloud = Path("~/.config/gcloud/application_default_credentials.json").expanduser()
    maker = Path("/sys/class/dmi/id/product_name")
    there = maker.is_file() and maker.read_text(errors="replace").startswith("Google")
    return not (named or gcloud.is_file() or there or "GCE_METADATA_HOST" in os.environ)
