"""Other hosts for those that a mail links to: the next campaign will have new ones, too."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from filterd.mail.hosts import FREE_MAIL
from filterd.mail.message import Link, registrable
from trainer.augment.reading import head_and_tail, reread, with_links

if TYPE_CHECKING:
    import random

    from filterd.mail.message import Message

MOST = 20  # domains replaced
MAX_HOST = 253

_ENDINGS = (
    "com", "com", "com", "net", "org", "io", "co", "info", "biz", "app", "shop", "online", "site",
    "xyz", "top", "club", "me", "eu", "de", "fr", "it", "nl", "pl", "es", "ru", "in", "cn", "us",
    "co.uk", "com.br", "com.au",
)  # fmt: skip
_WORDS = (
    "active alpha amber apex arc atlas aura basic beacon best blue bold bright care cedar city "
    "clear click cloud club coast core craft daily data delta direct dream east easy echo edge "
    "elite ever fast field first flow focus forest fresh front gate global gold good grand green "
    "grid group happy harbor health hello high home hub info inn iron jet key lab land laser lead "
    "life light line link live local loop luna magic mail maple market max media mega metro mind "
    "mint mobile moon more mountain nest net new next nord nova ocean offer office one open orbit "
    "page park path peak pilot pine pixel place plan planet play plus point portal power press "
    "prime pro pulse pure quick rapid real red reply ridge right river road rock royal safe sage "
    "sales score secure sense service shop side sign silver sky smart snap solar south spark "
    "spring star start stone store stream studio summit sun super swift team tech terra time top "
    "track trade travel true trust up urban valley value vault view vista vital wave way web well "
    "west wild wind wise work world zen zone"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOWELS = "aeiou"


def replace_hosts(message: Message, chance: random.Random) -> Message:
    """With other domains for some of those linked to, wherever the mail names them.

    A domain that is linked to twice, shown, or the sender's own gets the same new one in each
    place: who links to whom stays as it was. Domains of free mail stay.
    """
    domains = dict.fromkeys(_domain(link.host) for link in message.links)
    known = [domain for domain in domains if domain not in FREE_MAIL and "." in domain][:MOST]
    if not known:
        return message
    chosen = [domain for domain in known if chance.random() < 3 / 4] or known[:1]
    new = {domain: _invent(chance) for domain in chosen}
    head, tail = head_and_tail(message.text)
    options = "|".join(map(re.escape, new))
    named = re.compile(
        rf"(?<![\w\-])((?:[\w\-]{{1,63}}\.){{0,4}})({options})(?![\w\-]|\.\w)", re.IGNORECASE
    )

    def written(found: re.Match[str]) -> str:
        return f"{found[1]}{new.get(found[2].lower(), found[2])}"

    sender = _moved(message.from_domain, new)
    if sender != message.from_domain:
        address = f"{message.from_address.rpartition('@')[0]}@{sender}"
        message = replace(message, from_domain=sender, from_address=address)
    links = (Link(_moved(each.host, new), _moved(each.shown_host, new)) for each in message.links)
    message = replace(message, reply_to_domain=_moved(message.reply_to_domain, new))
    return reread(with_links(message, links), head=named.sub(written, head), tail=tail)


def _domain(host: str) -> str:
    is_number = host.rpartition(".")[2].isdigit()
    return host if is_number else registrable(host)


def _moved(host: str, new: dict[str, str]) -> str:
    domain = _domain(host)
    if domain not in new:
        return host
    return f"{host[: len(host) - len(domain)]}{new[domain]}"[-MAX_HOST:].lstrip(".")


def _invent(chance: random.Random) -> str:
    """A domain as people register them: words, names that sound like some, or letters."""
    draw = chance.random()
    if draw < 0.6:
        words = chance.sample(_WORDS.split(), chance.randint(1, 2))
        name = chance.choice(("", "", "-")).join(words)
    elif draw < 0.85:
        syllables = (chance.choice(_LETTERS) + chance.choice(_VOWELS) for _ in range(3))
        name = "".join(syllables) + chance.choice(("", "n", "r", "x"))
    else:
        name = "".join(chance.choices(f"{_LETTERS}0123456789", k=chance.randint(4, 14)))
    if chance.random() < 1 / 10:
        name += str(chance.randrange(1, 1000))
    return f"{name}.{chance.choice(_ENDINGS)}"
