"""The text that names an application, read and never evaluated."""

from __future__ import annotations

import pytest

from workerkit.errors import ConfigError
from workerkit.wsgi.reference import AppReference, Call, parse_reference

FORMS = "Expected MODULE, MODULE:VARIABLE, MODULE:FACTORY() or MODULE:FACTORY('literal', key=1)"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("shop", AppReference("shop")),
        ("shop.wsgi", AppReference("shop.wsgi")),
        ("shop:app", AppReference("shop", "app")),
        (" shop:app ", AppReference("shop", "app")),
        ("shop:site.app", AppReference("shop", "site.app")),
        ("shop:create_app()", AppReference("shop", "create_app", Call())),
        ("shop:make.app()", AppReference("shop", "make.app", Call())),
        (
            "shop:create_app('a:b', -1, debug=True, hosts=['x', None])",
            AppReference("shop", "create_app", Call(("a:b", -1), {"debug": True, "hosts": ["x", None]})),
        ),
    ],
)
def test_each_form_is_read(text, reference):
    """Module, attribute and the call's literal arguments are told apart."""
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"'' does not name a module\n{FORMS}"),
        (":app", f"':app' does not name a module\n{FORMS}"),
        ("my-shop:app", f"'my-shop:app' does not name a module\n{FORMS}"),
        (
            "./src/shop.py:app",
            f"'./src/shop.py:app' does not name a module, it looks like a path; did you mean 'src.shop'?\n{FORMS}",
        ),
        ("shop:", f"'shop:' cannot be read as an application\n{FORMS}"),
        ("shop:app(", f"'shop:app(' cannot be read as an application\n{FORMS}"),
        ("shop:app + 1", f"'shop:app + 1': 'app + 1' is neither a name nor the call of one\n{FORMS}"),
        ("shop:make()()", f"'shop:make()()': 'make()()' is neither a name nor the call of one\n{FORMS}"),
        (
            "shop:make(os.environ)",
            "'shop:make(os.environ)': the argument os.environ is not a literal\n"
            "A factory is called with literals only (text, numbers, True, None, lists, dicts of these)",
        ),
        (
            "shop:make(key=f())",
            "'shop:make(key=f())': the argument f() is not a literal\n"
            "A factory is called with literals only (text, numbers, True, None, lists, dicts of these)",
        ),
        ("shop:make(**{'a': 1})", "'shop:make(**{'a': 1})': ** cannot be used; name each keyword argument"),
        (
            "shop:make(*[1])",
            "'shop:make(*[1])': the argument *[1] is not a literal\n"
            "A factory is called with literals only (text, numbers, True, None, lists, dicts of these)",
        ),
    ],
)
def test_anything_else_is_refused(text, message):
    """What is none of the forms raises ConfigError, which says what is."""
    with pytest.raises(ConfigError) as caught:
        parse_reference(text)

    assert str(caught.value).replace('"', "'") == message
