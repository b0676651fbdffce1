"""What calls `spotrender nightly run` every few minutes: a crontab line, systemd units, a Kubernetes CronJob."""

import json
import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType

MINUTES = 5
"""Between two calls."""


def cron_line(command: list[str], folder: str) -> str:
    """A line for `crontab -e`; the runs outlive the call."""
    line = f"cd {shlex.quote(folder)} && {shlex.join(command)}".replace("%", r"\%")  # cron reads % as a line's end
    note = "# for `crontab -e`; it has no login shell: say credentials and PATH above this line"
    return f"{note}\n*/{MINUTES} * * * *  {line}\n"


def systemd_units(command: list[str], folder: str) -> str:
    """A service and a timer; the service stays until the runs end, for systemd ends what a service leaves behind."""
    words = " ".join(_systemd(word) for word in [*command, "--wait"])
    return f"""\
# ~/.config/systemd/user/spotrender-nightly.service
[Unit]
Description=Renders of spotrender that are due

[Service]
Type=oneshot
WorkingDirectory={_systemd_path(folder)}
ExecStart={words}
# 3, 4, 5: a job that ended with failures, was stopped or canceled; the journal and `nightly list` tell
SuccessExitStatus=3 4 5
KillSignal=SIGINT
TimeoutStopSec=5min

# ~/.config/systemd/user/spotrender-nightly.timer
[Unit]
Description=Looks every {MINUTES} minutes whether a render is due

[Timer]
OnCalendar=*:0/{MINUTES}
Persistent=true

[Install]
WantedBy=timers.target

# then: systemctl --user daemon-reload && systemctl --user enable --now spotrender-nightly.timer
#       loginctl enable-linger, so that it runs while nobody is logged in
"""


def kubernetes_job(command: list[str], folder: str) -> str:
    """A CronJob; calls may overlap, so that a long run keeps no other entry from starting."""
    del folder
    return f"""\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: spotrender-nightly
spec:
  schedule: "*/{MINUTES} * * * *"
  concurrencyPolicy: Allow
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 120
          containers:
            - name: nightly
              image: IMAGE-WITH-SPOTRENDER
              command: {json.dumps([*command, "--wait"])}
              # mount the nightly file and its job files under these paths, and give the pod access to the store
"""


UNITS: Mapping[str, Callable[[list[str], str], str]] = MappingProxyType(
    {"cron": cron_line, "systemd": systemd_units, "kubernetes": kubernetes_job}
)
"""Kind -> what to install."""


def _systemd(word: str) -> str:
    """A word of ExecStart: `%` and `$` mean something there, blanks and quotes part words."""
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{safe}"' if safe != word or not word or set(word) & set(" \t'\";") else word


def _systemd_path(path: str) -> str:
    """A path as a setting."""
    return path.replace("%", "%%")
