"""The topology on Apache Kafka: many workers, each the one owner of its partitions."""
