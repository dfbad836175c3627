//! Kafka, through librdkafka.

pub mod config;
