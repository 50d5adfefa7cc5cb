"""How much of a request is accepted before it is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

from workerkit.errors import ProtocolError


def _check_not_negative(value: int) -> None:
    if value < 0:
        raise ValueError("must be 0 or more")


def _limit(default: int, help_text: str, unit: str | None = "bytes") -> int:
    metadata: dict[str, object] = {"help": help_text, "check": _check_not_negative}
    if unit is not None:
        metadata["unit"] = unit
    # dataclasses.field is typed as its default, which is what the class below wants.
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class HttpLimits:
    """HTTP limits."""

    # Browsers and proxies send lines of up to 8 KB; gunicorn's 4094 refuses some of them.
    limit_request_line: int = _limit(8190, "Longest request line, without its line end; 414 above, 0 for no limit.")
    limit_request_fields: int = _limit(100, "Most header fields of a request; 431 above, 0 for no limit.", unit=None)
    limit_request_field_size: int = _limit(
        8190, "Longest header field of a request, name and value; 431 above, 0 for no limit."
    )
    limit_request_head: int = _limit(
        65536, "Largest request head, its line and fields together; 431 above, 0 for no limit."
    )
    limit_request_body: int = _limit(0, "Largest request body; 413 above, 0 for no limit.")
    limit_chunk_extensions: int = _limit(
        16384, "Most chunk extensions in a chunked body, at most 4096 of them in one chunk; 400 above."
    )
    limit_request_trailers: int = _limit(8192, "Largest trailers after a chunked body; 431 above.")


# The refusals. Each is made in two places: of a head, where it is complete and where it is still arriving; of a
# body, by its announced length and by its chunks.


def line_too_long(limits: HttpLimits) -> ProtocolError:
    return ProtocolError(f"the request line is longer than {limits.limit_request_line} bytes", 414)


def head_too_large(limits: HttpLimits) -> ProtocolError:
    return ProtocolError(f"the request head is larger than {limits.limit_request_head} bytes", 431)


def too_many_fields(limits: HttpLimits) -> ProtocolError:
    return ProtocolError(f"more than {limits.limit_request_fields} header fields", 431)


def field_too_long(limits: HttpLimits) -> ProtocolError:
    return ProtocolError(f"a header field is longer than {limits.limit_request_field_size} bytes", 431)


def body_too_large(limits: HttpLimits) -> ProtocolError:
    return ProtocolError(f"the body is larger than {limits.limit_request_body} bytes", 413)
