//! What `doctor` should know of a cluster and of the topics a relay writes to.
//!
//! Promises: it only asks; what may not be asked is `Skip`, never `Ok`; every finding says what to type.
//!
//! An acknowledged message survives only what its topic is made for: three replicas, two of them in sync, and no election
//! of one that was behind. That is what these findings compare.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::failure::{self, Company, Mark};
use super::limits::{Clerk, TopicConfig};
use super::topics::LIMIT_DEFAULT;
use crate::contract::{Finding, Grade};
use crate::delivery::Destination;

/// Patience of one question.
const PATIENCE: Duration = Duration::from_secs(5);
/// Replicas with which the loss of one broker costs neither messages nor time.
const REPLICAS: usize = 3;

/// A topic as the cluster's metadata show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// How many partitions.
    pub(super) partitions: usize,
    /// Replicas of the partition that has the fewest.
    pub(super) replicas: usize,
    /// Partitions without a leader.
    pub(super) leaderless: usize,
}

/// Asks the cluster. Blocks.
pub(super) fn ask(
    client: &ClientConfig,
    runtime: &tokio::runtime::Handle,
    destinations: &[Destination],
) -> Vec<Finding> {
    let clerk = match Clerk::open(client) {
        Ok(clerk) => clerk,
        Err(error) => return vec![not_connected(&error.to_string())],
    };
    let brokers = match clerk.brokers(PATIENCE) {
        Ok(brokers) => brokers,
        Err(code) => return vec![not_connected(&failure::away(code, &code.to_string()).to_string())],
    };
    let mut findings = vec![ok("KAFKA-CONN", format!("{brokers} brokers answer"))];
    let topics = destinations
        .iter()
        .filter_map(|destination| destination.parts().first());
    for topic in topics {
        match clerk.shape(topic, PATIENCE) {
            Ok(shape) => {
                let configs = runtime.block_on(clerk.ask(&[topic.to_string()], PATIENCE));
                findings.extend(judge(
                    topic,
                    shape,
                    configs.first().filter(|config| config.is_visible()),
                ));
            }
            Err(code) => findings.push(missing(topic, code)),
        }
    }
    findings
}

/// What is to be said of a topic that exists.
fn judge(topic: &str, shape: Shape, config: Option<&TopicConfig>) -> Vec<Finding> {
    let mut findings = vec![led(topic, shape), replicated(topic, shape)];
    let Some(config) = config else {
        for (id, property) in CONFIGURED {
            findings.push(Finding {
                id,
                grade: Grade::Skip,
                observed: format!("{topic}: {property} may not be seen"),
                expected: "the right DESCRIBE_CONFIGS on the topic".into(),
                fix: format!(
                    "kafka-acls.sh --add --operation DescribeConfigs --topic {topic} --allow-principal User:NAME"
                ),
            });
        }
        return findings;
    };
    findings.push(in_sync(topic, shape, config));
    findings.push(clean(topic, config));
    findings.push(kept(topic, config));
    findings.push(sized(topic, config));
    findings
}

/// What only a topic's configuration tells.
const CONFIGURED: [(&str, &str); 4] = [
    ("KAFKA-IN-SYNC", "min.insync.replicas"),
    ("KAFKA-ELECTION", "unclean.leader.election.enable"),
    ("KAFKA-CLEANUP", "cleanup.policy"),
    ("KAFKA-SIZE", "max.message.bytes"),
];

fn led(topic: &str, shape: Shape) -> Finding {
    if shape.leaderless == 0 {
        return ok(
            "KAFKA-TOPIC",
            format!("{topic}: {} partitions, all with a leader", shape.partitions),
        );
    }
    Finding {
        id: "KAFKA-TOPIC",
        grade: Grade::Fail,
        observed: format!(
            "{topic}: {} of {} partitions have no leader",
            shape.leaderless, shape.partitions
        ),
        expected: "a leader for each; their keys wait".into(),
        fix: format!("kafka-topics.sh --describe --topic {topic} --unavailable-partitions"),
    }
}

fn replicated(topic: &str, shape: Shape) -> Finding {
    let observed = format!("{topic}: {} replicas", shape.replicas);
    if shape.replicas >= REPLICAS {
        return ok("KAFKA-REPLICAS", observed);
    }
    Finding {
        id: "KAFKA-REPLICAS",
        grade: Grade::Warn,
        observed,
        expected: format!("{REPLICAS}: an acknowledged message should survive the loss of a broker"),
        fix: "kafka-reassign-partitions.sh --reassignment-json-file MORE-REPLICAS.json --execute".into(),
    }
}

fn in_sync(topic: &str, shape: Shape, config: &TopicConfig) -> Finding {
    let least: usize = config
        .get("min.insync.replicas")
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let observed = format!("{topic}: min.insync.replicas={least}");
    match least {
        2.. if least < shape.replicas => ok("KAFKA-IN-SYNC", observed),
        2.. => Finding {
            id: "KAFKA-IN-SYNC",
            grade: Grade::Warn,
            observed,
            expected: format!(
                "fewer than its {} replicas: the loss of one broker stops all writing",
                shape.replicas
            ),
            fix: set(topic, "min.insync.replicas=2"),
        },
        _ => Finding {
            id: "KAFKA-IN-SYNC",
            grade: Grade::Warn,
            observed,
            expected: "2: with 1, a single broker's disk holds what was acknowledged".into(),
            fix: set(topic, "min.insync.replicas=2"),
        },
    }
}

fn clean(topic: &str, config: &TopicConfig) -> Finding {
    let unclean = config.get("unclean.leader.election.enable") == Some("true");
    if !unclean {
        return ok("KAFKA-ELECTION", format!("{topic}: only replicas in sync are elected"));
    }
    Finding {
        id: "KAFKA-ELECTION",
        grade: Grade::Warn,
        observed: format!("{topic}: unclean.leader.election.enable=true"),
        expected: "false: a leader that was behind drops what was acknowledged".into(),
        fix: set(topic, "unclean.leader.election.enable=false"),
    }
}

fn kept(topic: &str, config: &TopicConfig) -> Finding {
    let policy = config.get("cleanup.policy").unwrap_or("delete");
    let observed = format!("{topic}: cleanup.policy={policy}");
    if !policy.contains("compact") {
        return ok("KAFKA-CLEANUP", observed);
    }
    Finding {
        id: "KAFKA-CLEANUP",
        grade: Grade::Warn,
        observed,
        expected: "delete, unless readers want only the last event of a key; messages without a key are refused".into(),
        fix: set(topic, "cleanup.policy=delete"),
    }
}

fn sized(topic: &str, config: &TopicConfig) -> Finding {
    let limit = config.limit().unwrap_or(LIMIT_DEFAULT);
    let observed = format!("{topic}: max.message.bytes={limit}");
    if limit >= LIMIT_DEFAULT {
        return ok("KAFKA-SIZE", observed);
    }
    Finding {
        id: "KAFKA-SIZE",
        grade: Grade::Warn,
        observed,
        expected: format!("{LIMIT_DEFAULT}, Kafka's default: a lower limit makes every batch of the relay smaller"),
        fix: set(topic, &format!("max.message.bytes={LIMIT_DEFAULT}")),
    }
}

fn missing(topic: &str, code: Code) -> Finding {
    let (grade, fix) = match (code, Mark::of(code)) {
        (Code::TopicAuthorizationFailed, _) => (Grade::Fail, granted(topic)),
        (_, Mark::Destination | Mark::Backend) => {
            let fix =
                format!("kafka-topics.sh --create --topic {topic} --partitions 12 --replication-factor {REPLICAS}");
            (Grade::Fail, fix)
        }
        _ => (Grade::Skip, format!("kafka-topics.sh --describe --topic {topic}")),
    };
    Finding {
        id: "KAFKA-TOPIC",
        grade,
        observed: failure::refused(code, topic, Company::Alone).to_string(),
        expected: format!("the topic {topic}, with the rights WRITE and DESCRIBE"),
        fix,
    }
}

fn granted(topic: &str) -> String {
    format!("kafka-acls.sh --add --operation Write --operation Describe --topic {topic} --allow-principal User:NAME")
}

/// The cluster cannot be asked at all.
pub(super) fn not_connected(words: &str) -> Finding {
    Finding {
        id: "KAFKA-CONN",
        grade: Grade::Fail,
        observed: words.to_owned(),
        expected: "brokers that answer, and a login they accept".into(),
        fix: "check `to.kafka.brokers`, `tls` and `sasl`".into(),
    }
}

fn ok(id: &'static str, observed: String) -> Finding {
    Finding {
        id,
        grade: Grade::Ok,
        observed,
        expected: String::new(),
        fix: String::new(),
    }
}

fn set(topic: &str, property: &str) -> String {
    format!("kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {property}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(replicas: usize) -> Shape {
        Shape {
            partitions: 4,
            replicas,
            leaderless: 0,
        }
    }

    fn config(entries: &[(&str, &str)]) -> TopicConfig {
        TopicConfig {
            topic: "t".into(),
            entries: entries
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        }
    }

    fn grades(shape: Shape, config: Option<&TopicConfig>) -> Vec<(&'static str, Grade)> {
        judge("t", shape, config)
            .iter()
            .map(|finding| (finding.id, finding.grade))
            .collect()
    }

    #[test]
    fn a_topic_as_it_should_be_is_ok() {
        let good = config(&[("min.insync.replicas", "2"), ("max.message.bytes", "1048588")]);
        assert!(
            grades(shape(3), Some(&good))
                .iter()
                .all(|(_, grade)| *grade == Grade::Ok)
        );
    }

    #[test]
    fn each_weakness_has_its_finding_and_its_remedy() {
        let weak = [
            ("min.insync.replicas", "1"),
            ("unclean.leader.election.enable", "true"),
            ("cleanup.policy", "compact"),
            ("max.message.bytes", "1000"),
        ];
        let found = judge("t", shape(1), Some(&config(&weak)));
        let warned: Vec<_> = found.iter().filter(|finding| finding.grade == Grade::Warn).collect();
        let ids: Vec<_> = warned.iter().map(|finding| finding.id).collect();
        assert_eq!(
            ids,
            [
                "KAFKA-REPLICAS",
                "KAFKA-IN-SYNC",
                "KAFKA-ELECTION",
                "KAFKA-CLEANUP",
                "KAFKA-SIZE"
            ]
        );
        assert!(
            warned
                .iter()
                .all(|finding| !finding.fix.is_empty() && !finding.expected.is_empty())
        );
    }

    #[test]
    fn as_many_in_sync_as_there_are_stop_with_the_first_broker() {
        let brittle = config(&[("min.insync.replicas", "3")]);
        assert!(grades(shape(3), Some(&brittle)).contains(&("KAFKA-IN-SYNC", Grade::Warn)));
    }

    #[test]
    fn what_may_not_be_seen_is_skipped_and_never_ok() {
        let found = grades(shape(3), None);
        let skipped = found.iter().filter(|(_, grade)| *grade == Grade::Skip).count();
        assert_eq!(skipped, CONFIGURED.len());
    }

    #[test]
    fn a_missing_topic_fails_with_the_command_that_makes_it() {
        let finding = missing("order.events", Code::UnknownTopicOrPartition);
        assert_eq!(finding.grade, Grade::Fail);
        assert!(finding.fix.contains("--create --topic order.events"));
        let refused = missing("order.events", Code::TopicAuthorizationFailed);
        assert_eq!(refused.grade, Grade::Fail);
        assert!(refused.fix.contains("kafka-acls.sh --add") && refused.fix.contains("--topic order.events"));
        assert_eq!(missing("t", Code::OperationTimedOut).grade, Grade::Skip);
    }
}
