"""Execute a supervisor's steps: on a thread of their own, or as a task on the private event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from rxalerts.flow.channel import Fatal, Retryable
from rxalerts.flow.control import Steps, Wait
from rxalerts.flow.mailbox import Mailbox


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
        except BaseException as error:
            # `sys.exit()` in a hook must end this sink in order, and nothing else.
            advance, value = _throw(steps), Fatal(f"{type(error).__name__}: {error}")


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
            continue
        try:
            value = await step.hook(*step.args)
        except Exception as error:
            advance, value = _throw(steps), error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something inside of the hook was cancelled, not this sink.
            advance, value = _throw(steps), Retryable("cancelled")
        except BaseException as error:
            advance, value = _throw(steps), Fatal(f"{type(error).__name__}: {error}")
        # Others on this loop have their turn, even when no hook ever has to wait.
        await asyncio.sleep(0)


def _throw(steps: Steps) -> Any:
    return steps.throw
