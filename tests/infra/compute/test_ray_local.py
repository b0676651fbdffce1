"""A Ray of our own on this machine: quiet, private, and gone afterwards, however the driver ends."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.imports import ROOT
from tests.infra.compute.jobs import PATIENCE_SECONDS, recorded_images


@pytest.fixture
def ray_tmp() -> Iterator[str]:
    """A folder with a path short enough for Ray's sockets."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def driver(tmp_path: Path, ray_tmp: str) -> Iterator[subprocess.Popen[str]]:
    """The driver of `own_ray`, in a folder with other packages of our names, where RAY_ADDRESS leads to nobody."""
    for package in ("pipeline", "infra"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('the wrong package')")
    started = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.infra.compute.own_ray", str(tmp_path / "store"), ray_tmp],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": "127.0.0.1:1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield started
    started.kill()
    started.communicate()


def line(driver: subprocess.Popen[str]) -> list[str]:
    """The words of the driver's next line."""
    assert driver.stdout is not None
    said = driver.stdout.readline().split()
    assert said, driver.stderr.read() if driver.stderr else ""
    return said


def go(driver: subprocess.Popen[str]) -> None:
    """Let the driver go on."""
    assert driver.stdin is not None
    driver.stdin.write("go\n")
    driver.stdin.flush()


def worker_process(driver: subprocess.Popen[str]) -> psutil.Process:
    """The process of the driver's only worker actor."""
    children = psutil.Process(driver.pid).children(recursive=True)
    return next(child for child in children if "WorkerActor" in " ".join(child.cmdline()))


AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Processes of Ray that try for a minute to report a death before they end themselves."""


def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Wait for the end of all of these."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while alive := [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def test_own_ray_is_quiet_survives_ctrl_c_and_leaves_nothing_behind(
    driver: subprocess.Popen[str], tmp_path: Path
) -> None:
    """A killed worker is replaced without a word from Ray, Ctrl-C reaches only the driver, and no process stays."""
    assert line(driver) == ["ready", "local"]
    processes = psutil.Process(driver.pid).children(recursive=True)
    worker_process(driver).send_signal(signal.SIGKILL)
    go(driver)
    assert line(driver) == ["lost"]
    assert line(driver) == ["working"]
    os.killpg(driver.pid, signal.SIGINT)
    go(driver)
    assert line(driver) == ["done", "SUCCEEDED", "True", "True"]
    said, complained = driver.communicate(timeout=PATIENCE_SECONDS)
    assert (said, complained, driver.returncode) == ("", "", 0)
    assert len(recorded_images(tmp_path / "store")) == 8
    wait_until_gone(processes)


def test_own_ray_dies_with_a_driver_that_is_killed(driver: subprocess.Popen[str]) -> None:
    """Kill -9 of the driver leaves neither Ray nor a worker that renders for nobody."""
    assert line(driver) == ["ready", "local"]
    children = psutil.Process(driver.pid).children(recursive=True)
    processes = [child for child in children if child.cmdline() and child.cmdline()[0] not in AGENTS]
    assert worker_process(driver) in processes
    driver.kill()
    wait_until_gone(processes)
