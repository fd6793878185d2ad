"""How readers of mail find header lines, and what they would take for a verdict of ours.

Postfix takes CRs off before each LF and leaves others in their line; what we send on has been made
CRLF; and there are readers to which a CR ends a line.
"""

import re

FORGED = re.compile(rb"X-Filterd-[!-9;-~]*|X-Spam-(Flag|Score|Status)", re.IGNORECASE)


def header_as_postfix_reads_it(raw):
    lines = []
    for number, line in enumerate(raw.split(b"\n")):
        text = line.rstrip(b"\r")
        if not text or (number == 0 and text[:1] in b" \t"):
            break
        lines.append(text)
    return lines


def header_with_all_line_ends(raw):
    lines = re.split(rb"\r\n|\r|\n", raw)
    return lines[: lines.index(b"")] if b"" in lines else lines


def forged_fields(lines):
    names = [line.partition(b":")[0].rstrip(b" \t") for line in lines if b":" in line]
    return [name for name in names if FORGED.fullmatch(name)]


def is_left_of(rest, raw):
    """Whether `rest` is `raw` with octets taken out and none changed, moved or added."""
    octets = iter(raw)
    return all(octet in octets for octet in rest)
