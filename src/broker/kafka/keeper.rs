//! The thread that makes every call that may block: looking topics up, reading limits, building and burying lines.
//!
//! Promises: the traffic's lock is never held while it waits; it ends when it is told to, within one call's patience.
//! It wakes when something needs it, and once a second to look at the clock.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::runtime::Handle;

use super::config::KafkaConfig;
use super::failure::{self, Mark};
use super::limits::{Clerk, NOBODY};
use super::line::{Line, Seen};
use super::properties::{self, Tuning};
use super::publisher::Shared;
use super::reports::Listener;
use super::traffic::{self, Traffic, Way};
use crate::broker::OpenContext;
use crate::contract::Health;
use crate::delivery::{Failure, FailureKind};

/// The clock's tick: stalls and outages are noticed this much late at most.
const TICK: Duration = Duration::from_secs(1);
/// Patience of one question to the cluster.
const PATIENCE: Duration = Duration::from_secs(2);
/// How old our knowledge of a used topic may become.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How old our knowledge of a topic's limits may become.
const LIMITS_AGAIN: Duration = Duration::from_secs(300);
/// How long a dead line may take to report what was on the wire.
const LAST_REPORTS: Duration = Duration::from_secs(5);
/// The admin client is closed when it was not needed for this long.
const CLERK_IDLE: Duration = Duration::from_secs(30);

/// The keeper of one publisher.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    config: KafkaConfig,
    context: OpenContext,
    runtime: Handle,
    bell: Receiver<()>,
    /// The properties of the lines that stand.
    properties: Option<ClientConfig>,
    /// The last line's number.
    generation: u32,
    clerk: Option<(Clerk, Instant)>,
    limits_asked: Instant,
    /// No line is built before: one that dies at once without a culprit would be built in a circle.
    build_after: Instant,
}

// === impl Keeper ===

impl Keeper {
    /// A keeper; [`Keeper::run`] is its thread.
    pub(super) fn new(shared: Arc<Shared>, bell: Receiver<()>, settings: (KafkaConfig, OpenContext)) -> Self {
        Self {
            shared,
            config: settings.0,
            context: settings.1,
            runtime: Handle::current(),
            bell,
            properties: None,
            generation: 0,
            clerk: None,
            limits_asked: now(),
            build_after: now(),
        }
    }

    /// Keeps until told to stop.
    pub(super) fn run(mut self) {
        loop {
            match self.bell.recv_timeout(TICK) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.shared.stopped() {
                return;
            }
            self.round();
        }
    }

    /// Everything that may be due. The order matters: bury before building, learn before sending.
    pub(super) fn round(&mut self) {
        let now = now();
        self.shared.traffic().now = now;
        self.bury();
        self.renew_login();
        self.build(Way::Main);
        self.look_up(now);
        self.read_limits(now);
        self.build(Way::Main);
        if self.shared.traffic().wants_ward() {
            self.build(Way::Ward);
        }
        self.shared.traffic().pump();
        // A topic on probation sends by the ward, and only pumping shows that.
        if self.shared.traffic().wants_ward() {
            self.build(Way::Ward);
            self.shared.traffic().pump();
        }
        self.watch(now);
        self.shared.reports.arrived.notify_one();
    }

    /// Winds up the lines that died, and forgets those that have reported everything.
    fn bury(&mut self) {
        let retiring: Vec<_> = {
            let mut traffic = self.shared.traffic();
            let lines: Vec<_> = [&traffic.main.line, &traffic.ward.line]
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            for line in lines {
                if let Some(code) = line.died_of() {
                    traffic.retire(line.generation, true);
                    if code != Code::GaplessGuarantee {
                        self.build_after = now() + TICK;
                    }
                    self.refused(code);
                }
            }
            traffic.settle(&self.shared.reports);
            let lines = traffic.retiring.iter();
            lines.map(|one| (Arc::clone(&one.line), one.since, one.dead)).collect()
        };
        for (line, since, dead) in retiring {
            let late = dead && now().saturating_duration_since(since) > LAST_REPORTS;
            // Purging first: a flush alone may wait for ever on a line that died.
            let done = dead && line.wind_up(TICK / 2);
            if late && !done {
                line.abandon();
            }
            let mut traffic = self.shared.traffic();
            traffic.settle(&self.shared.reports);
            if late || !traffic.carries(line.generation) {
                let nobody_to_blame = traffic.give_up(line.generation) && dead;
                drop(traffic);
                self.shared.buried(&line, nobody_to_blame);
            }
        }
    }

    /// A password may have been changed in its file: new lines with the new one.
    fn renew_login(&mut self) {
        let refused =
            matches!(self.shared.reports.health(), Health::Away(failure) if failure.kind == FailureKind::Destination);
        let Some(used) = self.properties.as_ref().filter(|_| refused) else {
            return;
        };
        let fresh = properties::client(&self.config, &self.context);
        if fresh.is_ok_and(|fresh| properties::login(&fresh) != properties::login(used)) {
            self.clerk = None;
            let mut traffic = self.shared.traffic();
            let lines: Vec<_> = [&traffic.main.line, &traffic.ward.line]
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            for line in lines {
                traffic.retire(line.generation, true);
            }
            drop(traffic);
            self.bury();
        }
    }

    /// Builds a line where one is missing.
    fn build(&mut self, way: Way) {
        if now() < self.build_after {
            return;
        }
        let tuning = {
            let traffic = self.shared.traffic();
            let tuning = Tuning {
                batch_bytes: traffic.topics.batch_bytes(),
                alone: way == Way::Ward,
            };
            let line = match way {
                Way::Main => &traffic.main.line,
                Way::Ward => &traffic.ward.line,
            };
            match line {
                Some(_) => return,
                None => tuning,
            }
        };
        match self.open(tuning) {
            Ok(line) => {
                let mut traffic = self.shared.traffic();
                match way {
                    // Closed while it was built: what is closed sends nothing.
                    _ if traffic.closed => {}
                    Way::Main => traffic.main.line = Some(line),
                    Way::Ward => traffic.ward.line = Some(line),
                }
            }
            Err(failure) => self.shared.reports.set_health(Health::Away(Arc::new(failure))),
        }
    }

    fn open(&mut self, tuning: Tuning) -> Result<Arc<Line>, Failure> {
        let client = properties::client(&self.config, &self.context)?;
        self.generation += 1;
        let ear = Listener(Arc::clone(&self.shared.reports));
        let producer = properties::producer(&client, &self.context, tuning);
        let line = Line::open(self.generation, (&producer, tuning), ear);
        self.properties = Some(client);
        line.map(Arc::new).map_err(|error| refused_settings(&error.to_string()))
    }

    /// Looks up the topics that messages wait for, and those that were used and not asked about for a while.
    fn look_up(&mut self, now: Instant) {
        let (line, names) = {
            let mut traffic = self.shared.traffic();
            let Some(line) = traffic.main.line.clone() else {
                return;
            };
            let mut names: Vec<Box<str>> = traffic.waiting.keys().cloned().collect();
            for topic in traffic.topics.iter_mut() {
                if topic.used && now.saturating_duration_since(topic.asked) >= ASK_AGAIN {
                    names.push((*topic.name).into());
                }
            }
            (line, names)
        };
        let mut fresh = Vec::new();
        let mut answered = Vec::new();
        for name in names {
            let answer = line.look_up(&name, PATIENCE);
            let silent = answer.is_err();
            if matches!(answer, Ok(Seen::Partitions(_))) && self.shared.traffic().topics.find(&name).is_none() {
                fresh.push(name.to_string());
            }
            answered.push((name, answer));
            // Nobody answers: the others would only wait as long.
            if silent || self.shared.stopped() {
                break;
            }
        }
        let limits = self.ask_limits(&fresh);
        let mut traffic = self.shared.traffic();
        for (name, answer) in answered {
            let limit = limits
                .iter()
                .find(|(topic, _)| **topic == *name)
                .map(|(_, limit)| *limit);
            self.learn(&mut traffic, &name, (answer, limit));
        }
    }

    fn learn(&self, traffic: &mut Traffic, name: &str, (answer, limit): (Result<Seen, Code>, Option<u64>)) {
        let now = traffic.now;
        match answer {
            Ok(Seen::Partitions(count)) => {
                self.shared.reports.set_health(Health::Up);
                let topic = traffic.topics.saw(name, count, now);
                if let Some(limit) = limit {
                    traffic.topics.get(topic).takes(limit, now);
                }
                traffic.fit();
                traffic.resume(name, None);
            }
            Ok(Seen::Refused(code)) => {
                self.shared.reports.set_health(Health::Up);
                if code != Code::TopicAuthorizationFailed {
                    traffic.topics.forget(name);
                }
                let failure = failure::refused(code, name, failure::Company::Alone);
                traffic.resume(name, Some(&Arc::new(failure)));
            }
            Err(code) => {
                // A topic that is being made has no leader yet, and that was an answer.
                if code != Code::LeaderNotAvailable {
                    self.unanswered(code);
                }
                let stall = self.context.stall;
                let late = |since: Instant| now.saturating_duration_since(since) >= stall;
                let overdue: Vec<Box<str>> = traffic
                    .waiting
                    .iter()
                    .filter(|(_, waiting)| late(waiting.since))
                    .map(|(name, _)| name.clone())
                    .collect();
                for name in overdue {
                    traffic.resume(&name, Some(&Arc::new(traffic::unseen(&name, code, stall))));
                }
            }
        }
    }

    /// Reads all limits again now and then, and at once when one has refused a batch.
    fn read_limits(&mut self, now: Instant) {
        let (names, undecided) = {
            let traffic = self.shared.traffic();
            (traffic.topics.names(), !traffic.undecided.is_empty())
        };
        if undecided || now.saturating_duration_since(self.limits_asked) >= LIMITS_AGAIN {
            self.limits_asked = now;
            let limits = self.ask_limits(&names);
            let mut traffic = self.shared.traffic();
            for (name, limit) in limits {
                if let Some(topic) = traffic.topics.find(&name) {
                    traffic.topics.get(topic).takes(limit, now);
                }
            }
            traffic.fit();
            traffic.decide();
        }
        if let Some((_, used)) = &self.clerk
            && now.saturating_duration_since(*used) >= CLERK_IDLE
        {
            self.clerk = None;
        }
    }

    /// The limits of those topics whose configuration may be seen.
    fn ask_limits(&mut self, names: &[String]) -> Vec<(String, u64)> {
        let (false, Some(properties)) = (names.is_empty(), &self.properties) else {
            return Vec::new();
        };
        if self.clerk.is_none() {
            self.clerk = Clerk::open(properties).ok().map(|clerk| (clerk, now()));
        }
        let Some((clerk, used)) = &mut self.clerk else {
            return Vec::new();
        };
        *used = now();
        let configs = self.runtime.block_on(clerk.ask(names, PATIENCE)).into_iter();
        configs
            .filter_map(|config| Some((config.limit()?, config.topic)))
            .map(|(limit, topic)| (topic, limit))
            .collect()
    }

    /// Notices silence, and listens for a broker that was away.
    fn watch(&mut self, now: Instant) {
        let (silent, line, topic) = {
            let mut traffic = self.shared.traffic();
            traffic.settle(&self.shared.reports);
            let silent = traffic.topics.watch(now, self.context.stall);
            let topic = traffic.topics.names().into_iter().next();
            (silent, traffic.main.line.clone(), topic)
        };
        self.shared.set_silent(silent);
        let doubt = self.shared.reports.take_doubt() || self.shared.reports.health() != Health::Up;
        let Some(line) = line.filter(|_| doubt) else {
            return;
        };
        match line.look_up(topic.as_deref().unwrap_or(NOBODY), TICK) {
            Ok(_) => self.shared.reports.set_health(Health::Up),
            Err(code) => self.unanswered(code),
        }
    }

    /// A question was not answered: nobody is there, unless something worse was heard before.
    fn unanswered(&self, code: Code) {
        if self.shared.reports.health() == Health::Up {
            let away = failure::away(code, "a question for metadata was not answered");
            self.shared.reports.set_health(Health::Away(Arc::new(away)));
        }
        self.refused(code);
    }

    fn refused(&self, code: Code) {
        if Mark::of(code) == Mark::Backend {
            let away = failure::away(code, "the cluster's own words");
            self.shared.reports.set_health(Health::Away(Arc::new(away)));
        }
    }
}

fn refused_settings(error: &str) -> Failure {
    Failure::new(
        FailureKind::Destination,
        "Settings",
        "librdkafka refuses the settings; check `tls` and `options`",
    )
    .with_chain(vec![error.to_owned()])
}

/// The only clock of this adapter.
#[expect(clippy::disallowed_methods, reason = "this is where the clock enters")]
pub(super) fn now() -> Instant {
    Instant::now()
}
