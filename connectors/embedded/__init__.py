"""The embedded log: topics, tables and offsets in one RocksDB, and Faust's transport over it.

`log` is the log itself; `layout` its keys and records; `errors` what can go wrong; `retention` what may be
removed, and when; `transport`, `consumer`, `producer` and `store` make it a transport of Faust.
"""
