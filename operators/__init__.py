"""Operators over streams of alerts, one file per family; each is `Callable[[Observable[A]], Observable[B]]`."""

from rxalerts.operators.buffering import buffer as buffer
from rxalerts.operators.filtering import at_least as at_least
from rxalerts.operators.formatting import to_json as to_json
from rxalerts.operators.formatting import to_text as to_text
