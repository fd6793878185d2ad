"""The workspace every test meets: who is there, which channels, and the bot with its tokens."""

from __future__ import annotations

from typing import Any

NAMED = ("anna", "ben", "carla", "dora")
CROWD = tuple(f"u{number:02d}" for number in range(1, 21))
PEOPLE = (*NAMED, *CROWD)
DESK, ALERTS, ELSEWHERE = "mail-desk", "mail-alerts", "random"

APP_ID = "A0FILTERD1"
BOT_ID = "B0FILTERD1"
BOT_USER = "U0FILTERD1"
BOT_TOKEN = "xoxb-filterd"
APP_TOKEN = "xapp-filterd"
SIGNING_SECRET = "signed-by-the-stage"
VERIFICATION_TOKEN = "unused"  # Slack still sends this old field; nobody may rely on it

# The emulator answers 403 after 5,000 calls with one token in an hour. The shim passes the bot's
# calls on with these in turn, so that a test of load does not run into that.
BOT_ALIASES = tuple(f"xoxb-alias-{number}" for number in range(8))
# The stage's own calls are made as the bot, too, but with every scope.
STAGE_TOKENS = tuple(f"xoxb-stage-{number}" for number in range(8))
ADMIN_TOKEN = "xoxp-admin"

SCOPES = (
    "channels:history",
    "channels:join",
    "channels:manage",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "groups:write",
    "im:history",
    "im:read",
    "im:write",
    "reactions:read",
    "reactions:write",
    "team:read",
    "usergroups:read",
    "users:read",
    "users:read.email",
)


def token_of(name: str) -> str:
    """A token with which the emulator takes a person's own messages."""
    return f"xoxp-{name}"


def seed(scopes: tuple[str, ...]) -> dict[str, Any]:
    """What the emulator starts with. It makes up the ids of people and channels itself."""
    bot = {"app_id": APP_ID, "bot_id": BOT_ID, "bot_user_id": BOT_USER}
    granted = {BOT_TOKEN: scopes} | dict.fromkeys(BOT_ALIASES, scopes)
    bot_tokens = [
        {"token": token, "type": "bot", "user_id": BOT_USER, "scopes": list(given), **bot}
        for token, given in (granted | dict.fromkeys(STAGE_TOKENS, SCOPES)).items()
    ]
    user_tokens = [
        {"token": token, "type": "user", "user": name, "scopes": list(SCOPES)}
        for name, token in {
            "admin": ADMIN_TOKEN,
            **{name: token_of(name) for name in PEOPLE},
        }.items()
    ]
    return {
        "slack": {
            "team": {"name": "Example", "domain": "example"},
            "users": [
                {"name": name, "real_name": name.title(), "email": f"{name}@example.com"}
                for name in PEOPLE
            ],
            "channels": [{"name": DESK}, {"name": ALERTS}],
            "oauth_apps": [
                {
                    "client_id": "1.1",
                    "client_secret": "unused",
                    "name": "filterd",
                    "bot_name": "filterd",
                    "redirect_uris": [],
                    "scopes": list(scopes),
                    **bot,
                }
            ],
            "tokens": [*bot_tokens, *user_tokens],
            "signing_secret": SIGNING_SECRET,
            "strict_scopes": True,
        }
    }
