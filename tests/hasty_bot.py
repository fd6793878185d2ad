"""`filterd-bot serve` with shorter waits than in life: a duty that is lost within seconds."""

import asyncio
import os
import sys

from bot.app import Bot
from bot.duty import Term
from bot.poster import Pace
from bot.settings import TABLE, BotSettings, read_tokens
from filterd.commands.parts import open_store
from filterd.errors import FilterdError
from filterd.logs import configure_logs
from filterd.settings import load_settings, load_table

TERM = Term(lasts=3.0, renew=0.5, ailments=0.5)
PACE = Pace(between=0.2, first_pause=0.3, longest_pause=1.0, for_people=1.0, attempt=3.0)
PATIENCE = 1.0


def main():
    settings = load_settings(None)
    own = load_table(BotSettings, TABLE, None)
    configure_logs(settings, process="bot")
    tokens = read_tokens(own, os.environ)
    with open_store(settings) as database:
        bot = Bot(settings, own, tokens, database, term=TERM, pace=PACE, patience=PATIENCE)
        asyncio.run(bot.run())


if __name__ == "__main__":
    try:
        main()
    except FilterdError as error:
        sys.exit(f"filterd-bot: {error}")
