"""What is done to letters so that a filter reads something else than a person: spam alone does it.

The tricks are played on the text and read again by serving's own `normalise`, which undoes and
counts most of them: the variants show what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.augment.reading import change_words, count_words, head_and_tail, reread

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from filterd.mail.message import Message

    Trick = Callable[[str, random.Random], str]

_A, _Z = ord("A"), ord("a")


def _alphabet(capital: int, small: int) -> dict[int, int]:
    """A translation to a styled alphabet whose letters follow one another in Unicode."""
    return {_A + i: capital + i for i in range(26)} | {_Z + i: small + i for i in range(26)}


_TWINS = (
    str.maketrans("ABCEHIJKMOPSTXYacehijopsxy", "АВСЕНІЈКМОРЅТХҮасеһіјорѕху"),  # Cyrillic
    str.maketrans("ABEHIKMNOPTXYZaiknopuvxyj", "ΑΒΕΗΙΚΜΝΟΡΤΧΥΖαικηορυνχγϳ"),  # Greek
    str.maketrans("acegilnosuyOSU", "ɑϲеɡıӏոօѕսуՕՏՍ"),  # from anywhere; some stay unread
    str.maketrans("aeiounycAEIOUNYC", "àéîõüñýçÀÉÎÕÜÑÝÇ"),
)
_DRAWN = (
    _alphabet(0x1D400, 0x1D41A),  # mathematical bold
    _alphabet(0x1D5D4, 0x1D5EE),  # sans-serif bold
    _alphabet(0x1D670, 0x1D68A),  # monospace
    _alphabet(0xFF21, 0xFF41),  # full width
    _alphabet(0x24B6, 0x24D0),  # circled
    _alphabet(0x1F170, 0x1F170),  # squared, white on black
    str.maketrans("abcdefghijklmnoprstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ"),
)
_INVISIBLE = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad")
_FIGURES = dict(zip("aeiosltbgAEIOSLTBG", "@310$1789431051789", strict=True))
_MISREAD = {"l": "i", "i": "l", "m": "rn", "w": "vv", "d": "cl", "o": "0", "I": "l", "O": "0"}
_SEPARATORS = (" ", " ", "-", ".", "_", "*", "|", "/")


def add_lookalikes(message: Message, chance: random.Random) -> Message:
    """With letters of other scripts or alphabets in a tenth of its words, or in up to most."""
    is_drawn = chance.random() < 1 / 2  # a whole word of them, as the sites that make them do
    letters = chance.choice(_DRAWN if is_drawn else _TWINS)
    share = 1.0 if is_drawn else chance.uniform(0.3, 1.0)

    def disguise(word: str, chance: random.Random) -> str:
        return "".join(
            letter.translate(letters) if chance.random() < share else letter for letter in word
        )

    return _play(message, chance.uniform(0.1, 0.7), disguise, chance)


def add_zero_width(message: Message, chance: random.Random) -> Message:
    """With invisible characters inside words, in one place or in all; at times words reversed."""
    mark = chance.choice(_INVISIBLE)
    draw = chance.random()

    def part(word: str, chance: random.Random) -> str:
        place = chance.randrange(1, len(word))
        return f"{word[:place]}{mark}{word[place:]}"

    def part_everywhere(word: str, _: random.Random) -> str:
        return mark.join(word)

    def reverse(word: str, _: random.Random) -> str:
        return f"\u202e{word[::-1]}\u202c"

    trick: Trick = part if draw < 0.6 else part_everywhere if draw < 0.85 else reverse
    return _play(message, chance.uniform(0.1, 0.7), trick, chance)


def split_words(message: Message, chance: random.Random) -> Message:
    """With words spelled so that no word list has them: "V1agra", "v-i-a-g-r-a", "rneds"."""
    tricks = (_space, _separate, _cut, _write_figures, _misread, _swap)
    usual = chance.choice(tricks)

    def spell(word: str, chance: random.Random) -> str:
        return (usual if chance.random() < 3 / 4 else chance.choice(tricks))(word, chance)

    return _play(message, chance.uniform(0.05, 0.25), spell, chance)


def _play(message: Message, share: float, trick: Trick, chance: random.Random) -> Message:
    """The trick on this share of the words of subject, sender's name and text; on one at least."""
    head, tail = head_and_tail(message.text)
    changed = [
        change_words(field, max(1, round(share * count_words(field))), chance, trick)
        for field in (message.subject, message.from_name, head)
    ]
    return reread(message, subject=changed[0], from_name=changed[1], head=changed[2], tail=tail)


def _space(word: str, _: random.Random) -> str:
    return " ".join(word.upper())


def _separate(word: str, chance: random.Random) -> str:
    return chance.choice(_SEPARATORS).join(word)


def _cut(word: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(word))
    return f"{word[:place]}{chance.choice(_SEPARATORS)}{word[place:]}"


def _write_figures(word: str, chance: random.Random) -> str:
    return "".join(
        _FIGURES.get(letter, letter) if chance.random() < 2 / 3 else letter for letter in word
    )


def _misread(word: str, chance: random.Random) -> str:
    """Letters that look alike in print: "avaiiabie", "lovv rneds"."""
    return "".join(
        _MISREAD.get(letter, letter) if chance.random() < 2 / 3 else letter for letter in word
    )


def _swap(word: str, chance: random.Random) -> str:
    """Two letters inside the word exchanged, or one written twice."""
    place = chance.randrange(1, len(word) - 1)
    if chance.random() < 1 / 2:
        return f"{word[:place]}{word[place]}{word[place:]}"
    return f"{word[:place]}{word[place + 1]}{word[place]}{word[place + 2 :]}"
