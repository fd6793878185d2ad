"""Slack as filterd's bot sees it, on this machine: no test talks to slack.com.

The npm package `emulate` keeps users, channels, messages and views. Our own server stands before
it and adds what it lacks: Socket Mode, clicks and commands, response_url, user groups, and faults
on demand. Start reading in `slack_stage.slack`.
"""

from slack_stage.people import Person
from slack_stage.records import Ack, Call, Delivery, Ephemeral, Response
from slack_stage.response_urls import Origin
from slack_stage.slack import Slack
from slack_stage.together import together

__all__ = [
    "Ack",
    "Call",
    "Delivery",
    "Ephemeral",
    "Origin",
    "Person",
    "Response",
    "Slack",
    "together",
]
