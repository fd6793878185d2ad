"""The golden set is what it says: labelled, varied, readable, without copies or real addresses."""

import csv
import email
import re
from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from filterd.mail.parse import parse
from trainer.dataset import fingerprint

GOLDEN = Path(__file__).parent.parent / "data" / "golden"
COLUMNS = ["path", "spam", "sentiment", "language", "kind"]
HAM_KINDS = {
    "accounts", "alerts", "autoreplies", "bounces", "calendar", "complaints", "internal",
    "invoices", "lists", "newsletters", "notices", "praise", "private", "receipts", "recruiting",
    "support",
}  # fmt: skip
SPAM_KINDS = {
    "advance-fee", "bec", "bulk", "callback", "crypto", "extortion", "fake-invoice", "jobs",
    "phishing", "prizes", "romance",
}  # fmt: skip
# RFC 2606 and RFC 6761: these belong to nobody.
RESERVED = re.compile(r"(?:^|\.)(?:example|test|invalid|example\.(?:com|net|org))$")
DOCUMENTATION = [ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
# What stands behind "@" or "//" or begins with "www." is a host whatever it ends in; elsewhere a
# known ending tells a host from a file's name.
HOST = re.compile(
    r"(?:(?<=@)|(?<=//)|\b(?=www\.))((?:[\w\-]+\.)+[\w\-]{2,})"
    r"|(?<![\w@/.\-])((?:[\w\-]+\.)+(?:com|net|org|info|biz|edu|gov|mil|app|dev|io|ai|co|me|tv|xyz"
    r"|top|shop|online|eu|us|uk|ca|au|in|ng|ru|cn|de|at|ch|fr|be|nl|it|es|mx|pt|br))(?![\w.\-])",
    re.IGNORECASE,
)
MAX_BYTES = 12_000
MAX_ALL = 900_000


def read_labels():
    with (GOLDEN / "labels.tsv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


LABELS = read_labels()
PATHS = [row["path"] for row in LABELS]


def count(column, **wanted):
    rows = [row for row in LABELS if all(row[key] == value for key, value in wanted.items())]
    return Counter(row[column] for row in rows)


def decoded_parts(raw):
    """The decoded text of every part, source of HTML and attachments included."""
    for part in email.message_from_bytes(raw).walk():
        if not part.is_multipart():
            yield (part.get_payload(decode=True) or b"").decode(
                part.get_content_charset() or "utf-8", "replace"
            )


def test_every_file_has_one_label_and_every_label_a_file():
    assert sorted(set(PATHS)) == PATHS
    assert set(PATHS) == {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.eml")}
    assert {path.suffix for path in GOLDEN.rglob("*") if path.is_file()} == {".eml", ".tsv"}


def test_labels_are_valid():
    assert list(LABELS[0]) == COLUMNS
    for row in LABELS:
        assert row["spam"] in ("ham", "spam"), row
        assert row["sentiment"] in ("negative", "neutral", "positive"), row
        assert row["language"] in ("en", "de", "fr", "es", "pt"), row
        assert row["kind"] == row["path"].partition("/")[0], row
        assert row["kind"] in (SPAM_KINDS if row["spam"] == "spam" else HAM_KINDS), row


def test_there_are_enough_of_each_class_and_kind():
    assert len(LABELS) >= 170
    classes = count("spam")
    assert classes["ham"] >= 110
    assert classes["spam"] >= 60
    kinds = count("kind")
    assert set(kinds) == HAM_KINDS | SPAM_KINDS
    assert min(kinds.values()) >= 3


def test_languages_are_mixed_on_both_sides():
    languages = count("language")
    assert 0.6 <= languages["en"] / len(LABELS) <= 0.75
    for spam in ("ham", "spam"):
        assert all(count("language", spam=spam)[code] >= 4 for code in ("de", "fr", "es", "pt"))


@pytest.mark.parametrize("sentiment", ["negative", "positive"])
def test_there_is_enough_ham_with_feelings_in_all_languages(sentiment):
    languages = count("language", spam="ham", sentiment=sentiment)
    assert languages.total() >= 25
    assert set(languages) == {"en", "de", "fr", "es", "pt"}


@pytest.mark.parametrize("path", PATHS)
def test_every_message_can_be_read(path):
    raw = (GOLDEN / path).read_bytes()
    message = parse(raw)
    assert message.text.strip() or message.subject.strip()
    assert message.from_address
    assert message.message_id
    assert message.date
    assert message.signals.defects == 0
    assert not email.message_from_bytes(raw).defects


@pytest.mark.parametrize("path", PATHS)
def test_no_host_could_be_anybodys(path):
    raw = (GOLDEN / path).read_bytes()
    headers = [f"{name}: {value}" for name, value in parse(raw).headers]
    text = "\n".join([raw.decode("utf-8", "replace"), *headers, *decoded_parts(raw)])
    text = text.replace("=\r\n", "").replace("=\n", "")  # quoted-printable breaks hosts in two
    hosts = {(found[1] or found[2]).lower() for found in HOST.finditer(text)}
    addresses = {host for host in hosts if re.fullmatch(r"[\d.]+", host)}
    assert [host for host in hosts - addresses if not RESERVED.search(host)] == []
    for address in addresses:
        assert any(ip_address(address) in network for network in DOCUMENTATION), address


def test_no_message_is_another_one_again():
    seen = Counter(fingerprint(parse((GOLDEN / path).read_bytes())) for path in PATHS)
    assert max(seen.values()) == 1


def test_files_are_small_and_both_line_ends_occur():
    crlf = 0
    total = 0
    for path in PATHS:
        raw = (GOLDEN / path).read_bytes()
        assert len(raw) <= MAX_BYTES, path
        total += len(raw)
        assert raw.count(b"\r\n") in (0, raw.count(b"\n")), path
        crlf += b"\r\n" in raw
    assert total <= MAX_ALL
    assert 20 <= crlf <= len(PATHS) - 20
