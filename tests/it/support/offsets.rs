//! What a group has committed, asked by a client that joins nothing.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

/// The coordinator answers within this, or it is gone.
const WITHIN: Duration = Duration::from_secs(30);

/// Committed offsets by topic and partition; a partition without one is left out. Blocks.
#[must_use]
pub(crate) fn committed(brokers: &str, group: &str, topics: &[String]) -> BTreeMap<(String, i32), i64> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .create()
        .expect("these settings are valid");
    let mut places = TopicPartitionList::new();
    for topic in topics {
        let metadata = client.fetch_metadata(Some(topic), WITHIN).expect("the broker answers");
        for partition in metadata.topics()[0].partitions() {
            places.add_partition(topic, partition.id());
        }
    }
    let offsets = client
        .committed_offsets(places, WITHIN)
        .expect("the coordinator answers");
    let known = offsets.elements();
    let known = known.iter().filter_map(|place| match place.offset() {
        Offset::Offset(offset) => Some(((place.topic().to_owned(), place.partition()), offset)),
        _ => None,
    });
    known.collect()
}
