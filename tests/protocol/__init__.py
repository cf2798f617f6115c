"""A local server that speaks OpenAI's protocol over real HTTP, and can be as bad as such servers are.

    with serve(Chat(answer)) as service:
        service.faults = [Fault(429, retry_after="1"), None, Fault(drop=True)]
        open_engine(service.url)

`serve` takes any number of rooms: callables that answer a request or return None where it is none of theirs.
"""

from tests.protocol.chat import Chat, completion
from tests.protocol.http import Fault, Reply, Request, Service, serve

__all__ = ["Chat", "Fault", "Reply", "Request", "Service", "completion", "serve"]
