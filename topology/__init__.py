"""The graph of stages as data, the stage runtime, settings and the command line: the only place that wires."""
