//! Topics by the admin client, and records by a consumer of its own.

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use std::time::Duration;

use super::wait::{self, PATIENCE};

/// A fresh broker takes seconds for its first topic.
const ADMIN_WITHIN: Duration = Duration::from_secs(30);

/// A cluster, seen by an administrator.
pub(crate) struct Kafka {
    pub brokers: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Kafka {
    /// Never fails: librdkafka connects when it must.
    #[must_use]
    pub(crate) fn at(brokers: &str) -> Self {
        let admin = ClientConfig::new().set("bootstrap.servers", brokers).create();
        Self {
            brokers: brokers.to_owned(),
            admin: admin.expect("an admin client needs no connection"),
        }
    }

    /// `settings` are the topic's, e.g. `max.message.bytes`.
    pub(crate) async fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = self
            .admin
            .create_topics(&[topic], &options())
            .await
            .expect("the broker answers");
        assert!(made.iter().all(Result::is_ok), "creating topic {name}: {made:?}");
    }

    /// Replaces all settings of the topic by these.
    pub(crate) async fn configure_topic(&self, name: &str, settings: &[(&str, &str)]) {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (key, value) in settings {
            change = change.set(key, value);
        }
        let changed = self
            .admin
            .alter_configs(&[change], &options())
            .await
            .expect("the broker answers");
        assert!(
            changed.iter().all(Result::is_ok),
            "configuring topic {name}: {changed:?}"
        );
        wait::until("the broker knows it", PATIENCE, async || {
            let resources = [ResourceSpecifier::Topic(name)];
            let known = self.admin.describe_configs(&resources, &options()).await;
            let known = known.expect("the broker answers").remove(0).expect("a topic");
            let value = |key: &str| known.get(key).and_then(|entry| entry.value.as_deref());
            wait::ensure(
                settings.iter().all(|(key, expected)| value(key) == Some(*expected)),
                || format!("{:?}", known.entries),
            )
        })
        .await;
    }

    pub(crate) async fn delete_topic(&self, name: &str) {
        let gone = self
            .admin
            .delete_topics(&[name], &options())
            .await
            .expect("the broker answers");
        assert!(gone.iter().all(Result::is_ok), "deleting topic {name}: {gone:?}");
    }

    /// Grows the topic to `total` partitions.
    pub(crate) async fn grow_topic(&self, name: &str, total: usize) {
        let growth = NewPartitions::new(name, total);
        let grown = self
            .admin
            .create_partitions(&[growth], &options())
            .await
            .expect("the broker answers");
        assert!(grown.iter().all(Result::is_ok), "growing topic {name}: {grown:?}");
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ADMIN_WITHIN))
        .operation_timeout(Some(ADMIN_WITHIN))
}
