"""The address of an object store, as in `s3://bucket/prefix?endpoint=…&region=…`, and what follows from it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured

SCHEME = "s3://"
WANTED = (
    "a folder, or s3://bucket/prefix with ?region=… or ?endpoint=https://… (and, if wanted, "
    "encryption=AES256 or encryption=aws:kms, with key=…)"
)
ENCRYPTIONS = {"", "AES256", "aws:kms"}
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
REGION = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """Where objects are. `key` is that of the key management service, for the encryption `aws:kms`."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    encryption: str = ""
    key: str = ""
    has_bucket_in_path: bool = True

    @property
    def origin(self) -> str:
        """The origin of signed addresses."""
        parts = urlsplit(self.endpoint)
        host = parts.netloc if self.has_bucket_in_path else f"{self.bucket}.{parts.netloc}"
        return f"{parts.scheme}://{host}"


def parse(text: str) -> ObjectAddress:
    """Return the parts of an address that begins with SCHEME. Raises ValueError."""
    parts = urlsplit(text)
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query), max_num_fields=5))
    region, endpoint = options.pop("region", ""), options.pop("endpoint", "").rstrip("/")
    encryption, key = options.pop("encryption", ""), options.pop("key", "")
    address = urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
    if (
        options
        or parts.fragment
        or not BUCKET.fullmatch(parts.netloc)
        or not (region or endpoint)
        or (region and not REGION.fullmatch(region))
        or address.scheme not in {"http", "https"}
        or not address.hostname
        or address.username is not None
        or address.path
        or encryption not in ENCRYPTIONS
        or (key and encryption != "aws:kms")
    ):
        raise ValueError(WANTED)
    return ObjectAddress(
        bucket=parts.netloc,
        prefix=parts.path.strip("/"),
        endpoint=address.geturl(),
        region=region or "us-east-1",
        encryption=encryption,
        key=key,
        # Services other than Amazon's rarely have a name for each bucket, and a certificate is for no name with dots.
        has_bucket_in_path=bool(endpoint) or "." in parts.netloc,
    )


def storage_setting(text: str) -> dict[str, Any]:
    """Return the entry of STORAGES for a folder or an address. Raises ValueError."""
    if not text.startswith(SCHEME):
        if "://" in text:
            raise ValueError(WANTED)
        return {"BACKEND": "apps.core.storage.WholeFileStorage"}
    return {"BACKEND": "apps.core.object_storage.ObjectStorage", "OPTIONS": asdict(parse(text))}


def signed_origin(text: str) -> str:
    """Return the origin of the signed addresses of a store. Raises ImproperlyConfigured if `text` names none."""
    if not text.startswith(SCHEME):
        raise ImproperlyConfigured("MEDIA_SIGNED_URLS=on needs an object store: set MEDIA_STORAGE, or leave it off.")
    return parse(text).origin
