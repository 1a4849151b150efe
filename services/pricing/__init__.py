"""The pricing engine: requests of `pks price` over gRPC, computed in processes of their own."""
