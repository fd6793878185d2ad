"""Arguments of SMTP commands: what is taken, and how the rest is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.smtp.commands import (
    MAX_ADDRESS,
    CommandError,
    check_parameters,
    parse_mail,
    parse_parameters,
    parse_rcpt,
    parse_xforward,
)


def refusal(parse, *arguments, **options):
    with pytest.raises(CommandError) as error:
        parse(*arguments, **options)
    return error.value.reply.code, error.value.reply.text.split(" ")[0]


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        ("FROM:<a@b.example>", "a@b.example"),
        ("from:<a@b.example>", "a@b.example"),
        ("FROM: <a@b.example>", "a@b.example"),
        ("FROM:a@b.example", "a@b.example"),
        ("FROM:<>", ""),
        ("FROM:<@x.example,@y.example:a@b.example>", "a@b.example"),
        ('FROM:<"a b>c"@d.example>', '"a b>c"@d.example'),
        (r'FROM:<"a\"b"@c.example>', r'"a\"b"@c.example'),
        ("FROM:<postmaster>", "postmaster"),
        ("FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
        ("FROM:<jürgen@bücher.example>", "jürgen@bücher.example"),
    ],
)
def test_senders_that_are_taken(argument, address):
    assert parse_mail(argument)[0] == address


@pytest.mark.parametrize(
    "argument",
    [
        "FROM:",
        "FROM:<a@b.example",
        "FROM:a@b.example>",
        "FROM:<a b@c.example>",
        "FROM:<a@b.example>SIZE=1",
        "FROM:<<a@b.example>>",
        'FROM:<"a@b.example>',
        "FROM:<a\r@b.example>",
        "FROM:<a\x00@b.example>",
        "FROM:<a\\@b.example>",
        "FROM:<a\u2003b@c.example>",
        "FROM:<a\x85b@c.example>",
        f"FROM:<{'a' * MAX_ADDRESS}@b.example>",
    ],
)
def test_senders_that_are_refused(argument):
    assert refusal(parse_mail, argument) == (501, "5.1.7")


@pytest.mark.parametrize(
    "argument", ["", "<a@b.example>", "FRUM:<a@b.example>", "TO:<a@b.example>"]
)
def test_mail_without_from_is_refused(argument):
    assert refusal(parse_mail, argument) == (501, "5.5.4")


@pytest.mark.parametrize("argument", ["TO:<>", "TO:", "TO:<a b@c.example>", "TO:<a\r@b.example>"])
def test_recipients_that_are_refused(argument):
    assert refusal(parse_rcpt, argument) == (501, "5.1.3")


def test_parameters_keep_their_spelling_and_order():
    _, parameters = parse_mail("FROM:<a@b.example>  Size=12  body=8BITMIME smtputf8 ENVID=a+3Db=c")
    assert [(one.keyword, one.value, one.raw) for one in parameters] == [
        ("SIZE", "12", "Size=12"),
        ("BODY", "8BITMIME", "body=8BITMIME"),
        ("SMTPUTF8", None, "smtputf8"),
        ("ENVID", "a+3Db=c", "ENVID=a+3Db=c"),
    ]


@pytest.mark.parametrize("text", ["=1", "SIZE=", "S!ZE=1", "SIZE=1 size=2", "-A", "RET=\x01"])
def test_malformed_and_repeated_parameters_are_refused(text):
    assert refusal(parse_parameters, text) == (501, "5.5.4")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AUTH=<>", (555, "5.5.4")),
        ("SMTPUTF8=yes", (501, "5.5.4")),
        ("BODY=BINARYMIME", (501, "5.5.4")),
        ("BODY", (501, "5.5.4")),
        ("SIZE=-1", (501, "5.5.4")),
        ("SIZE=1e3", (501, "5.5.4")),
        ("SIZE=²", (501, "5.5.4")),
        ("SIZE=101", (552, "5.3.4")),
        (f"SIZE={'9' * 20}", (552, "5.3.4")),
        (f"SIZE={'9' * 21}", (501, "5.5.4")),
    ],
)
def test_parameters_that_cannot_be_honoured_are_refused(text, expected):
    accepted = {"SIZE", "BODY", "SMTPUTF8"}
    assert refusal(check_parameters, parse_parameters(text), accepted, max_size=100) == expected


def test_parameters_that_can_be_honoured_pass():
    parameters = parse_parameters("SIZE=100 BODY=8bitmime SMTPUTF8")
    check_parameters(parameters, {"SIZE", "BODY", "SMTPUTF8"}, max_size=100)


@given(st.text(max_size=300))
def test_a_path_is_parsed_or_refused_and_never_holds_what_could_end_it(text):
    try:
        address, parameters = parse_mail("FROM:<" + text)
    except CommandError:
        return
    assert not any(character in "\r\n\x00" for character in address)
    assert not any(character.isspace() for one in parameters for character in one.raw)


@pytest.mark.parametrize("unit", ['"', "<", "@a:", "a\\", '"\\', "a ", "=", "@"])
def test_parsing_stays_linear_on_repetition(unit):
    with pytest.raises(CommandError):
        parse_mail("FROM:<" + unit * 200_000)


def test_xforward_attributes_are_decoded():
    attributes = parse_xforward(
        "name=spike+2Eexample ADDR=192.0.2.1  SOURCE=[UNAVAILABLE]", {"NAME", "ADDR", "SOURCE"}
    )
    assert attributes == {"NAME": "spike.example", "ADDR": "192.0.2.1", "SOURCE": "[UNAVAILABLE]"}


@pytest.mark.parametrize("argument", ["", "NAME", "NAME=", "IDENT=1", "NAME=é", "NA ME=x"])
def test_xforward_that_was_not_offered_or_is_malformed_is_refused(argument):
    assert refusal(parse_xforward, argument, {"NAME"}) == (501, "5.5.4")
