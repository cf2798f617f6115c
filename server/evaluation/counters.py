"""What Prometheus is told of the evaluation service: requests, jobs by state, uploads, what is received."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from querywright.errors import QuerywrightError
from server.evaluation.desk import Desk
from server.jobs.task import STATES
from server.metrics import Requests


class Counters(Requests):
    """The counters of one server. Teams are no labels: there may be many, and nobody's work is for others to see."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.registry.register(_Now(desk))  # type: ignore[arg-type]


class _Now:
    """What is looked up when it is asked for."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def describe(self) -> Iterable[Any]:
        return ()

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import GaugeMetricFamily

        jobs = GaugeMetricFamily("querywright_jobs", "Jobs by state.", labels=["state"])
        receiving = GaugeMetricFamily("querywright_receiving", "Files that are being received.")
        receiving.add_metric([], self.desk.places.teams.total())
        uploads = GaugeMetricFamily("querywright_uploads", "Uploads that are listed; a file may be, several times.")
        files = GaugeMetricFamily("querywright_upload_files", "Files of uploads.")
        size = GaugeMetricFamily("querywright_upload_bytes", "Bytes of these files.")
        try:
            counts = self.desk.table.counts()
            for state in STATES:
                jobs.add_metric([state], counts.get(state, 0))
            for metric, value in zip((uploads, files, size), self.desk.shelf.totals(), strict=True):
                metric.add_metric([], value)
        except QuerywrightError:  # the database is away: what is known without it is told all the same
            pass
        yield from (jobs, receiving, uploads, files, size)
