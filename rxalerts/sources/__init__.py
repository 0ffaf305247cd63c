"""Where alerts come from: recorded logs, standard input, iterables, the network."""
