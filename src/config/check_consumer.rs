//! Rules across the fields of a consumer, and between consumers.

use super::check::{self, REST_MAX};
use super::consumer::{ConsumerConfig, HandlerConfig};
use super::env::Environment;
use super::root::Root;
use crate::setting::{Complaints, Duration, Size};

/// A message of ordinary size and the page it comes in must fit.
const BYTES_MIN: Size = Size::from_mib(1);
/// A generation of the inbox is a partition: shorter ones would be made and dropped all day.
const RETENTION_MIN: Duration = Duration::from_secs(60 * 60);

/// Complains about everything in `consumers` that the schema cannot see.
pub(super) fn check(root: &Root, env: &Environment, complaints: &mut Complaints) {
    complaints.within("consumers", |complaints| {
        for (name, config) in &root.consumers {
            complaints.within(name, |complaints| consumer(root, config, (env, complaints)));
        }
        groups(root, complaints);
    });
}

fn consumer(root: &Root, consumer: &ConsumerConfig, (env, complaints): (&Environment, &mut Complaints)) {
    let lookup = |name: &str| env.get(name);
    if let Some(own) = &consumer.database {
        complaints.within("database", |complaints| own.check(&lookup, complaints));
    }
    complaints.within("handler", |complaints| handler(consumer, complaints));
    bounds(consumer, complaints);
    complaints.within("dead_letter", |complaints| {
        check::fields(consumer.from.backend(), &consumer.dead_letter, complaints);
    });
    let guarantees = consumer.guarantees(root.inbox_of(consumer), &lookup);
    check::require(&consumer.require, &guarantees, complaints);
}

fn handler(consumer: &ConsumerConfig, complaints: &mut Complaints) {
    complaints.within(consumer.handler.as_str(), |complaints| {
        match &consumer.handler {
            HandlerConfig::Sql(sql) if !is_function(&sql.function) => {
                let sentence = format!(
                    "\"{}\" is no function; write schema.function, without parentheses",
                    sql.function
                );
                complaints.add(&["function"], sentence);
            }
            HandlerConfig::Sql(_) => {}
            HandlerConfig::Http(http) => http.check(complaints),
        }
        let (batch, in_flight) = (consumer.handler.batch(), consumer.limits.in_flight);
        if batch > in_flight {
            let sentence = format!("is {batch}, more than limits.in_flight = {in_flight}; a batch must fit");
            complaints.add(&["batch"], sentence);
        }
    });
}

/// `schema.name`, each part plain or in double quotes.
fn is_function(text: &str) -> bool {
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    let quoted = |part: &str| part.len() > 2 && part.starts_with('"') && part.ends_with('"');
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 2 && parts.iter().all(|part| plain(part) || quoted(part))
}

fn bounds(consumer: &ConsumerConfig, complaints: &mut Complaints) {
    let (limits, retry) = (&consumer.limits, &consumer.retry);
    if limits.bytes < BYTES_MIN {
        let sentence = format!("is {}; write at least {BYTES_MIN}", limits.bytes);
        complaints.add(&["limits", "bytes"], sentence);
    }
    check::rests((retry.first, retry.max), complaints);
    let retention = consumer.dedupe.retention;
    let horizon = retry.max.get().min(REST_MAX.get()).saturating_mul(retry.attempts);
    if retention < RETENTION_MIN {
        let sentence = format!("is {retention}; write at least {RETENTION_MIN}, and more than the broker keeps");
        complaints.add(&["dedupe", "retention"], sentence);
    } else if retention.get() <= horizon {
        let sentence = format!(
            "is {retention}, no longer than one message may be retried (retry.max = {} x retry.attempts = {}): what was \
             done would be forgotten and done again; write more",
            retry.max, retry.attempts
        );
        complaints.add(&["dedupe", "retention"], sentence);
    }
}

/// Two consumers of one group would take each other's partitions away, and move each other's offsets.
fn groups(root: &Root, complaints: &mut Complaints) {
    let consumers: Vec<(&String, &ConsumerConfig)> = root.consumers.iter().collect();
    for (index, (name, consumer)) in consumers.iter().enumerate() {
        let group = consumer.group(name);
        let same = |(other, earlier): &&(&String, &ConsumerConfig)| {
            let one_broker = earlier.from.backend().config.name == consumer.from.backend().config.name;
            one_broker && group.is_some() && earlier.group(other) == group
        };
        if let Some((other, _)) = consumers[..index].iter().find(same) {
            let group = group.unwrap_or_default();
            let backend = consumer.from.backend().config.name;
            let sentence = format!(
                "is {group}, the group of consumers.{other}: members of a group share its messages; write another one"
            );
            complaints.add(&[name, "from", backend, "group"], sentence);
        }
    }
}
