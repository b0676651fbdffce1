"""Several machines on one: hosts in network namespaces of their own, joined by a bridge, each with its own address.

Ray's ports, the cloud's addresses and the death of a machine are then as on a real network. What runs on a host dies
with it, by its process ids.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NETWORK = "10.203.77"
"""First three numbers of every address; the bridge, which stands for the outside, is 1."""

OUTSIDE = f"{NETWORK}.1"
"""Address under which the hosts reach this test: its store, its Prometheus."""

GONE_SECONDS = 30.0
"""How long killed processes may take to be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One machine."""

    name: str
    address: str
    namespace: str
    environment: Mapping[str, str] = field(repr=False)
    """What every command on it sees, beside the variables of this process."""

    def run(self, command: str) -> str:
        """A line of shell on the host, as somebody would type it; gives stdout.

        Raises:
            AssertionError: it fails.
        """
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, "bash", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment(),
        )
        assert done.returncode == 0, f"{self.name}$ {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A program that runs there until the block ends, or the host is switched off."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def switch_off(self) -> None:
        """SIGKILL to everything that runs on it, and the cable pulled."""
        _ip("-n", self.namespace, "link", "set", "eth0", "down")
        deadline = time.monotonic() + GONE_SECONDS
        while pids := self._pids():
            assert time.monotonic() < deadline, f"{self.name} does not end: {pids}"
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        """Of a command on it; nothing of a Ray that this process has started."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {**inherited, **self.environment}

    def _pids(self) -> list[int]:
        """Of everything that runs on it."""
        return [int(pid) for pid in _ip("netns", "pids", self.namespace).split()]


@contextlib.contextmanager
def network(names: Sequence[str], *, environment: Callable[[str], Mapping[str, str]]) -> Iterator[dict[str, Host]]:
    """Hosts by name, gone with everything that runs on them when the block ends.

    Args:
        names: of the hosts.
        environment: what every command on a host of this name sees, beside the variables of this process.
    """
    mark = secrets.token_hex(3)  # names of interfaces have at most 15 characters
    bridge = f"sb{mark}"
    with contextlib.ExitStack() as stack:
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{OUTSIDE}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        hosts: dict[str, Host] = {}
        for number, name in enumerate(names):
            namespace, cable = f"spotrender-{mark}-{name}", f"s{mark}{number}"
            host = Host(
                name=name, address=f"{NETWORK}.{number + 10}", namespace=namespace, environment=environment(name)
            )
            _ip("netns", "add", namespace)
            stack.callback(_ip, "netns", "del", namespace)
            stack.callback(host.switch_off)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("link", "set", cable, "master", bridge, "up")
            _ip("-n", namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "lo", "up")
            _ip("-n", namespace, "link", "set", "eth0", "up")
            _ip("-n", namespace, "route", "add", "default", "via", OUTSIDE)  # by it programs find their own address
            hosts[name] = host
        yield hosts


def _ip(*arguments: str) -> str:
    """`ip` of iproute2. Raises: AssertionError: it fails, as for somebody who is not root."""
    program = next(path for path in ("/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip") if Path(path).exists())
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout
