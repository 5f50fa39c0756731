"""The Prometheus metrics that every service exposes at /metrics."""

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

HTTP_REQUESTS = Counter("relata_http_requests_total", "HTTP requests answered", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "relata_http_request_seconds", "Time to answer an HTTP request", ["method", "route"], buckets=_LATENCY_BUCKETS
)
COMMANDS = Counter("relata_commands_total", "Commands by what became of them", ["result"])
WRITER_BATCH = Histogram(
    "relata_writer_batch_commands", "Commands saved in one transaction", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
SNAPSHOTS = Counter("relata_snapshots_total", "Snapshots of long streams by what became of them", ["result"])
RELAY_PUBLISHED = Counter("relata_relay_published_total", "Records acknowledged by the broker", ["topic"])
RELAY_POSITION = Gauge("relata_relay_position", "Last log position that the broker has acknowledged")
RELAY_LEADER = Gauge("relata_relay_leader", "1 while this process holds the relay's lock")
PROJECTION_EVENTS = Counter("relata_projection_events_total", "Events by what became of them", ["projection", "result"])
PROJECTION_LAG = Gauge("relata_projection_lag", "Records behind the end of the partition", ["projection", "partition"])
PROJECTION_SECONDS = Histogram(
    "relata_projection_batch_seconds", "Time to apply and write one batch", ["projection"], buckets=_LATENCY_BUCKETS
)
