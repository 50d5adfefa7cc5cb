"""What ``MODULE:VAR`` refers to, read without importing or evaluating anything."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from workerkit.errors import ConfigError
from workerkit.records import Record

_FORMS = "MODULE, MODULE:VARIABLE, MODULE:FACTORY() or MODULE:FACTORY('literal', key=1)"


class Call(Record):
    """The arguments that a factory is called with; all of them were literals."""

    positional: tuple[object, ...] = ()
    keywords: Mapping[str, object] = MappingProxyType({})


class AppReference(Record):
    """Where the application is: a module, perhaps a (dotted) attribute of it, perhaps the call of that."""

    module: str
    attribute: str | None = None
    call: Call | None = None


def parse_reference(text: str) -> AppReference:
    """Return what ``text`` refers to.

    Raises:
        ConfigError: it is none of the forms, or an argument of the call is not a literal.
    """
    module, colon, rest = text.strip().partition(":")
    if not _is_dotted_name(module):
        raise ConfigError(f"{text!r} does not name a module{_as_module(module)}\nExpected {_FORMS}")
    if not colon:
        return AppReference(module)
    if _is_dotted_name(rest):
        return AppReference(module, rest)
    attribute, call = _parse_call(rest, text)
    return AppReference(module, attribute, call)


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _as_module(path: str) -> str:
    """Return the hint for somebody who gave a path; empty if it cannot be one."""
    module = path.removesuffix(".py").removeprefix("./").strip("/").replace("/", ".")
    return f", it looks like a path; did you mean {module!r}?" if "/" in path and _is_dotted_name(module) else ""


def _parse_call(source: str, text: str) -> tuple[str, Call]:
    import ast  # noqa: PLC0415  only a factory pays for it

    try:
        node = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError):
        raise ConfigError(f"{text!r} cannot be read as an application\nExpected {_FORMS}") from None
    function = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    if not isinstance(node, ast.Call) or not _is_dotted_name(function):
        raise ConfigError(f"{text!r}: {source!r} is neither a name nor the call of one\nExpected {_FORMS}")

    def literal(argument: ast.expr) -> object:
        try:
            return ast.literal_eval(argument)
        except (ValueError, TypeError):
            raise ConfigError(
                f"{text!r}: the argument {ast.unparse(argument)} is not a literal\n"
                "A factory is called with literals only (text, numbers, True, None, lists, dicts of these)"
            ) from None

    if any(keyword.arg is None for keyword in node.keywords):
        raise ConfigError(f"{text!r}: ** cannot be used; name each keyword argument")
    keywords = {keyword.arg: literal(keyword.value) for keyword in node.keywords if keyword.arg}
    return function, Call(tuple(literal(argument) for argument in node.args), keywords)
