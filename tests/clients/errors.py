"""Says what a refused call must be answered."""

from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError


@contextmanager
def refused(status, *codes):
    """The block must fail with this status and one of these codes (HEAD answers have none)."""
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    seen = answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]
    assert seen[0] == status and (not codes or seen[1] in codes), f"{seen} instead of {status} {codes}"
