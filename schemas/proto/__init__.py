"""The events as protobuf messages for other systems: `pks/v1/events.proto` and the code generated from it."""
