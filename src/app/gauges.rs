//! Gauges, read from what the engines say when somebody asks.
//!
//! Promises: the same numbers as `/status`, at the same moment; what nobody knows has no sample, so that an alert on
//! absence works and a standby does not repeat the leader's last value for ever.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, AsyncInstrumentBuilder, Meter, ObservableGauge};
use tokio::sync::watch;

use super::status::{STATES, Seen};
use crate::relay::{RelayState, Status};
use crate::telemetry::names::{self, Metric};

type Relays = Vec<(KeyValue, watch::Receiver<Status>)>;

/// Registers the gauges of these relays with the meter.
pub fn register(meter: &Meter, relays: &[Seen]) {
    let label = |name: &String| KeyValue::new(names::RELAY, name.clone());
    let relays: Relays = relays.iter().map(|(name, seen)| (label(name), seen.clone())).collect();
    numbers(meter, &relays);
    by_state(meter, &relays);
    let version = KeyValue::new(names::VERSION, env!("CARGO_PKG_VERSION"));
    let build = counted(meter, names::BUILD_INFO);
    build
        .with_callback(move |gauge| gauge.observe(1, std::slice::from_ref(&version)))
        .build();
}

/// A gauge of a count, with what it tells.
fn counted<'a>(meter: &'a Meter, name: &'static str) -> AsyncInstrumentBuilder<'a, ObservableGauge<u64>, u64> {
    meter.u64_observable_gauge(name).with_description(Metric::help(name))
}

/// A gauge that asks each relay for one number.
fn number(
    (meter, name): (&Meter, &'static str),
    relays: &Relays,
    read: impl Fn(&Status) -> Option<u64> + Send + Sync + 'static,
) {
    let relays = relays.clone();
    let gauge = counted(meter, name);
    gauge
        .with_callback(move |gauge| {
            for (relay, seen) in &relays {
                if let Some(value) = read(&seen.borrow()) {
                    gauge.observe(value, std::slice::from_ref(relay));
                }
            }
        })
        .build();
}

fn numbers(meter: &Meter, relays: &Relays) {
    number((meter, names::BACKLOG), relays, |status| status.backlog);
    number((meter, names::IN_FLIGHT), relays, |status| {
        Some(status.in_flight as u64)
    });
    number((meter, names::LEADER), relays, |status| {
        let leads = matches!(
            status.state,
            RelayState::Leading | RelayState::CatchingUp | RelayState::Draining
        );
        Some(u64::from(leads))
    });
    number((meter, names::LOSS_SUSPECTED), relays, |status| {
        Some(status.loss_suspected.len() as u64)
    });
    let relays = relays.clone();
    let age = meter.f64_observable_gauge(names::OLDEST_AGE);
    let age = age.with_unit("s").with_description(Metric::help(names::OLDEST_AGE));
    age.with_callback(move |gauge| {
        for (relay, seen) in &relays {
            if let Some(age) = seen.borrow().oldest_age {
                gauge.observe(age.as_secs_f64(), std::slice::from_ref(relay));
            }
        }
    })
    .build();
}

fn by_state(meter: &Meter, relays: &Relays) {
    let lanes = each(relays, |status, see| {
        see("flowing", status.lanes.flowing as u64);
        see("resting", status.lanes.resting as u64);
        see("parked", status.lanes.parked as u64);
    });
    counted(meter, names::LANES)
        .with_callback(move |gauge| lanes(gauge, names::STATE))
        .build();
    let letters = each(relays, |status, see| {
        for (state, count) in &status.letters {
            see(state, *count);
        }
    });
    counted(meter, names::LETTERS)
        .with_callback(move |gauge| letters(gauge, names::STATE))
        .build();
    let relays = relays.clone();
    let health = counted(meter, names::HEALTH);
    health
        .with_callback(move |gauge| {
            for (relay, seen) in &relays {
                let now = seen.borrow().state;
                for state in STATES {
                    let labels = [
                        KeyValue::new(names::COMPONENT, relay.value.clone()),
                        KeyValue::new(names::STATUS, state.as_str()),
                    ];
                    gauge.observe(u64::from(state == now), &labels);
                }
            }
        })
        .build();
}

/// Asks each relay for several numbers, each with the value of one more label.
fn each(
    relays: &Relays,
    read: impl Fn(&Status, &mut dyn FnMut(&str, u64)) + Send + Sync + 'static,
) -> impl Fn(&dyn AsyncInstrument<u64>, &'static str) + Send + Sync + 'static {
    let relays = relays.clone();
    move |gauge, label| {
        for (relay, seen) in &relays {
            read(&seen.borrow(), &mut |value, count| {
                gauge.observe(count, &[relay.clone(), KeyValue::new(label, value.to_owned())]);
            });
        }
    }
}
