"""The benchmark of Python nodes, without its command line.

`environments` makes what is compared, `flow` runs a dataflow in one of them, `figures` says what is measured, `table` puts
the sides of a figure beside each other, `machine` describes what they ran on.
"""
