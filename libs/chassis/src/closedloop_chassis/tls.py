"""TLS of servers and channels, as the settings name its files; plain text where they name none.

Certificates are renewed while processes run. A server looks at its files at every handshake, so that a renewed
certificate needs no restart; a channel keeps those it was opened with.
"""

from __future__ import annotations

from pathlib import Path

import grpc

from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry.logs import logger

log = logger(__name__)


def of_server(settings: Settings) -> grpc.ServerCredentials | None:
    """None: plain text. With `tls_client_ca` a caller without a certificate of that CA is refused the connection.

    Raises OSError when a file cannot be read.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    files = _ServerFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        files.renewed,  # type: ignore[arg-type]  # None keeps what is in use; the stubs do not know
        settings.tls_client_ca is not None,
    )


def of_channel(settings: Settings) -> grpc.ChannelCredentials | None:
    """None: plain text. We show our own certificate, if there is one, to a server that asks. Raises OSError."""
    if settings.tls_server_ca is None:
        return None
    own = settings.tls_certificate, settings.tls_key
    certificate, key = (path.read_bytes() if path else None for path in own)
    return grpc.ssl_channel_credentials(settings.tls_server_ca.read_bytes(), key, certificate)


class _ServerFiles:
    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._seen: tuple[int, ...] = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        self._seen = self._stamps()
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        authority = self._client_ca.read_bytes() if self._client_ca else None
        return grpc.ssl_server_certificate_configuration([pair], authority)

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """What to use from now on; None: what is in use. Half a renewal is looked at again at the next handshake."""
        before = self._seen
        try:
            return self.read() if self._stamps() != before else None
        except OSError as error:
            self._seen = before
            log.error("cannot read renewed certificates, going on with the old", error=str(error))
            return None

    def _stamps(self) -> tuple[int, ...]:
        files = (self._certificate, self._key, self._client_ca)
        return tuple(path.stat().st_mtime_ns for path in files if path)
