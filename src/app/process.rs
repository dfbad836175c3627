//! One process: the admin port, the relays and consumers, their end.
//!
//! Promises: the port is bound before anything else and is in the start line; the telemetry is sent off last, and never
//! for longer than [`TELEMETRY_MAX`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::admin::{self, Admin, Token};
use super::drain::Drain;
use super::export::Exports;
use super::gauges;
use super::lanes;
use super::signals;
use super::supervise::{self, Crew, Ending, Task};
use crate::config::{Readiness, Root, SourceConfig};
use crate::consumer;
use crate::flow::Pauses;
use crate::operate::lanes::Board;
use crate::operate::letters::Desk;
use crate::relay::{self, Control, Engine, Outcome, Status};
use crate::telemetry::Pulse;

/// What the last export may take, inside the five seconds between the drain's deadline and the end of the pod's patience.
pub const TELEMETRY_MAX: Duration = Duration::from_millis(1500);

/// Lanes by whose they are: `relay` or `consumer`, and its name.
pub type Boards = BTreeMap<(&'static str, String), Arc<dyn Board>>;

/// A process that is ready to begin.
pub struct Process {
    /// The relays.
    pub engines: Vec<Engine>,
    /// The consumers.
    pub consumers: Vec<consumer::Engine>,
    /// What `/metrics` and OTLP read from.
    pub exports: Exports,
    /// The lanes of each of them, by side and name.
    pub boards: Boards,
    /// Letters over HTTP; none: there is no database for that.
    pub desk: Option<Arc<dyn Desk>>,
    /// The token of `admin.token`, resolved.
    pub token: Option<Token>,
    /// What a SIGHUP does.
    pub check: Box<dyn Fn() + Send>,
}

/// Runs until the relays and consumers have ended. `origin` says what the configuration was read from.
///
/// # Errors
/// A sentence, when it could not begin.
pub async fn run(process: Process, root: &Root, origin: &str) -> Result<Ending, String> {
    let (listener, address) = admin::bind(root.admin.listen).await?;
    let signals = signals::listen().map_err(|error| format!("signals cannot be listened to: {error}"))?;
    let relays: Vec<&str> = process.engines.iter().map(|engine| engine.name.as_str()).collect();
    let consumers: Vec<&str> = process.consumers.iter().map(|engine| engine.name.as_str()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), admin = %address, config = origin,
        relays = relays.join(","), consumers = consumers.join(","), "twinbox started"
    );
    let deadline = root.drain.deadline.get();
    let own = process.engines.iter();
    let own = own.flat_map(|engine| engine.pulses.named(&engine.name));
    let consuming = process.consumers.iter();
    let consuming = consuming.map(|engine| (format!("consumer {}", engine.name), engine.pulse.clone()));
    let mut pulses: Vec<_> = own.chain(consuming).collect();
    let told = process
        .consumers
        .iter()
        .map(|engine| (engine.name.clone(), watch::channel(consumer::Status::default())));
    let (statuses, consumers): (Vec<_>, Vec<_>) = told.map(|(name, (status, seen))| (status, (name, seen))).unzip();
    let drain = Drain::new(consumers.iter().map(|(_, seen)| seen.clone()).collect());
    let (mut engines, relays) = cast(process.engines, (root, &drain, &process.boards));
    engines.extend(process.consumers.into_iter().zip(statuses).map(|(engine, status)| {
        let control = consumer::Control {
            wanted: drain.wanted(),
            drain_deadline: deadline,
            pauses: pauses(&process.boards, ("consumer", &engine.name)),
            status,
        };
        consuming_task(engine, control)
    }));
    let meter = process.exports.meter();
    gauges::register(&meter, &relays, &consumers);
    let kept = |name: &String| root.consumers.get(name).map(|consumer| consumer.dedupe.retention.get());
    let margins = consumers.iter().filter_map(|seen| Some((seen.clone(), kept(&seen.0)?)));
    gauges::margins(&meter, &margins.collect::<Vec<_>>());
    let pulse = Pulse::default();
    let turns = pulse.running(supervise::now().into_std());
    pulses.push(("the supervisor".to_owned(), pulse));
    let admin = Admin {
        token: process.token,
        strict: root.admin.readiness == Readiness::Strict,
        relays,
        consumers,
        pulses,
        drain: drain.clone(),
        exports: process.exports.clone(),
        desk: process.desk,
        boards: process.boards,
    };
    let port = Task {
        name: "the admin port".to_owned(),
        run: Box::pin(admin::serve(listener, admin)),
    };
    let crew = Crew {
        engines,
        services: vec![port],
        drain,
        deadline,
        turns,
        check: process.check,
    };
    let ending = supervise::supervise(crew, signals).await;
    if ending != Ending::Interrupted {
        crate::point!("telemetry.flushing");
        process.exports.shutdown(TELEMETRY_MAX).await;
    }
    Ok(ending)
}

/// Gives each engine its control, and keeps the other ends.
fn cast(engines: Vec<Engine>, with: (&Root, &Drain, &Boards)) -> (Vec<Task>, Vec<super::status::Seen>) {
    let (root, drain, boards) = with;
    let pairs = engines.into_iter().map(|engine| {
        let source = root.relays.get(&engine.name).map_or("", |relay| match relay.from {
            SourceConfig::Cursor(_) => "cursor",
        });
        let (status, seen) = watch::channel(Status {
            source,
            ..Status::default()
        });
        let control = Control {
            drain: drain.engines(),
            drain_deadline: root.drain.deadline.get(),
            pauses: pauses(boards, ("relay", &engine.name)),
            status,
        };
        let name = engine.name.clone();
        let task = Task {
            name: name.clone(),
            run: Box::pin(relay::run(engine, control)),
        };
        (task, (name, seen))
    });
    pairs.unzip()
}

/// What is held back of it, kept up to date as long as it lives. Of whom nobody knows, nothing is.
fn pauses(boards: &Boards, (side, name): (&'static str, &str)) -> watch::Receiver<Pauses> {
    let Some(board) = boards.get(&(side, name.to_owned())) else {
        return watch::channel(Pauses::none()).1;
    };
    let (told, pauses) = watch::channel(Pauses::default());
    supervise::spawn("pauses", lanes::tell(format!("{side} {name}"), Arc::clone(board), told));
    pauses
}

/// A consumer as a task: it ends when it is stopped, or halts.
fn consuming_task(engine: consumer::Engine, control: consumer::Control) -> Task {
    let name = engine.name.clone();
    let run = async move {
        match consumer::run(engine, control).await {
            consumer::Outcome::Drained => Outcome::Drained,
            consumer::Outcome::Halted { sentence } => Outcome::Halted { sentence },
        }
    };
    Task {
        name,
        run: Box::pin(run),
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("engines", &self.engines)
            .field("consumers", &self.consumers)
            .finish_non_exhaustive()
    }
}
