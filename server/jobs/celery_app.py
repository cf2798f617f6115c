"""Jobs over Celery on RabbitMQ and Redis: how messages travel, and how the API sends them.

Celery is transport only. A message is a job's id; what is to be done, who does it and what came of it stands in the
table. So a message that is lost is sent again, and one that comes twice finds nothing to claim. Redis is told which
messages were worked on, for Celery's own tools: no job waits for it.
"""

from __future__ import annotations

import logging
import re
import ssl
from typing import Any
from urllib.parse import urlsplit

from querywright.errors import QuerywrightError, need
from server.jobs.child import LONGEST_S
from server.jobs.table import Table

log = logging.getLogger("querywright.jobs")

TASK = "querywright.job"
ACK_WITHIN_S = LONGEST_S + 3600
"""Seconds that a message may stay unacknowledged. RabbitMQ's own default is 30 minutes, after which it ends the
worker's connection and gives the job's message to another one. RabbitMQ 3.12 and later obey what the queue asks for;
earlier ones have to be told with `consumer_timeout` in rabbitmq.conf."""
QUEUE = f"querywright.jobs.{ACK_WITHIN_S / 3600:.0f}h"
"""Named for it: the same queue can't be declared with another time."""
_REFUSED = {"406": f"rabbitmqctl delete_queue {QUEUE}: no job is lost, its message is sent again"}
_OBEYS = (3, 12)
_SEND_S = 5.0
_KEPT_S = 7 * 24 * 3600
_LOST_S = 1.0


def build(broker: str, results: str = "") -> Any:
    """The Celery application of API and workers.

    Args:
        broker: RabbitMQ's address, amqp:// or amqps://.
        results: Redis' address, redis:// or rediss://, of workers; whoever only sends needs none.

    Raises:
        QuerywrightError: Celery is not installed.
    """
    celery = need("celery", extra="celery")
    kombu = need("kombu", extra="celery")
    if results:
        need("redis", extra="celery")
    arguments = {"x-consumer-timeout": int(ACK_WITHIN_S * 1000)}
    app = celery.Celery("querywright", set_as_current=False)
    app.conf.update(
        broker_url=broker, result_backend=_checked(results) if results else "disabled://",
        # JSON alone, both ways: pickle would run what a message says
        task_serializer="json", result_serializer="json", event_serializer="json", accept_content=["json"],
        result_accept_content=["json"],
        # durable queue, lasting messages, and the broker has to say that it holds them
        task_queues=[kombu.Queue(QUEUE, durable=True, queue_arguments=arguments)], task_default_queue=QUEUE,
        # (RabbitMQ 4 wants the workers' own short-lived queues durable as well)
        task_default_delivery_mode="persistent", control_queue_durable=True, task_publish_retry=True,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1},
        broker_transport_options={"confirm_publish": True}, broker_connection_timeout=_SEND_S, broker_heartbeat=60,
        # one message a process, acknowledged when the job's end is written; a process that dies gives it back at once
        task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1, worker_lost_wait=_LOST_S,
        # a lost connection is found again, however long that takes; the jobs that run go on meanwhile: that their
        # messages come a second time does no harm
        broker_connection_retry=True, broker_connection_retry_on_startup=True, broker_connection_max_retries=None,
        broker_channel_error_retry=True, worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
        # the last word where a process hangs in C; a job's own limit is LONGEST_S, see `celery_worker`
        task_time_limit=int(LONGEST_S + 600), worker_max_tasks_per_child=200,
        # Redis: nothing that Celery does by itself asks it, and nobody waits long for it
        task_ignore_result=True, result_expires=_KEPT_S, redis_socket_connect_timeout=2.0, redis_socket_timeout=2.0,
        result_backend_transport_options={"retry_policy": {"max_retries": 0}, "global_keyprefix": "querywright."},
        worker_hijack_root_logger=False, worker_redirect_stdouts=False, enable_utc=True,
    )  # fmt: skip
    if broker.startswith("amqps:"):  # py-amqp alone would encrypt, and talk to anybody
        app.conf.broker_use_ssl = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": urlsplit(broker).hostname}
    return app


def _checked(results: str) -> str:
    """Redis over TLS with its certificate checked, unless the address says otherwise."""
    if not results.startswith("rediss:") or "ssl_cert_reqs" in results:
        return results
    return f"{results}{'&' if '?' in results else '?'}ssl_cert_reqs=CERT_REQUIRED"


class CeleryQueue:
    """Sends jobs to Celery's workers: the `queue.Queue` of whoever serves with a broker.

    Args:
        broker: RabbitMQ's address.
        table: where the jobs stand.
    """

    def __init__(self, broker: str, table: Table) -> None:
        self._app = build(broker)
        self._table = table

    def check(self) -> None:
        """See `check`."""
        check(self._app)

    def send(self, job: str) -> None:
        """See `Queue`.

        Raises:
            QuerywrightError: the broker is away, refuses this, or did not confirm within a few seconds.
        """
        attempt = self._table.state(job).attempt
        try:
            self._app.send_task(TASK, args=[job], task_id=_message(job, attempt + 1), confirm_timeout=_SEND_S)
        except Exception as error:
            raise _away(error) from error

    def revoke(self, job: str) -> None:
        """See `Queue`: kills the process that runs it, wherever that is.

        Raises:
            QuerywrightError: the broker is away.
        """
        # a message outlives a worker that dies, so the attempt that runs may have come with an earlier one. Workers
        # drop what was revoked for hours to come: later attempts, of `retry`, have other names
        messages = [_message(job, n) for n in range(1, self._table.state(job).attempt + 1)][-50:]
        try:
            with self._app.connection_for_write(connect_timeout=_SEND_S) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=_SEND_S)
                self._app.control.revoke(messages, connection=connection, terminate=True, signal="SIGKILL")
        except Exception as error:
            raise _away(error) from error

    def close(self) -> None:
        """See `Queue`."""
        self._app.close()


def _message(job: str, attempt: int) -> str:
    return f"{job}-{attempt}"


def check(app: Any) -> None:
    """Make the queue, if the broker is there already: it is waited for where it is not.

    Raises:
        QuerywrightError: it refuses us, which waiting does not change.
    """
    try:
        with app.connection_for_write(connect_timeout=_SEND_S) as connection:
            app.amqp.queues[QUEUE].bind(connection.default_channel).declare()
    except Exception as error:
        if not (told := _away(error)).retryable:
            raise told from error


def _away(error: Exception) -> QuerywrightError:
    text = str(error) or type(error).__name__
    if found := re.search(r"\((402|403|406|530)\)", text):
        hint = _REFUSED.get(found[1], "check the user, the password and the virtual host in QUERYWRIGHT_BROKER")
        return QuerywrightError(f"the broker refuses this: {text[:300]}", hint=hint)
    return QuerywrightError(
        f"the broker can't be reached: {text[:200]}", hint="check QUERYWRIGHT_BROKER and that RabbitMQ runs",
        retryable=True,
    )  # fmt: skip


def waits_long_enough(properties: dict[str, Any]) -> str:
    """What has to be done so that RabbitMQ waits for long jobs, in words; nothing to do: the empty string. Whether it
    is done already, a broker tells nobody.

    Args:
        properties: what the broker says of itself when it is connected to.
    """
    version = str(properties.get("version", ""))
    parts = tuple(int(p) for p in version.split(".")[:2] if p.isdigit())
    if len(parts) < 2 or parts >= _OBEYS:
        return ""
    return (
        f"jobs of more than half an hour: RabbitMQ {version} waits for them if its rabbitmq.conf has "
        f"consumer_timeout = {int(ACK_WITHIN_S * 1000)} or more; set it if you have not (3.12 and later need nothing)"
    )
