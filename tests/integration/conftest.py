"""The SMTP tests run on both event loops: uvloop as the daemon does, asyncio as a reference."""

import asyncio

import pytest
import uvloop


@pytest.hookimpl
def pytest_asyncio_loop_factories(item):
    if item.path.name.startswith("test_smtp_"):
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    if item.path.name.startswith("test_fault_"):
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
