import random

from trainer.near import SeenTexts, band_keys

LETTER = (
    "Dear customer, we have noticed an unusual sign-in to your account and have locked it for your "
    "protection. To open it again please confirm your address and the card that you pay with at "
    "the page below within two days. If you do nothing the account will be closed for good and the "
    "balance paid out to the address that we hold for you. Thank you for your help in keeping our "
    "service safe for everybody who uses it."
)


def test_a_campaign_with_another_name_sum_and_link_is_the_same_text():
    seen = SeenTexts()
    assert seen.add(LETTER)
    assert not seen.add(LETTER.replace("customer", "Ms Abara") + " http://other.example/9921")
    assert not seen.add(LETTER.upper().replace("TWO DAYS", "48 hours"))


def test_another_letter_on_the_same_matter_is_not():
    other = (
        "Hello, somebody tried to sign in to your account from a new device this morning. If that "
        "was you there is nothing to do. If it was not, change your password on the settings page "
        "and sign out all other devices; we never ask for a card or an address by mail."
    )
    seen = SeenTexts()
    assert seen.add(LETTER)
    assert seen.add(other)


def test_short_texts_are_never_near_duplicates_of_each_other():
    seen = SeenTexts()
    assert band_keys("see you at noon") == ()
    assert seen.add("see you at noon")
    assert seen.add("see you at noon")


def test_the_share_of_near_duplicates_found_falls_with_the_share_of_words_changed():
    words = [f"w{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(200)]

    def found(changed):
        chance = random.Random(changed)
        hits = 0
        for _ in range(100):
            copy = list(words)
            for place in chance.sample(range(len(words)), changed):
                copy[place] = "other" + "abcdefgh"[place % 8]
            hits += not set(band_keys(" ".join(words))).isdisjoint(band_keys(" ".join(copy)))
        return hits

    assert found(4) > 85
    assert found(80) < 10
