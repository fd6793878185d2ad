"""The Slack bot: staff see mails as cards and put labels right with a click."""
