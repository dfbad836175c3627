//! Rules across fields, on the typed configuration: all of them, one complaint each.

use super::check_consumer;
use super::env::Environment;
use super::relay::{RelayConfig, Require};
use super::root::Root;
use super::route::RouteConfig;
use crate::broker::Backend;
use crate::delivery::guarantee::Guarantee;
use crate::postgres::config::DatabaseConfig;
use crate::setting::{Complaints, Duration, Size};

/// The rules of resting double no further.
pub(super) const REST_MAX: Duration = Duration::from_secs(15 * 60);
/// A shorter lease is lost by one slow query.
const LEASE_MIN: Duration = Duration::from_secs(1);
/// A longer lease is an outage by itself.
const LEASE_MAX: Duration = Duration::from_secs(5 * 60);
/// One fetch of ordinary rows must fit.
const BYTES_MIN: Size = Size::from_mib(1);

/// Complains about everything that the schema cannot see.
pub(super) fn check(root: &Root, env: &Environment, complaints: &mut Complaints) {
    let lookup = |name: &str| env.get(name);
    complaints.within("database", |complaints| root.database.check(&lookup, complaints));
    if root.drain.deadline.get().is_zero() {
        complaints.add(&["drain", "deadline"], "is zero: a drain needs time; write 25s");
    }
    for (name, config) in &root.relays {
        complaints.within("relays", |complaints| {
            complaints.within(name, |complaints| {
                relay(config, root.database_of(config), (env, complaints));
            });
        });
    }
    check_consumer::check(root, env, complaints);
}

fn relay(relay: &RelayConfig, of: &DatabaseConfig, (env, complaints): (&Environment, &mut Complaints)) {
    if let Some(own) = &relay.database {
        complaints.within("database", |complaints| own.check(&|name| env.get(name), complaints));
    }
    bounds(relay, complaints);
    if let Some(table) = relay.written_table().filter(|table| !is_table(table)) {
        complaints.add(
            &["from", "cursor", "table"],
            format!("\"{table}\" is no table; write schema.table"),
        );
    }
    complaints.within("route", |complaints| {
        fields(relay.to.backend(), &relay.route, complaints);
    });
    complaints.within("dead_letter", |complaints| {
        fields(relay.to.backend(), &relay.dead_letter, complaints);
    });
    require(&relay.require, &relay.guarantees(of, &|name| env.get(name)), complaints);
}

/// What is required and does not hold, as far as the configuration shows it.
pub(super) fn require(required: &[Require], guarantees: &[Guarantee], complaints: &mut Complaints) {
    for (index, required) in required.iter().enumerate() {
        let level = required.level();
        if let Some(broken) = guarantees
            .iter()
            .find(|guarantee| guarantee.level == level && !guarantee.holds)
        {
            let sentence = format!("{} does not hold: {}", level.as_str(), broken.reason);
            complaints.add(&["require", &index.to_string()], sentence);
        }
    }
}

fn bounds(relay: &RelayConfig, complaints: &mut Complaints) {
    let (limits, retry) = (&relay.limits, &relay.retry);
    if limits.batch > limits.in_flight {
        let sentence = format!(
            "is {}, more than limits.in_flight = {}; a fetch must fit",
            limits.batch, limits.in_flight
        );
        complaints.add(&["limits", "batch"], sentence);
    }
    if limits.bytes < BYTES_MIN {
        complaints.add(
            &["limits", "bytes"],
            format!("is {}; write at least {BYTES_MIN}", limits.bytes),
        );
    }
    if relay.lease < LEASE_MIN || relay.lease > LEASE_MAX {
        complaints.add(
            &["lease"],
            format!("is {}; write {LEASE_MIN} to {LEASE_MAX}", relay.lease),
        );
    }
    rests((retry.first, retry.max), complaints);
}

/// How long a failed key may rest.
pub(super) fn rests((first, max): (Duration, Duration), complaints: &mut Complaints) {
    if max > REST_MAX || max.get().is_zero() {
        let sentence = format!("is {max}; write more than 0s, at most {REST_MAX}");
        complaints.add(&["retry", "max"], sentence);
    } else if first > max || first.get().is_zero() {
        let sentence = format!("is {first}; write more than 0s, at most retry.max = {max}");
        complaints.add(&["retry", "first"], sentence);
    }
}

/// `name` or `schema.name`, unquoted: the names are quoted where they are used.
pub(super) fn is_table(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() <= 2
        && parts
            .iter()
            .all(|part| !part.is_empty() && !part.contains(['"', ' ', '\0']))
}

/// The schema allows the fields of every broker; here it is known which one is meant.
pub(super) fn fields(backend: &Backend, route: &RouteConfig, complaints: &mut Complaints) {
    let backend = backend.config;
    for field in route.fields.keys() {
        if !backend.route.iter().any(|known| known.name == field) {
            let known: Vec<&str> = backend.route.iter().map(|known| known.name).collect();
            let sentence = format!(
                "is no field of {}; it has {}, key, headers",
                backend.name,
                known.join(", ")
            );
            complaints.add(&[field], sentence);
        }
    }
}
