"""Where alerts come from: recorded logs, standard input, iterables, the network."""

from rxalerts.sources._iterable import from_iterable as from_iterable
