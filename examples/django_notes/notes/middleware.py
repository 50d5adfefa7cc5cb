"""Names the answering process in each response."""

from __future__ import annotations

import os
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def name_the_worker(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Add ``X-Worker`` with the worker's pid."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Worker"] = str(os.getpid())
        return response

    return respond
