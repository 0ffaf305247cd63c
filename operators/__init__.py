"""Operators over streams of alerts, one file per family; each is `Callable[[Observable[A]], Observable[B]]`."""

from typing import TYPE_CHECKING

from reactivex import Observable as _Observable

from rxalerts.flow.guard import feed as _feed
from rxalerts.flow.stats import DeadLetter as _DeadLetter
from rxalerts.lazy import lazily as _lazily

if TYPE_CHECKING:  # the index, see rxalerts.lazy
    from rxalerts.operators._stateful import Stateful as Stateful
    from rxalerts.operators.buffering import buffer as buffer
    from rxalerts.operators.condition import Condition as Condition
    from rxalerts.operators.condition import ConditionError as ConditionError
    from rxalerts.operators.condition import compile_condition as compile_condition
    from rxalerts.operators.correlating import correlate as correlate
    from rxalerts.operators.editing import drop_fields as drop_fields
    from rxalerts.operators.editing import rename as rename
    from rxalerts.operators.editing import retag as retag
    from rxalerts.operators.editing import set_priority as set_priority
    from rxalerts.operators.enriching import enrich as enrich
    from rxalerts.operators.filtering import at_least as at_least
    from rxalerts.operators.filtering import where as where
    from rxalerts.operators.formatting import to_json as to_json
    from rxalerts.operators.formatting import to_text as to_text
    from rxalerts.operators.guarding import catch as catch
    from rxalerts.operators.guarding import tap as tap
    from rxalerts.operators.limiting import rate_limit as rate_limit
    from rxalerts.operators.redacting import redact as redact
    from rxalerts.operators.repeating import suppress_repeats as suppress_repeats
    from rxalerts.operators.routing import Branches as Branches
    from rxalerts.operators.routing import split as split
    from rxalerts.operators.sampling import sample as sample
    from rxalerts.operators.watching import absence as absence
    from rxalerts.operators.windowing import tally as tally

dead_letters: _Observable[_DeadLetter] = _feed.observable
"""What failed in a user's function in any operator of this process: DeadLetter with alert, operator, traceback."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = _lazily(__name__)
