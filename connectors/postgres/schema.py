"""What this version of PKS expects of a database."""

REVISION = "0005"
"""The revision that the sinks write to."""
