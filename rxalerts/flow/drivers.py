"""Execute a supervisor's steps: on a thread of their own, or as a task on the private event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.supervisor import Steps, Wait


def drive_thread(steps: Steps, mailbox: Mailbox) -> None:
    """Run `steps` to their end on the calling thread; hooks are plain calls."""
    wake = threading.Event()
    advance, value = steps.send, None
    while True:
        try:
            step = advance(value)
        except StopIteration:
            return
        advance, value = steps.send, None
        if isinstance(step, Wait):
            wake.clear()
            if mailbox.arm(wake.set, control_only=step.control_only):
                wake.wait(step.timeout)
                mailbox.disarm()
            continue
        try:
            value = step.hook(*step.args)
        except Exception as error:
            advance, value = _throw(steps), error


async def drive_loop(steps: Steps, mailbox: Mailbox) -> None:
    """Run `steps` to their end on the running event loop; hooks are coroutines."""
    loop = asyncio.get_running_loop()
    wake = asyncio.Event()

    def rouse() -> None:
        loop.call_soon_threadsafe(wake.set)

    advance, value = steps.send, None
    while True:
        try:
            step = advance(value)
        except StopIteration:
            return
        advance, value = steps.send, None
        if isinstance(step, Wait):
            wake.clear()
            if mailbox.arm(rouse, control_only=step.control_only):
                try:
                    await asyncio.wait_for(wake.wait(), step.timeout)
                except TimeoutError:
                    # The time is over without mail, which is what the wait asked for.
                    continue
                finally:
                    mailbox.disarm()
            else:
                # Let others on this loop have their turn between two batches.
                await asyncio.sleep(0)
            continue
        try:
            value = await step.hook(*step.args)
        except Exception as error:
            advance, value = _throw(steps), error


def _throw(steps: Steps) -> Any:
    return steps.throw
