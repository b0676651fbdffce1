"""The documented table is the code's."""

from pathlib import Path

from pipeline.metrics import METRICS, PREFIX

TABLE = Path(__file__).parents[3] / "infra" / "cluster" / "grafana" / "METRICS.md"


def test_table_names_every_metric_and_no_other() -> None:
    """With kind, labels and meaning, in the same order."""
    documented = [line for line in TABLE.read_text().splitlines() if line.startswith(f"| `{PREFIX}")]
    assert documented == [
        f"| `{PREFIX}{metric.name}` | {metric.kind} | {', '.join(('job', *metric.labels))} | {metric.help} |"
        for metric in METRICS.values()
    ]
