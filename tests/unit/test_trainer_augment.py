import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.mail.html import visible_text
from filterd.mail.message import Attachment, Link, Message, Signals
from filterd.mail.parse import MAX_TEXT
from filterd.mail.render import render
from trainer.augment import CHANGES, SHARES, SPAM_ONLY, vary
from trainer.augment.markup import HIDING
from trainer.augment.reading import REACH, language_by_words
from trainer.augment.removal import DROPPED_SHARE
from trainer.augment.salad import derive_sentences, derive_words, load_salad
from trainer.augment.stock import Stock, languages, load_stock
from trainer.errors import CorporaError
from trainer.synonyms import derive, load_synonyms, reword
from trainer.wordnet import build

TEXT = """Dear customer,

you can buy these watches now, and we usually send them immediately.
Please have a look at https://www.cheap-watches.example/new before the offer ends today.

If you do not want to hear from us, write to stop@cheap-watches.example about it.

Yours,
The sales team"""
MAIL = Message(
    subject="Watches for you",
    from_name="Sales Team",
    from_address="sales@cheap-watches.example",
    from_domain="cheap-watches.example",
    text=TEXT,
    links=(Link("www.cheap-watches.example", ""), Link("tracker.invalid", "bank.example")),
    attachments=(Attachment("list.pdf", "application/pdf", 1000),),
    signals=Signals(mismatched_links=1),
)
PLAIN = Message(subject=MAIL.subject, text=TEXT)
SEEDS = range(60)


def variants(name, message=MAIL):
    return [CHANGES[name](message, random.Random(seed)) for seed in SEEDS]


def reading(message):
    return render(message, max_characters=2048)


def notes(message):
    return [line for line in reading(message).splitlines() if line.startswith("notes: ")]


# --- vary


def test_the_same_source_of_chance_gives_the_same_variant():
    for seed in SEEDS:
        first, second = (vary(MAIL, random.Random(seed), spam=True) for _ in range(2))
        assert first == second


def test_without_any_change_a_message_stays_as_it_is():
    assert vary(MAIL, random.Random(1), (), spam=True) == MAIL


def test_each_change_can_be_made_alone():
    for name in CHANGES:
        found = [vary(MAIL, random.Random(seed), (name,), spam=True) for seed in range(200)]
        changed = sum(each != MAIL for each in found)
        assert 0.4 * SHARES[name] < changed / 200 < 1.6 * SHARES[name]


def test_switching_a_change_off_leaves_what_the_others_do():
    others = [name for name in CHANGES if name != "headers"]
    for seed in SEEDS:
        whole = vary(MAIL, random.Random(seed), spam=True)
        without = vary(MAIL, random.Random(seed), others, spam=True)
        # The sender is one of the things that this change drops and no other looks at.
        assert whole.attachments in ((), without.attachments)
        assert without.attachments == MAIL.attachments


def test_ham_gets_no_tricks():
    for seed in range(300):
        signals = vary(MAIL, random.Random(seed), spam=False).signals
        assert (signals.lookalikes, signals.zero_width, signals.bidi_controls) == (0, 0, 0)
        assert signals.hidden_characters < 200


def test_a_variant_has_about_two_changes_in_the_mean():
    assert set(SHARES) == set(CHANGES)
    assert 1.5 < sum(share for name, share in SHARES.items() if name not in SPAM_ONLY) < 2.5
    assert 1.5 < sum(SHARES.values()) < 3


# --- what spam alone does


def test_lookalikes_are_put_back_as_in_service_and_leave_a_note():
    changed = variants("lookalikes", PLAIN)
    noted = [each for each in changed if notes(each) == ["notes: look-alike letters"]]
    assert len(noted) > 40
    restored = sum(each.text == TEXT and each.signals.lookalikes > 0 for each in changed)
    assert restored > 20


def test_invisible_letters_are_taken_out_as_in_service_and_leave_a_note():
    changed = variants("zero_width", PLAIN)
    assert all(each.text == TEXT and each.subject == MAIL.subject for each in changed)
    found = Counter(line for each in changed for line in notes(each))
    assert set(found) == {"notes: invisible letters", "notes: reversed text"}
    assert sum(found.values()) > 50


def test_split_words_keep_addresses_and_hosts():
    for each in variants("split_words"):
        assert each.text != TEXT
        assert "https://www.cheap-watches.example/new" in each.text
        assert "stop@cheap-watches.example" in each.text


def test_words_are_split_in_many_ways():
    text = "\n".join(each.text for each in variants("split_words", Message(text="watches " * 60)))
    assert "W A T C H E S" in text
    assert "w-a-t-c-h-e-s" in text
    assert "w.a.t.c.h.e.s" in text
    assert "w@7ch3$" in text
    assert any(f"{'watches'[:place]} {'watches'[place:]} " in text for place in range(1, 7))
    assert "wacthes" in text
    assert "vvatches" in text


def test_word_salad_stands_beside_the_whole_text():
    changed = variants("word_salad")
    assert all(TEXT in each.text and len(each.text) > len(TEXT) + 20 for each in changed)
    assert 30 < sum(each.text.startswith(TEXT) for each in changed) < 55
    assert 5 < sum(each.subject != MAIL.subject for each in changed) < 35


def test_word_salad_is_made_of_words_that_mails_hardly_have():
    words, sentences = load_salad()
    assert len(words) > 5000
    assert len(sentences) > 1000
    assert not {"free", "meeting", "please", "order"} & set(words)
    assert all(each.isalpha() for each in words)


def test_salad_is_derived_from_lemmas_and_examples():
    senses = [f"{'abcdefghij'[n % 10]}{chr(97 + n // 10) * 5}%1:00:00:: 1 1 0" for n in range(70)]
    others = ["free%3:00:00:: 1 1 9", "hot_dog%1:13:00:: 1 1 0", "of%4:02:00:: 1 1 0"]
    assert derive_words([*senses, *others]) == derive_words(senses)
    assert len(derive_words(senses)) == 10
    gloss = 'to do it | in a way; "they did it all over again and again"; "again and again"'
    assert derive_sentences({"verb": [gloss]}) == ["they did it all over again and again"]


@pytest.mark.parametrize("style", HIDING)
def test_no_way_of_hiding_text_gets_past_the_parser(style):
    read = visible_text(f'<p>seen</p><div style="{style}">unseen</div>')
    assert (read.text.strip(), read.hidden_characters) == ("seen", 6)


def test_hidden_text_is_counted_and_not_read():
    for each in variants("hidden_text"):
        assert each.signals.hidden_characters > 60
        assert each.text.split()[:2] == ["Dear", "customer,"]
        assert each.text.split()[-3:] == ["The", "sales", "team"]
    noted = sum("notes: hidden text" in reading(each) for each in variants("hidden_text"))
    assert noted > 20


# --- what says nothing of the intent


def test_padding_stands_before_or_after_the_whole_text():
    changed = variants("padding")
    assert all(TEXT in each.text and each.text != TEXT for each in changed)
    first = sum(each.text.startswith(TEXT) for each in changed)
    assert 20 < first < 50


def test_padding_in_front_leaves_the_text_in_view():
    assert all(each.text.index(TEXT) < 300 for each in variants("padding"))


def test_hosts_are_replaced_wherever_the_mail_names_them():
    moved = [each for each in variants("link_hosts") if "cheap-watches.example" not in each.text]
    assert len(moved) > 30
    for each in moved:
        domain = each.links[0].host.removeprefix("www.")
        assert f"https://www.{domain}/new" in each.text
        assert f"stop@{domain}" in each.text
        assert (each.from_domain, each.from_address) == (domain, f"sales@{domain}")


def test_a_link_that_showed_another_host_still_does_and_no_other():
    for each in variants("link_hosts"):
        assert [link.is_mismatched for link in each.links] == [False, True]
        assert each.signals.mismatched_links == 1


def test_hosts_of_free_mail_and_mails_without_links_stay():
    for message in (Message(text=TEXT), Message(text="x", links=(Link("gmail.com", ""),))):
        assert variants("link_hosts", message) == [message] * len(SEEDS)


def test_a_number_for_a_host_is_replaced_as_a_whole():
    message = Message(text="see http://192.0.2.7/a", links=(Link("192.0.2.7", ""),))
    for each in variants("link_hosts", message):
        assert "192" not in each.text + each.links[0].host


def test_headers_are_dropped_as_often_as_each_share_says():
    called = SHARES["headers"] / DROPPED_SHARE  # of the times that each is dropped, when called
    found = [vary(MAIL, random.Random(seed), ("headers",), spam=False) for seed in range(3000)]
    assert sum(not each.from_domain for each in found) / 3000 == pytest.approx(called / 3, abs=0.03)
    assert sum(not each.links for each in found) / 3000 == pytest.approx(called / 3, abs=0.03)
    assert sum(not each.attachments for each in found) / 3000 == pytest.approx(called / 3, abs=0.03)
    assert sum(not each.subject for each in found) / 3000 == pytest.approx(called / 7, abs=0.03)


def test_dropped_links_take_their_note_along():
    for each in variants("headers"):
        assert each.signals.mismatched_links == len(each.links) // 2


def test_a_mail_without_text_keeps_its_subject():
    message = Message(subject="Call me", text=" ")
    assert all(each.subject == "Call me" for each in variants("headers", message))


def test_html_keeps_the_words_in_their_order():
    for each in variants("html"):
        text = " ".join(each.text.split())
        assert "you can buy these watches now, and we usually send them immediately." in text
        assert text.index("Dear customer") < text.index("you can buy") < text.index("Yours,")


def test_html_lets_broken_lines_flow_and_leaves_short_ones():
    broken = Message(text=f"{'word ' * 14}and\n{'more ' * 14}of it\n\nYours,\nAnn\nLeeds")
    for each in variants("html", broken):
        assert "and more" in each.text
        assert "Yours,\nAnn\nLeeds" in each.text


def test_html_puts_some_addresses_behind_words():
    message = Message(text="Go to https://shop.example/a?b=1&c=2. Now!")
    changed = variants("html", message)
    assert all(Link("shop.example", "") in each.links or "shop.example" in each.text
               for each in changed)  # fmt: skip
    hidden = [each for each in changed if "shop.example" not in each.text]
    assert 10 < len(hidden) < 50
    assert all("links: shop.example" in reading(each) for each in hidden if len(each.links) == 1)


def test_html_marks_quotations_as_the_parser_does():
    message = Message(text="I agree.\n\n> one\n> two")
    assert all("\n> one" in each.text for each in variants("html", message))


def test_what_is_cut_off_is_a_beginning_or_an_end():
    for each in variants("truncation"):
        assert TEXT.startswith(each.text) or TEXT.endswith(each.text)
        assert len(each.text) >= 40


def test_a_graft_leaves_the_text_whole():
    assert all(TEXT in each.text and each.text != TEXT for each in variants("grafts"))


def test_grafts_are_of_every_kind():
    text = "\n".join(each.text for each in variants("grafts", Message(text="so it is and the")))
    for words in ("egards,", "Sent from my", "outside", "wrote:\n> ", "Original Message"):
        assert words in text


def test_a_quotation_grafted_on_a_reply_does_not_reach_the_model():
    message = Message(subject="Re: the watches", text="You can have it, and it is for the shop.")
    plain = reading(message)
    quoting = [each for each in variants("grafts", message) if "\n> " in each.text]
    assert any(reading(each) == plain for each in quoting)


def test_two_thirds_of_the_subject_tags_reach_the_model():
    changed = variants("subject_tags")
    assert all("Watches for you" in each.subject for each in changed)
    heads = [reading(each).splitlines()[0] for each in changed]
    assert 25 < sum(head != "Watches for you" for head in heads) < 55


def test_a_mail_without_subject_gets_no_tag():
    assert variants("subject_tags", Message(text="x")) == [Message(text="x")] * len(SEEDS)


# --- all of them

texts = st.text(st.characters() | st.sampled_from("aeo Ааο\u200b\n>.-@/\u202e"), max_size=60)
words = st.text(st.sampled_from("abcdef.-@ :/<>&\n\u0430\u200b\ud800"), max_size=40)
hosts = st.sampled_from(["", "a", "192.0.2.1", "x.example", "www.b.co.uk", "gmail.com", "é.fr."])
messages = st.builds(
    Message,
    subject=texts | words,
    from_name=texts,
    from_address=words,
    from_domain=hosts | words,
    reply_to_domain=hosts,
    text=texts | words | st.builds(lambda word, count: word * count, texts, st.integers(1, 400)),
    links=st.lists(st.builds(Link, hosts | words, hosts), max_size=5).map(tuple),
    attachments=st.lists(st.builds(Attachment, words, words, st.integers(0)), max_size=3).map(
        tuple
    ),
)


@pytest.mark.parametrize("name", CHANGES)
@settings(deadline=None, max_examples=25)  # the machine may be busy
@given(message=messages, seed=st.integers(0, 2**32))
def test_no_message_is_too_odd_for_a_change_and_all_stays_bounded(name, message, seed):
    changed = CHANGES[name](message, random.Random(seed))
    assert len(changed.text) <= MAX_TEXT
    assert len(changed.subject) <= 998
    assert len(changed.from_name) <= 256
    assert all(len(link.host) <= 253 for link in changed.links)
    assert len(changed.attachments) <= len(message.attachments)
    assert isinstance(reading(changed), str)


@settings(deadline=None, max_examples=25)
@given(message=messages, seed=st.integers(0, 2**32))
def test_all_changes_together_are_no_worse(message, seed):
    changed = message
    for change in CHANGES.values():
        changed = change(changed, random.Random(seed))
    assert len(changed.text) <= MAX_TEXT


@pytest.mark.parametrize("name", CHANGES)
def test_a_message_as_large_as_any_stays_so(name):
    message = Message(
        subject="of a " * 199,
        from_name="The name " * 28,
        text="Go to https://a.example/ and " * 2259,
        links=tuple(Link(f"{'sub.' * 60}x{n}.example", "") for n in range(100)),
    )
    changed = CHANGES[name](message, random.Random(2))
    assert len(changed.text) <= MAX_TEXT
    assert len(changed.subject) <= 998
    assert len(changed.from_name) <= 256
    assert len(changed.links) <= 100
    assert all(len(link.host) <= 253 for link in changed.links)


@pytest.mark.parametrize("name", CHANGES)
def test_changes_look_at_no_more_of_a_text_than_the_model_could(name):
    end = "this is the end of it and no change has seen it"
    message = Message(subject="long", text=f"{'the words of a long mail ' * 2000}{end}")
    changed = CHANGES[name](message, random.Random(3))
    assert changed.text.endswith(end) or name == "truncation"
    assert len(message.text) - REACH < len(changed.text) or name == "truncation"


# --- the stock


def test_every_language_has_something_of_every_kind():
    kinds = {kind for kind, _ in load_stock()}
    assert {(kind, language) for kind in kinds for language in languages()} == set(load_stock())


@pytest.mark.parametrize("language", languages())
def test_the_stock_unfolds_without_a_trace_of_its_templates(language):
    for kind, its_language in load_stock():
        if its_language == language:
            texts = Stock(language, random.Random(1)).several(kind, 1000)
            assert not set("{}<>") & set("".join(texts))


def test_the_language_by_words_a_text_is_told_by_its_small_words():
    assert language_by_words("Please send the report to us, and we will read it.") == "en"
    assert (
        language_by_words("Bitte senden Sie uns den Bericht, und wir lesen ihn mit Ihnen.") == "de"
    )
    assert language_by_words("Merci pour votre réponse, et je vous envoie les documents.") == "fr"
    assert language_by_words("Спасибо") == ""


# --- synonyms


def test_synonyms_keep_the_case_of_what_they_replace():
    found = {reword("Quickly, buy it quickly or QUICKLY lose", random.Random(n)) for n in SEEDS}
    words = {word for text in found for word in text.replace(",", "").split()}
    assert {"Rapidly", "rapidly", "RAPIDLY"} <= words
    assert "RApidly" not in words


def test_names_addresses_hosts_and_figures_are_not_reworded():
    text = "my Rapidly at buy.example or buy@x.example see http://x.example/buy buy-out o'buy"
    assert all(reword(text, random.Random(seed)) == text for seed in SEEDS)


def test_only_english_mail_is_reworded():
    german = Message(text="Wir sind die Firma und haben das Large Paket, bitte buy mit Ihnen.")
    assert variants("synonyms", german) == [german] * len(SEEDS)
    assert any(each.text != TEXT for each in variants("synonyms"))


def test_a_few_words_at_most_are_reworded():
    text = "buy " * 500
    assert max(reword(text, random.Random(seed)).count("purchase") for seed in SEEDS) == 12


def test_no_word_of_the_table_stands_for_itself():
    table = load_synonyms()
    assert len(table) > 1000
    for word, synonyms in table.items():
        assert word not in synonyms
        assert all(each.isalpha() and each.islower() for each in (word, *synonyms))


SENSES = """\
buy%2:40:00:: 100 1 100
buy%1:21:00:: 900 1 0
purchase%2:40:00:: 100 1 34
purchase%1:04:00:: 901 1 8
bank%1:14:00:: 200 1 30
bank%1:17:01:: 201 2 25
shore%1:17:00:: 201 1 9
error%1:04:02:: 300 1 15
slip%1:04:00:: 300 1 9
fault%1:04:00:: 301 1 9
flaw%1:04:00:: 301 1 9""".splitlines()
NOUNS = """\
  1 This software and database is provided
200 14 n 01 bank 0 000 | where money is
201 17 n 02 bank 0 shore 0 000 | beside a river
300 04 n 02 error 0 slip 0 000 | done wrong
301 04 n 02 fault 0 flaw 0 000 | done wrong
900 21 n 01 buy 0 000 | a bargain
901 04 n 01 purchase 0 000 | what is bought""".splitlines()
VERBS = ["100 40 v 02 buy 0 purchase 0 000 | for money"]


def test_the_table_has_words_whose_commonest_sense_is_the_same_in_every_regular_form():
    table = derive(SENSES, {"noun": NOUNS, "verb": VERBS})
    assert table == {
        "buy": ("purchase",),
        "buying": ("purchasing",),
        "buys": ("purchases",),
        "fault": ("flaw",),
        "faults": ("flaws",),
        "flaw": ("fault",),
        "flaws": ("faults",),
    }


def test_an_archive_that_is_not_the_pinned_one_is_not_read(tmp_path):
    (tmp_path / "wordnet.tgz").write_bytes(b"something else")
    with pytest.raises(CorporaError, match="not the pinned file"):
        build(tmp_path / "wordnet.tgz")
