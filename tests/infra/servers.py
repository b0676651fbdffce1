"""Real S3 servers on loopback sockets, for tests and benchmarks: moto, rclone, and a proxy that misbehaves on order."""

import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from moto.server import ThreadedMotoServer

from infra.stores.retry import RetryPolicy
from infra.stores.s3 import S3Store
from infra.stores.s3_client import S3Access, s3_client

START_SECONDS = 30.0
"""How long a server may take to listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running server with one empty bucket."""

    endpoint_url: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    @property
    def access(self) -> S3Access:
        """What an `S3Store` needs to reach the server."""
        return S3Access(
            endpoint_url=self.endpoint_url,
            region=self.region,
            access_key=self.access_key,
            secret_key=self.secret_key,
        )

    def environment(self) -> Mapping[str, str]:
        """The variables with which another process reaches the server through `open_store`."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def uri(self, prefix: str = "") -> str:
        """The URI of a store in the bucket."""
        return f"s3://{self.bucket}/{prefix}" if prefix else f"s3://{self.bucket}"

    def store(self, prefix: str = "", *, retry: RetryPolicy | None = None) -> S3Store:
        """A store in the bucket."""
        return S3Store(self.bucket, prefix, access=self.access, retry=retry)


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """Moto in this process, on a free port: honours conditional puts, checks no signatures."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        server = S3Server(
            endpoint_url=f"http://{host}:{port}",
            bucket=f"moto-{secrets.token_hex(6)}",
            access_key="testing",
            secret_key=secrets.token_hex(16),
        )
        client = s3_client(server.access, connections=1)
        client.create_bucket(Bucket=server.bucket)
        client.close()
        yield server
    finally:
        moto.stop()


@contextmanager
def rclone_server(folder: Path, *, host: str = "127.0.0.1") -> Iterator[S3Server]:
    """`rclone serve s3` over `folder`, on a free port: checks signatures, ignores the conditions of puts."""
    bucket, access_key, secret_key = "renders", secrets.token_hex(8), secrets.token_hex(16)
    (folder / bucket).mkdir(parents=True)
    program = Path(sys.executable).parent / "rclone"
    options = ["--config", "", "--addr", f"{host}:0", "--auth-key", f"{access_key},{secret_key}"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([program, "serve", "s3", *options, folder], stdout=log, stderr=log)
        try:
            yield S3Server(
                endpoint_url=_announced(process, log.fileno()),
                bucket=bucket,
                access_key=access_key,
                secret_key=secret_key,
            )
        finally:
            process.terminate()
            process.wait()


def _announced(process: subprocess.Popen[bytes], log: int) -> str:
    """The URL that rclone says it listens on."""
    deadline = time.monotonic() + START_SECONDS
    path = Path(f"/proc/self/fd/{log}")
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(rb"http://[\d.]+:\d+", path.read_bytes())
        if found:
            return found.group().decode()
        time.sleep(0.02)
    raise RuntimeError(f"rclone does not listen: {path.read_bytes().decode(errors='replace')}")
