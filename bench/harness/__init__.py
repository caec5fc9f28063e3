"""Whole-server measurements of Darter and its peers, side by side.

What the commands beside this package (`compare`, `memory`, `insert-stalls`, `exchanges`) share. It
starts servers, puts load on them, reads what the kernel says they used, and writes tables, JSON and
SVG. It does not know any server's insides: a server is a command line, a port and a process id.

Reading order: `servers` (a server under measurement), `scenarios` (what is asked of it), `rounds`
(how the asking is interleaved, which is the point of the whole thing), `figures` (what is made of
the samples). Python's standard library only; Linux only, because the figures come from /proc.
"""
