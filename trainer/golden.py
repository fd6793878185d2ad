"""Sample mails that every bundle carries with its scores; all written by us.

They prove that a bundle computes on the serving machine what it computed here. They are no
measure of quality: too few, and each plain in what it is.
"""

from __future__ import annotations

from filterd.mail.render import render_text

# subject, sender, body; a blank line between the parts of a body.
SAMPLES = (
    (
        "Your receipt for order 20417",
        "Northfield Books <orders@northfieldbooks.example>",
        (
            "Thank you for your order. We have charged 31.40 EUR to your card ending in "
            "0042.\n\n1 x A Field Guide to Mosses\n1 x Reading lamp, brass\n\nYour parcel "
            "leaves our warehouse tomorrow. You can follow it from your account page."
        ),
    ),
    (
        "Minutes of Tuesday's meeting",
        "Ingrid Solheim <ingrid.solheim@harbourworks.example>",
        (
            "Hi all,\n\nminutes attached. Open points: Jonas checks the crane contract, Aylin "
            "asks the port authority about the second berth, I book the room for the 14th.\n\n"
            "Ingrid"
        ),
    ),
    (
        "Invoice 2214 was charged twice",
        "Peter Mbeki <p.mbeki@example.org>",
        (
            "Hello,\n\nthis is the third time I write. You charged invoice 2214 twice and "
            "nobody answers me. I am very disappointed with this service and want my money "
            "back this week.\n\nPeter Mbeki"
        ),
    ),
    (
        "Thank you!",
        "Hannah Weiss <hannah.weiss@example.net>",
        (
            "Dear team,\n\nthe replacement arrived this morning and it works perfectly. Your "
            "technician was friendly, quick and explained everything. I am delighted and will "
            "gladly recommend you.\n\nHannah"
        ),
    ),
    (
        "Password reset requested",
        "Lumen Accounts <no-reply@lumen.example>",
        (
            "Somebody asked to reset the password of your Lumen account. If it was you, use "
            "the button in this mail within 30 minutes. If it was not you, you need not do "
            "anything."
        ),
    ),
    (
        "Out of office: Re: Quotation",
        "Carlos Pinto <carlos.pinto@example.com>",
        (
            "I am out of the office until 3 March without access to mail. For urgent matters "
            "please write to sales@example.com."
        ),
    ),
    (
        "You have WON 850,000.00 USD!!!",
        "Award Department <claims@award-desk.example>",
        (
            "Congratulations lucky winner!\n\nYour e-mail address was drawn in our "
            "international promotion and you have won EIGHT HUNDRED AND FIFTY THOUSAND "
            "DOLLARS. To claim your prize send your full name, address, telephone and bank "
            "details to our agent at once. Claims after seven days are void. Keep this award "
            "secret until it is paid."
        ),
    ),
    (
        "Cheap pills, no prescription needed",
        "Best Meds Online <offers@meds-discount.example>",
        (
            "Save up to 80% on all pills! No prescription, discreet worldwide shipping, money "
            "back.\n\nClick here to order now: http://meds-discount.example/buy\n\nLimited "
            "offer, today only. Perform like never before!"
        ),
    ),
    (
        "Action required: your mailbox will be closed",
        "IT Helpdesk <admin@mail-verify.example>",
        (
            "Dear user,\n\nyour mailbox has exceeded its storage limit and will be deactivated "
            "within 24 hours. Verify your account now to keep your messages: "
            "http://mail-verify.example/login\n\nFailure to verify will result in loss of your "
            "account."
        ),
    ),
    (
        "Confidential business proposal",
        "Barrister Emmanuel Cole <barr.cole@example.com>",
        (
            "Dear friend,\n\nI am the lawyer of a late client who died without next of kin and "
            "left the sum of 14.5 million US dollars in a bank here. I seek your consent to "
            "present you as the beneficiary so that the fund is released to you. You will keep "
            "40 percent. Reply with your telephone number. This transaction is risk free and "
            "must remain confidential."
        ),
    ),
    (
        "Double your bitcoin in 24 hours",
        "Crypto Profit Club <join@coin-profit.example>",
        (
            "Our trading robot earns members 1,200 dollars every day with no experience. "
            "Deposit only 250 dollars today and watch your balance explode. Guaranteed "
            "returns, withdraw any time. Register now, only 12 places left: "
            "http://coin-profit.example"
        ),
    ),
    (
        "Lunch on Friday?",
        "Mara <mara@example.org>",
        ("Are you free on Friday at one? The noodle place by the station has opened again."),
    ),
)


def golden_texts(max_characters: int) -> list[str]:
    """The samples as the model reads them."""
    return [
        render_text(subject, sender, body, max_characters=max_characters)
        for subject, sender, body in SAMPLES
    ]
