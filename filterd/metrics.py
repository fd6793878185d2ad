"""What filterd counts, in Prometheus' terms. Worker processes write, the supervisor exposes.

Import only after PROMETHEUS_MULTIPROC_DIR is set (the supervisor sets it for its workers):
prometheus_client decides at import where values live.
"""

from __future__ import annotations

from filterd.metrics_room import reserve

# Before prometheus_client is imported.
IS_SEEN = reserve()

from prometheus_client import Counter, Gauge, Histogram  # noqa: E402

MESSAGES = Counter(
    "filterd_messages_total", "Messages answered at end of data.", ["verdict", "reply"]
)
UNJUDGED = Counter("filterd_unjudged_total", "Messages that could not be judged.", ["reason"])
DEFERRED = Counter(
    "filterd_deferred_total",
    "Clients told to come again, since their mail would not be judged in time, and when.",
    ["at"],
)
SENTIMENT = Counter("filterd_sentiment_total", "Judged messages by sentiment.", ["sentiment"])
SPARED = Counter(
    "filterd_model_spared_total", "Messages that were spam by staff's labels alone (cascade)."
)
JUDGE_SECONDS = Histogram(
    "filterd_judge_seconds",
    "Wall time of judging one message.",
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
MESSAGE_BYTES = Histogram(
    "filterd_message_bytes",
    "Size of messages.",
    buckets=tuple(1024 * 4**power for power in range(9)),
)
SPAM_SCORE = Histogram(
    "filterd_spam_score",
    "Calibrated spam probability, for drift.",
    buckets=(0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
)
CONNECTIONS = Gauge("filterd_connections", "Open client connections.", multiprocess_mode="livesum")
RECORDS = Gauge(
    "filterd_records",
    "Message records by what became of them since the worker started.",
    ["state"],
    multiprocess_mode="livesum",
)
LABELS_LEARNT = Gauge(
    "filterd_labels_learnt",
    "Labelled messages that the learner of each worker knows: the least of all workers.",
    multiprocess_mode="livemin",
)
LABELLERS_LEFT_OUT = Gauge(
    "filterd_labellers_left_out",
    "People whose labels are left out, since they contradict what all others taught.",
    multiprocess_mode="livemax",
)
MODEL_LOADED = Gauge(
    "filterd_model_loaded_timestamp_seconds",
    "When the serving bundle was loaded.",
    ["version"],
    multiprocess_mode="livemax",
)
