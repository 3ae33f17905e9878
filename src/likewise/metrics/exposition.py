"""The numbers as Prometheus reads them. https://prometheus.io/docs/instrumenting/exposition_formats/"""

import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from likewise.metrics import SECONDS, Metrics, Totals
from likewise.store import BATCH_SIZES

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def exposition(metrics: Metrics) -> bytes:
    """Write the numbers of all workers."""
    return generate_latest(_Collector(metrics))


class _Collector:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        totals = self._metrics.totals()
        families = _build(self._metrics.engine), *_requests(totals), *_writes(totals)
        for family in (*families, *self._workers(), *self._processes()):
            if family.samples:
                yield family

    def _workers(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "likewise_writes_waiting", "Writes that wait for the database, at most 1024 a worker.", labels=["worker"]
        )
        connections = GaugeMetricFamily(
            "likewise_database_connections", "Connections to the database, in use or idle.", labels=["worker", "state"]
        )
        most = GaugeMetricFamily(
            "likewise_database_connections_max", "The most connections that a worker opens.", labels=["worker"]
        )
        for worker in self._metrics.workers():
            number = str(worker.number)
            waiting.add_metric([number], worker.waiting)
            if worker.connections_max:
                connections.add_metric([number, "in_use"], worker.connections_in_use)
                connections.add_metric([number, "idle"], worker.connections_idle)
                most.add_metric([number], worker.connections_max)
        yield from (waiting, connections, most)

    def _processes(self) -> Iterator[Metric]:
        """What the system says of each worker's process, where it has /proc to say it in."""
        families: dict[str, Metric] = {}
        for worker in self._metrics.workers():
            for family in _process(worker.pid):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    merged.add_sample(sample.name, {"worker": str(worker.number)}, sample.value)
        yield from families.values()


def _process(pid: int) -> Iterable[Metric]:
    return ProcessCollector(pid=lambda: pid, registry=None).collect()


def _build(engine: str) -> Metric:
    family = GaugeMetricFamily(
        "likewise_build_info", "What is running; always 1.", labels=["version", "python", "engine"]
    )
    family.add_metric([version("likewise"), platform.python_version(), engine], 1)
    return family


def _requests(totals: Totals) -> Iterator[Metric]:
    answered = CounterMetricFamily(
        "likewise_requests", "Requests by endpoint, method and status.", labels=["endpoint", "method", "status"]
    )
    seconds = HistogramMetricFamily(
        "likewise_request_duration_seconds",
        "Time from a request's head to the last byte handed to the server.",
        labels=["endpoint", "method"],
    )
    for each in totals.requests():
        for status, count in each.by_status.items():
            answered.add_metric([each.endpoint, each.method, status], count)
        seconds.add_metric([each.endpoint, each.method], _buckets(SECONDS, each.by_seconds), each.seconds)
    yield from (answered, seconds)


def _writes(totals: Totals) -> Iterator[Metric]:
    yield CounterMetricFamily("likewise_commits", "Commits of writes.", totals.commits)
    sizes = HistogramMetricFamily("likewise_write_batch_size", "Writes that went to the database together.")
    sizes.add_metric([], _buckets(BATCH_SIZES, [*totals.batches, 0]), totals.writes)
    yield sizes
    yield CounterMetricFamily("likewise_worker_starts", "Starts of workers, the first ones included.", totals.starts)


def _buckets(bounds: Sequence[float], counts: Sequence[float]) -> list[tuple[str, float]]:
    """Add up counts bound by bound, as Prometheus wants them; the last has no bound."""
    names = [*(f"{float(bound)}" for bound in bounds), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True))
