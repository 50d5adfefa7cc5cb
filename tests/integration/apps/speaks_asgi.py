"""An application of the asynchronous kind."""

from __future__ import annotations


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


class Framework:
    """As frameworks do it: an instance whose call is a coroutine."""

    async def __call__(self, scope, receive, send):
        await app(scope, receive, send)


framework = Framework()
