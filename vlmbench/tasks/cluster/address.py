"""The address of a Ray cluster, and the errors for one that cannot be used."""

import socket
from importlib.util import find_spec

from vlmbench.foundations.errors import AbsentError, UsageError, VlmbenchError
from vlmbench.foundations.text import visible

LOCAL = "local"
"""The address that stands for a cluster of this machine alone, for this command."""
INSTALL = "pip install 'vlmbench-eval[ray]'"
SECONDS = 5.0
"""How long an address has to answer."""


def parse_address(text: str) -> str:
    """The address of a cluster: ``local``, ``auto`` (the one that runs on this machine), ``HOST:PORT`` or
    ``ray://HOST:PORT``.

    Raises:
        UsageError: it is none.
        AbsentError: Ray is not installed.
    """
    host, colon, port = text.removeprefix("ray://").rpartition(":")
    if text not in (LOCAL, "auto") and not (host and colon and port.isdigit() and "/" not in host):
        raise UsageError(
            f"not the address of a Ray cluster: {visible(text)}",
            where="--ray",
            fix="--ray alone for this machine, --ray auto, --ray HOST:6379 or --ray ray://HOST:10001",
        )
    if find_spec("ray") is None:
        raise AbsentError("Ray is not installed", where="--ray", fix=INSTALL)
    return text


def require_answer(address: str) -> None:
    """Tries an address: Ray itself would try for a minute.

    Raises:
        AbsentError: nobody listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except (OSError, OverflowError) as error:
        raise AbsentError(
            f"nothing answers at {visible(address)}: {error}",
            where="--ray",
            fix="ray start --head, then --ray HOST:6379 on its machines or --ray ray://HOST:10001 from elsewhere",
        ) from error


def refused(address: str, error: BaseException) -> VlmbenchError:
    """The error for a cluster that could not be started or connected to."""
    said = visible(" ".join(str(error).split()))[:400]
    if "ersion mismatch" in said:
        return AbsentError(
            f"the Ray cluster has another version: {said}", where="--ray", fix="the same on every machine"
        )
    if "grpc" in said and isinstance(error, ImportError):
        return AbsentError("Ray's client is not installed", where="--ray", fix=INSTALL)
    what = "Ray cannot start here" if address == LOCAL else f"no Ray cluster at {address} that can be used from here"
    return AbsentError(f"{what}: {said}", where="--ray", fix="see docs/cluster.md, or leave --ray out")
