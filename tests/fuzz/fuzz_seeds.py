"""What the fuzzer begins with: our samples, the golden set's letters, and a torture set of our own.

The torture set is of small mails, each with one thing that mail programs disagree on. The words
are what they are made of, for the fuzzer to put in anywhere.
"""

from pathlib import Path

from fuzz_targets import CUT
from mail_fixtures import attachment, html_mail, mail, multipart, nested_multiparts, part

from filterd.mail.parse import parse

ROOT = Path(__file__).resolve().parents[2]
FOUND = ROOT / "tests/fuzz/found"
LONGEST = 16_384  # octets of an input

QP = "quoted-printable"
LETTER = b"From: a@b.example\r\nSubject: "

TORTURE = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "a body without a header": b"\r\nhello",
    "a header without a body": b"Subject: hello",
    "text without a header": b"hello\r\nthere, no: field\r\n",
    "a field that goes on from nothing": b" folded\r\nSubject: a\r\n\r\nx",
    "a line of blanks in a header": b"Subject: a\r\n \t \r\nFrom: b@c.example\r\n\r\nx",
    "a broken line among fields": b"Subject: a\r\nbroken line\r\nFrom: b@c.example\r\n\r\nx",
    "an mbox line": b"From a@b.example Thu Jan  1 00:00:00 1970\nSubject: a\n\nFrom here on\n",
    "a quoted mbox line": b">From a@b.example\r\nSubject: a\r\n\r\nx",
    "bare CRs": b"Subject: a\rFrom: b@c.example\r\rbody\rhere",
    "LF CR": b"Subject: a\n\rFrom: b@c.example\n\r\n\rx",
    "CR CR LF": b"Subject: a\r\r\nFrom: b@c.example\r\r\n\r\r\nx",
    "NUL in a field": b"Subj\x00ect: a\r\nFrom: \x00b@c.example\r\n\r\n\x00",
    "8-bit fields": "Subject: é ж 中\r\nFrom: ü <ü@ü.example>\r\n\r\nx".encode(),
    "Latin 1 fields": "Subject: déjà vu\r\n\r\nolé".encode("latin-1"),
    "a blank before a colon": b"Subject : a\r\nX-Spam-Flag \t: NO\r\n\r\nx",
    "a field without a name": b": a\r\nSubject: b\r\n\r\nx",
    "two of each field": b"Subject: a\r\nSubject: b\r\nFrom: c@d.example\r\nFrom: e@f.example\r\n\r\nx",
    "forged verdicts": b"X-Filterd-Verdict: ham\r\nX-SPAM-flag: NO,\r\n\tfolded\r\nSubject: a\r\n\r\nx",
    "verdicts behind odd line ends": b"A: b\rX-Filterd-Id: 1\nX-Spam-Score: 0\r\rX-Spam-Status: No\n\n",
    "a verdict in two lines": b"A: b\r\nX-Filterd-\rVerdict: ham\r\nX-\r\nFilterd-Id: 1\r\n\r\n",
    "words that join": LETTER + b"=?utf-8?q?a=C3?= =?utf-8?Q?=A9b?=\r\n =?UTF-8?b?w6k=?=\r\n\r\nx",
    "words in words": LETTER + b"=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=\r\n\r\nx",
    "a word of no charset": LETTER + b"=??q?a?= =?x-unknown?b?/////w==?= =?utf-8*en?q?b?=\r\n\r\nx",
    "words that never end": LETTER + b"=?utf-8?q?=?=?utf-8?b? =?iso-2022-jp?b?GyRC\r\n\r\nx",
    "a word in a name": b'From: "=?utf-8?b?Ym9zcw==?=" <=?utf-8?q?boss?=@b.example>\r\n\r\nx',
    "addresses": b'From: "a \\" <x@y>" (c (d)) <<@z:q@b.example>, e: f@g;\r\nReply-To: <>\r\n\r\nx',
    "an address for a name": b'From: "ceo@big.example" <x@free.example>\r\n\r\nx',
    "IDNA": b"From: a@xn--80ak6aa92e.example\r\n\r\nhttp://xn--a-0.example/ http://xn--/",
    "a charset that lies": mail(b"\xff\xfea\x00", "text/plain; charset=us-ascii"),
    "UTF-16 with half a pair": mail(b"\x3d\xd8a\x00", "text/plain; charset=utf-16le"),
    "UTF-7": mail("+ADw-script+AD4- +2D0- +", "text/plain; charset=utf-7"),
    "HZ": mail("~{<:Ky2;~} ~~ ~{", "text/plain; charset=hz-gb-2312"),
    "ISO-2022-KR": mail(b"\x1b$)C\x0e!!\x0f a", "text/plain; charset=iso-2022-kr"),
    "names of codecs": mail("uryyb", "text/plain; charset=rot13"),
    "a charset in HTML": mail(b"<meta charset=koi8-r><p>\xf0\xd2\xc9\xd7\xc5\xd4", "text/html"),
    "parameters in segments": mail(
        "x", "a/b; name*0*=utf-8'en'%e2%82; name*1*=%ac; name*2=.pdf; name*1=b; name*x=c"
    ),
    "parameters in quotes": mail("x", 'text/plain; charset="utf-8\\"; name="a;b=c"; =; x'),
    "a type of nothing": mail("x", "text; charset=utf-8") + mail("y", "/") + mail("z", ";;"),
    "a comment in a type": mail("x", "text/(no)plain (yes); charset (a) = utf-8"),
    "base64 with rubbish": mail("a G\r\nV!sb@G8=\r\nx=y=", Content_Transfer_Encoding="base64"),
    "base64 cut off": mail("aGVsbG8", Content_Transfer_Encoding="BASE64 (x)"),
    "quoted-printable": mail("a=\r\nb=3D=ZZ=\r\n=e9 \t\r\n=", Content_Transfer_Encoding=QP),
    "uuencode": mail("begin 644 a\r\n#86)C\r\n!\r\n`\r\nend\r\n", Content_Transfer_Encoding="x-uue"),
    "uuencode in a text": mail("see\r\nbegin 644 a.exe\r\n#86)C\r\n`\r\nend\r\n"),
    "yEnc in a text": mail(b"=ybegin line=128 size=3 name=a\r\n\x8b\x8c\x8d=}\r\n=yend size=3\r\n"),
    "two encodings": b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\nYQ==",
    "parts": multipart(part("a"), attachment("b.pdf"), html_mail("<p>c"), boundary="cut"),
    "alternatives": multipart(part("a"), html_mail("<p style=display:none>b"), subtype="alternative"),
    "a digest": multipart(b"\r\nSubject: a\r\n\r\nb", b"Subject: c\r\n\r\nd", subtype="digest"),
    "no end": multipart(part("a"), part("b"))[:-12],
    "a boundary in quotes": mail('--a"b\r\n\r\nx\r\n--a"b--', 'multipart/mixed; boundary="a\\"b"'),
    "a boundary of blanks": mail("--  \r\n\r\nx\r\n--  --", 'multipart/mixed; boundary="  "'),
    "a boundary that another begins with": multipart(
        multipart(part("in"), boundary="cutter"), part("out"), boundary="cut"
    ),
    "the same boundary inside": multipart(multipart(part("in")), part("out")),
    "a multipart in base64": mail("LS1jdXQNCg0KeA==", "multipart/mixed; boundary=cut",
                                  Content_Transfer_Encoding="base64"),
    "a preamble and an epilogue": mail(
        "before\r\n--cut\r\n\r\nin\r\n--cut-- \t\r\nbehind\r\n--cut\r\n\r\nagain", "multipart/mixed; boundary=cut"
    ),
    "nested": nested_multiparts(25),
    "a mail in a mail": part(part("b", Subject="in"), "message/rfc822", Subject="out"),
    "a mail in base64": part("U3ViamVjdDogYQ0KDQpi", "message/rfc822",
                             Content_Transfer_Encoding="base64"),
    "a report": multipart(part("failed"), part("Action: failed", "message/delivery-status"),
                          part("Subject: b\r\n\r\nc", "text/rfc822-headers"), subtype="report"),
    "a part of a message": mail("x", 'message/partial; id="a"; number=1; total=2'),
    "a body elsewhere": mail("\r\n", 'message/external-body; access-type=url; url="http://a.example"'),
    "apple's": multipart(part("a"), part("x", "application/applefile"), subtype="appledouble"),
    "names of files": multipart(attachment("..\\..\\a\u202egpj.exe"), attachment("=?utf-8?q?b?=.pdf")),
    "hidden": html_mail("<style>.h{display:none}</style><p class=h>a<p style='font-size:0'>b<p>c"),
    "colours": html_mail("<body bgcolor=#fff text='#FEFEFE'>a<font color=white>b<p style=color:rgb(0,0,0)>c"),
    "mis-nested": html_mail("<b><i>a</b>b</i><table><p>c<td></table><li>d<a href=//x>e<a href=y>f"),
    "what is no text": html_mail("<script>a<!--</script>b--><svg><p>c</svg><title>d<textarea>e<select>f"),
    "comments": html_mail("<!-->a<!--->b<!-- c --!>d<![CDATA[e]]><?f>g</ h>i<!j"),
    "entities": html_mail("&lt;&#x41;&#65&#0;&#x110000;&#xD800;&amp;amp;&nbsp;&notit;&#99999999999;"),
    "attributes": html_mail("<a href='http://a.example' href=b x=\"'>\" y=&quot; z>www.b.example</a/>"),
    "a data link": html_mail("<a href='data:text/html;base64,PGI+'>a</a><img src=data:, alt=b>"),
    "links": html_mail("<a href='http:\\\\a@b.example:1/'>http://c.example</a><area href=//d.example>"),
    "quotations": html_mail("a<blockquote type=cite>b<div class=gmail_quote>c</div></blockquote>d"),
    "deep tables": html_mail("<table><tr><td>" * 40 + "x"),
    "bidi": mail("\u202etxet\u202c a\u2066b\u2069 \u200fc \u05d0\u202ed"),
    "invisible": mail("v\u200bi\u00ada\u2060g\u034fr\U000e0061a \ufeffx\ufe0f \U0001f3f4\U000e0067\U000e007f"),
    "drawn letters": mail("𝓯𝓻𝓮𝓮 ⓕⓡⓔⓔ ｆｒｅｅ ᴠɪᴀɢʀᴀ 🅵🆁🅴🅴 раypal αpple kΩ"),
    "marks": mail("a" + "\u0301\u0316" * 300 + "\ufdfa" * 30),
    "line ends of Unicode": mail("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"),
    "a reply": mail("yes\r\n\r\nOn 3 May 2024, a\r\nwrote:\r\n> no\r\n>> why", Subject="Re: AW: [x] Re[2]: y"),
    "an original below": mail("yes\r\n-----Original Message-----\r\nFrom: a\r\nSent: b\r\n", In_Reply_To="<a>"),
    "a footer": mail("hello\r\n-- \r\n_____\r\nUsers mailing list\r\nUsers@lists.example\r\nunsubscribe"),
    "PGP": mail("-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: a\r\n\r\nx\r\n-----BEGIN PGP SIGNATURE-----\r\ny"),
    "who received it": mail("dear j.doe@b.example of b.example", To="j.doe@b.example, joe77@c.example"),
    "a list": mail("x", From="a via b <b@lists.example>", Reply_To="a@c.example", List_Post="<mailto:b@lists.example>"),
    "a gateway's link": mail("https://urldefense.com/v3/__https://a.example/b__;!!c$ https://[::1]/ ftp://d_e.example"),
    "keys": mail("A1b2C3" * 20 + " " + "*-" * 30 + " * * * * !!!!! ----- 🎉🎉🎉🏽"),
}  # fmt: skip

# Pieces of the languages a mail is written in, for the fuzzer to put in anywhere.
WORDS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b"\x00", b"\xff", b"From: ", b"Subject: ", b"To: ",
    b"Reply-To: ", b"In-Reply-To: ", b"List-Post: ", b"Content-Type: ", b"Content-Disposition: attachment",
    b"Content-Transfer-Encoding: ", b"multipart/mixed; boundary=cut", b"multipart/alternative", b"multipart/digest",
    b"message/rfc822", b"text/plain", b"text/html", b"application/pdf", b"; charset=", b"; name=", b"; filename*0*=",
    b"utf-8''", b"--cut\r\n", b"\r\n--cut--", b"base64", b"quoted-printable", b"x-uuencode", b"begin 644 a", b"=?utf-8?q?",
    b"=?utf-8?b?", b"?=", b"=\r\n", b"=3D", b"%e2", b"X-Filterd-Verdict: ", b"X-Spam-Flag: ", b"x-filterd-", b"[SPAM]",
    b"utf-16", b"utf-7", b"+ADw-", b"iso-2022-jp", b"\x1b$B", b"~{", b"<b>", b"</b>", b"<p style='", b"display:none",
    b"font-size:0", b"color:#fff", b"background:url(", b"<style>", b"</style>", b"<script>", b"<!--", b"-->",
    b"<table>", b"<td>", b"<li>", b"<pre>", b"<svg>", b"<title>", b"<a href=", b"</a>", b"<img alt=", b"<blockquote type=cite>",
    b"<div class=gmail_quote>", b"&#x", b"&amp;", b"&nbsp;", b"http://", b"www.", b".example", b"xn--", b"@", b"> ",
    b"wrote:", b"-----Original Message-----", b"_____", b"-- \n", b"mailing list", b"-----BEGIN PGP SIGNED MESSAGE-----",
    "\u202e".encode(), "\u200b".encode(), "\u00ad".encode(), "\u0301".encode(), "\ufdfa".encode(), "\U000e0041".encode(),
    "а".encode(), "𝓪".encode(), "ᴀ".encode(), "Ａ".encode(), "\u2028".encode(), "🎉".encode(), b"Re: ", b"[x] ", b"* * * ",
)  # fmt: skip
UNITS = (
    b"a", b" ", b"\r\n", b"<b><i>", b"<td>", b"<li>", b"&amp;", b"=?a?q?", b"a@", b'"<(', b";a=", b"-~", b"__ ",
    b"\r\n--cut\r\n", b"X-Filterd-Id: a\r\n", b"=\r\n", b"http://", b"/*", b"{", b"> ", "\u202e".encode(),
    "\u0301\u0316".encode(), "aа".encode(), b"A1b2", b"* ", b"Re: ", b"[x]", b"<a href=x>", b"www.a.", b"xn--a.",
)  # fmt: skip


def letters():
    """Our samples, the golden set, and the torture set."""
    paths = sorted(
        [*(ROOT / "filterd/samples").glob("*.eml"), *(ROOT / "tests/data/golden").rglob("*.eml")]
    )
    return [path.read_bytes()[:LONGEST] for path in paths] + list(TORTURE.values())


def seeds(target):
    """The inputs that a target begins with, each once, in the form that it reads."""
    found = {"parse": letters, "stamp": letters, "html": markup, "unicode": texts,
             "render": rendered, "growth": growing}[target]()  # fmt: skip
    return [*dict.fromkeys(seed[:LONGEST] for seed in found), *earlier(target)]


def earlier(target):
    """What was found before: it must never be found again."""
    return [path.read_bytes() for path in sorted(FOUND.glob(f"{target}-*"))]


def bodies():
    for raw in letters():
        yield raw.partition(b"\r\n\r\n")[2]


def markup():
    return [body for body in bodies() if b"<" in body] + [
        parse(raw).text.encode() for raw in letters()
    ]


def texts():
    """A byte for charset and encoding, then octets: of the set, and as each charset writes them."""
    plain = [parse(raw).text.encode()[:2048] for raw in letters()]
    found = [bytes([number % 256]) + text for number, text in enumerate(plain)]
    found += [bytes([number]) + body[:2048] for number, body in enumerate(bodies()) if number < 256]
    return found


def rendered():
    """A byte for the length, then a mail; or subject, sender and body."""
    whole = [bytes([number % 5]) + raw for number, raw in enumerate(letters())]
    messages = [parse(raw) for raw in letters()]
    return whole + [
        b"\x00" + CUT.join([m.subject.encode(), m.from_name.encode(), m.text.encode()])
        for m in messages
    ]


def growing():
    """A byte for reader and shape; head, unit and tail."""
    return [
        bytes([reader + 8 * shape]) + CUT.join([b"", unit, b""])
        for reader in range(8)
        for shape in (0, 3)
        for unit in UNITS
    ]


def growing_at_random(random):
    """The same of any words. Most that is read is read by lines, so that units are often lines."""
    words = [word for word in (*WORDS, *UNITS) if CUT not in word]
    unit = b"".join(random.choices(words, k=random.choice((1, 1, 2, 3))))
    unit += random.choice((b"", b"\r\n", b"\r\n\r\n", b" "))
    head, tail = (random.choice((b"", random.choice(words))) for _ in range(2))
    return bytes([random.randrange(32)]) + CUT.join([head, unit, tail])
