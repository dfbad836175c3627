//! What topics are configured to take, asked of the cluster's admin interface.
//!
//! Promises: it only asks. A cluster that does not let us ask answers nothing, and Kafka's default is assumed.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::findings::Shape;

/// Asked for only to hear an answer. Nothing is created.
pub(super) const NOBODY: &str = "twinbox-probe";

/// The configuration of one topic.
#[derive(Debug, Clone)]
pub(super) struct TopicConfig {
    /// Its name.
    pub(super) topic: String,
    /// Properties and values; none when they may not be seen.
    pub(super) entries: Vec<(String, String)>,
}

/// A client for questions.
pub(super) struct Clerk(AdminClient<Quiet>);

/// Drops what librdkafka says: the producer's own client says it, too.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::trace!(facility, line, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::trace!(%error, reason, "librdkafka");
    }
}

// === impl TopicConfig ===

impl TopicConfig {
    /// The value of a property.
    pub(super) fn get(&self, property: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|(name, _)| name == property)
            .map(|(_, value)| value.as_str())
    }

    /// Whether anything of it may be seen.
    pub(super) fn is_visible(&self) -> bool {
        !self.entries.is_empty()
    }

    /// `max.message.bytes`.
    pub(super) fn limit(&self) -> Option<u64> {
        self.get("max.message.bytes")?.parse().ok()
    }
}

// === impl Clerk ===

impl Clerk {
    /// A client with these properties; connects later.
    pub(super) fn open(properties: &ClientConfig) -> Result<Self, KafkaError> {
        AdminClient::from_config_and_context(properties, Quiet).map(Self)
    }

    /// How many brokers there are.
    ///
    /// # Errors
    /// The code of a question that was not answered.
    pub(super) fn brokers(&self, patience: Duration) -> Result<usize, Code> {
        // Asked about a topic that nobody has: about all of them would be much in a large cluster.
        Ok(self.metadata(NOBODY, patience)?.brokers().len())
    }

    /// A topic as the metadata show it.
    ///
    /// # Errors
    /// The code with which the topic was refused, or of a question that was not answered.
    pub(super) fn shape(&self, topic: &str, patience: Duration) -> Result<Shape, Code> {
        let metadata = self.metadata(topic, patience)?;
        let seen = metadata.topics().iter().find(|seen| seen.name() == topic);
        let seen = seen.ok_or(Code::UnknownTopicOrPartition)?;
        if let Some(error) = seen.error() {
            return Err(error.into());
        }
        let partitions = seen.partitions();
        Ok(Shape {
            partitions: partitions.len(),
            replicas: partitions.iter().map(|one| one.replicas().len()).min().unwrap_or(0),
            leaderless: partitions.iter().filter(|one| one.leader() < 0).count(),
        })
    }

    fn metadata(&self, topic: &str, patience: Duration) -> Result<Metadata, Code> {
        let metadata = self.0.inner().fetch_metadata(Some(topic), patience);
        metadata.map_err(|error| error.rdkafka_error_code().unwrap_or(Code::Unknown))
    }

    /// Asks for topics' configurations.
    pub(super) async fn ask(&self, topics: &[String], patience: Duration) -> Vec<TopicConfig> {
        let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(patience));
        let answers = match self.0.describe_configs(&resources, &options).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!(%error, "topic limits cannot be read");
                return Vec::new();
            }
        };
        let configs = answers
            .into_iter()
            .flatten()
            .filter_map(|resource| match resource.specifier {
                OwnedResourceSpecifier::Topic(topic) => Some(TopicConfig {
                    topic,
                    entries: resource
                        .entries
                        .into_iter()
                        .filter_map(|entry| Some((entry.name, entry.value?)))
                        .collect(),
                }),
                _ => None,
            });
        configs.collect()
    }
}
