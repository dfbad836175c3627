//! Gauges, read from what the engines say when somebody asks.
//!
//! Promises: the same numbers as `/status`, at the same moment; what nobody knows has no sample, so that an alert on
//! absence works and a standby does not repeat the leader's last value for ever.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, AsyncInstrumentBuilder, Meter, ObservableGauge};
use tokio::sync::watch;

use super::status::{CONSUMER_STATES, STATES, Seen, SeenConsumer, lag_seconds};
use crate::consumer;
use crate::flow::LaneCounts;
use crate::relay::{RelayState, Status};
use crate::telemetry::names::{self, Metric};

/// Engines of one kind: the label of each, and what it says.
type All<S> = Vec<(KeyValue, watch::Receiver<S>)>;
type Relays = All<Status>;
type Consumers = All<consumer::Status>;

/// Registers the gauges of these relays and consumers with the meter.
pub fn register(meter: &Meter, relays: &[Seen], consumers: &[SeenConsumer]) {
    let relays = labelled(names::RELAY, relays);
    numbers(meter, &relays);
    by_state(meter, &relays);
    let consumers = labelled(names::CONSUMER, consumers);
    consuming(meter, &consumers);
    consuming_by_state(meter, &consumers);
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

fn labelled<S>(label: &'static str, engines: &[(String, watch::Receiver<S>)]) -> All<S> {
    let engines = engines.iter();
    let engines = engines.map(|(name, seen)| (KeyValue::new(label, name.clone()), seen.clone()));
    engines.collect()
}

/// A gauge that asks each engine for one number.
fn number<S: Send + Sync + 'static>(
    (meter, name): (&Meter, &'static str),
    engines: &All<S>,
    read: impl Fn(&S) -> Option<u64> + Send + Sync + 'static,
) {
    let engines = engines.clone();
    let gauge = counted(meter, name);
    gauge
        .with_callback(move |gauge| {
            for (engine, seen) in &engines {
                if let Some(value) = read(&seen.borrow()) {
                    gauge.observe(value, std::slice::from_ref(engine));
                }
            }
        })
        .build();
}

/// The same in seconds.
fn seconds<S: Send + Sync + 'static>(
    (meter, name): (&Meter, &'static str),
    engines: &All<S>,
    read: impl Fn(&S) -> Option<f64> + Send + Sync + 'static,
) {
    let engines = engines.clone();
    let gauge = meter.f64_observable_gauge(name);
    let gauge = gauge.with_unit("s").with_description(Metric::help(name));
    gauge
        .with_callback(move |gauge| {
            for (engine, seen) in &engines {
                if let Some(value) = read(&seen.borrow()) {
                    gauge.observe(value, std::slice::from_ref(engine));
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
    seconds((meter, names::OLDEST_AGE), relays, |status| {
        status.oldest_age.map(|age| age.as_secs_f64())
    });
}

fn by_state(meter: &Meter, relays: &Relays) {
    let lanes = each(relays, |status, see| lanes(status.lanes, see));
    counted(meter, names::LANES)
        .with_callback(move |gauge| lanes(gauge, names::STATE))
        .build();
    let letters = each(relays, |status, see| letters(&status.letters, see));
    counted(meter, names::LETTERS)
        .with_callback(move |gauge| letters(gauge, names::STATE))
        .build();
    health(meter, relays, |status, see| {
        for state in STATES {
            see(state.as_str(), state == status.state);
        }
    });
}

/// Registers how much longer each consumer remembers messages than its oldest unsettled one has waited: that is what a crash
/// would deliver again.
pub fn margins(meter: &Meter, consumers: &[(SeenConsumer, Duration)]) {
    let consumers = consumers.iter();
    let consumers = consumers.map(|((name, seen), kept)| {
        let label = KeyValue::new(names::CONSUMER, name.clone());
        (label, seen.clone(), kept.as_secs_f64())
    });
    let consumers: Vec<_> = consumers.collect();
    let gauge = meter.f64_observable_gauge(names::DEDUPE_MARGIN);
    let gauge = gauge
        .with_unit("s")
        .with_description(Metric::help(names::DEDUPE_MARGIN));
    gauge
        .with_callback(move |gauge| {
            for (consumer, seen, kept) in &consumers {
                if let Some(waited) = lag_seconds(&seen.borrow()) {
                    gauge.observe(kept - waited, std::slice::from_ref(consumer));
                }
            }
        })
        .build();
}

fn consuming(meter: &Meter, consumers: &Consumers) {
    seconds((meter, names::CONSUMER_LAG_AGE), consumers, lag_seconds);
    number((meter, names::CONSUMER_IN_FLIGHT), consumers, |status| {
        Some(status.in_flight() as u64)
    });
    number((meter, names::CONSUMER_PAUSED), consumers, |status| {
        Some(u64::from(status.breaker_open))
    });
    number((meter, names::CONSUMER_LOSS_SUSPECTED), consumers, |status| {
        Some(status.loss_suspected.len() as u64)
    });
    let consumers = consumers.clone();
    let lag = counted(meter, names::CONSUMER_LAG);
    lag.with_callback(move |gauge| {
        for (consumer, seen) in &consumers {
            for (name, stream) in &seen.borrow().streams {
                let partition = name
                    .partition
                    .map(|partition| KeyValue::new(names::PARTITION, partition.to_string()));
                let topic = KeyValue::new(names::DESTINATION, name.topic.to_string());
                let labels = [Some(consumer.clone()), Some(topic), partition];
                gauge.observe(stream.lag, &labels.into_iter().flatten().collect::<Vec<_>>());
            }
        }
    })
    .build();
}

fn consuming_by_state(meter: &Meter, consumers: &Consumers) {
    let lanes = each(consumers, |status: &consumer::Status, see| lanes(status.lanes(), see));
    counted(meter, names::CONSUMER_LANES)
        .with_callback(move |gauge| lanes(gauge, names::STATE))
        .build();
    let letters = each(consumers, |status: &consumer::Status, see| {
        letters(&status.letters(), see);
    });
    counted(meter, names::LETTERS)
        .with_callback(move |gauge| letters(gauge, names::STATE))
        .build();
    health(meter, consumers, |status, see| {
        for state in CONSUMER_STATES {
            see(state.as_str(), state == status.state);
        }
    });
}

fn lanes(lanes: LaneCounts, see: &mut dyn FnMut(&str, u64)) {
    see("flowing", lanes.flowing as u64);
    see("resting", lanes.resting as u64);
    see("parked", lanes.parked as u64);
}

fn letters(letters: &[(&'static str, u64)], see: &mut dyn FnMut(&str, u64)) {
    for (state, count) in letters {
        see(state, *count);
    }
}

/// One gauge for each state, of which one is set.
fn health<S: Send + Sync + 'static>(
    meter: &Meter,
    engines: &All<S>,
    read: impl Fn(&S, &mut dyn FnMut(&'static str, bool)) + Send + Sync + 'static,
) {
    let engines = engines.clone();
    let health = counted(meter, names::HEALTH);
    health
        .with_callback(move |gauge| {
            for (engine, seen) in &engines {
                read(&seen.borrow(), &mut |state, holds| {
                    let labels = [
                        KeyValue::new(names::COMPONENT, engine.value.clone()),
                        KeyValue::new(names::STATUS, state),
                    ];
                    gauge.observe(u64::from(holds), &labels);
                });
            }
        })
        .build();
}

/// Asks each engine for several numbers, each with the value of one more label.
fn each<S: Send + Sync + 'static>(
    engines: &All<S>,
    read: impl Fn(&S, &mut dyn FnMut(&str, u64)) + Send + Sync + 'static,
) -> impl Fn(&dyn AsyncInstrument<u64>, &'static str) + Send + Sync + 'static {
    let engines = engines.clone();
    move |gauge, label| {
        for (engine, seen) in &engines {
            read(&seen.borrow(), &mut |value, count| {
                gauge.observe(count, &[engine.clone(), KeyValue::new(label, value.to_owned())]);
            });
        }
    }
}
