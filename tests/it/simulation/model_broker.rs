//! A broker: logs of destinations, partitions that stall, and what becomes of a run, as promised by
//! `contract::Publisher` P1–P6.
//!
//! A run's messages reach the log in its order, up to the first that fails. What failed with an unknown outcome may be
//! there, and may even arrive after its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use twinbox::contract::{Outbound, Receipt};
use twinbox::delivery::{Failure, FailureKind};

use super::clock::{MILLISECOND, SECOND, Time};
use super::faults::{Fault, Faults};
use super::model_source::{LaneKey, ModelSource, Seq};
use crate::support::ledger::dice::Dice;

/// How a destination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Away,
    Misconfigured,
}

/// One message on its way.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    pub(super) outbound: Outbound,
    /// When it reaches the log.
    pub(super) lands: Option<Time>,
    pub(super) answered: Time,
    pub(super) receipt: Receipt,
}

/// A run that waits for its partition's leader.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) process: u32,
    pub(super) partition: (usize, usize),
    pub(super) run: Vec<Outbound>,
}

#[derive(Debug, Default)]
pub(super) struct ModelBroker {
    /// What each destination has, in order.
    pub(super) logs: BTreeMap<String, Vec<Seq>>,
    /// First occurrences, by the row.
    pub(super) first: BTreeSet<Seq>,
    /// Rows that went to a dead-letter destination.
    pub(super) dead: BTreeSet<Seq>,
    pub(super) health: BTreeMap<usize, Health>,
    pub(super) stalled: BTreeSet<(usize, usize)>,
    pub(super) held: Vec<Held>,
}

/// What decides a run's fate.
pub(super) struct Circumstances<'a> {
    pub(super) source: &'a ModelSource,
    pub(super) faults: &'a Faults,
    pub(super) dice: &'a mut Dice,
    pub(super) now: Time,
}

// === impl ModelBroker ===

impl ModelBroker {
    /// Kafka's unit of isolation: a key stays on one of two partitions.
    pub(super) fn partition(lane: LaneKey) -> (usize, usize) {
        (
            lane.topic.unwrap_or(usize::MAX),
            lane.key.unwrap_or(lane.own as usize) % 2,
        )
    }

    pub(super) fn has(&self, seq: Seq) -> bool {
        self.first.contains(&seq)
    }

    /// It is in the log. The flag: for the first time.
    pub(super) fn land(&mut self, destination: &str, seq: Seq) -> bool {
        self.logs.entry(destination.to_owned()).or_default().push(seq);
        if destination.ends_with(".dlq") {
            return self.dead.insert(seq);
        }
        self.first.insert(seq)
    }

    /// What becomes of a run, message by message.
    pub(super) fn fate(&self, run: Vec<Outbound>, around: &mut Circumstances<'_>) -> Vec<Fate> {
        let slow = around.faults.fires(Fault::SlowBroker, 30.0, around.dice);
        let mut lands = around.now + around.dice.between(100, 2_000) as Time;
        let mut stopped: Option<Stopped> = None;
        let mut fates = Vec::new();
        for outbound in run {
            lands += around.dice.between(1, 500) as Time;
            let pause = if slow { 6 * SECOND } else { 8 * MILLISECOND };
            let answered = lands + around.dice.between(1, pause as usize) as Time;
            let outcome = match &stopped {
                Some(_) if around.source.row(outbound.message.position.minor).poison => Outcome::NotAttempted,
                Some(stopped) => stopped.behind(around),
                None => self.outcome(&outbound, around),
            };
            let (landing, receipt) = match outcome {
                Outcome::Durable => (Some(lands), Receipt::Durable),
                Outcome::Failed(failure) => (None, Receipt::Failed(failure)),
                Outcome::Unknown(failure) => (Some(lands), Receipt::Failed(failure)),
                Outcome::Late(failure) => {
                    lands = answered + around.dice.between(1, 400_000) as Time;
                    (Some(lands), Receipt::Failed(failure))
                }
                Outcome::NotAttempted => (None, Receipt::NotAttempted),
            };
            if let Receipt::Failed(failure) = &receipt
                && stopped.is_none()
            {
                stopped = Some(Stopped {
                    landed: landing.is_some(),
                    failure: Arc::clone(failure),
                });
            }
            if landing.is_none()
                && let Some(stopped) = &mut stopped
            {
                stopped.landed = false;
            }
            fates.push(Fate {
                outbound,
                lands: landing,
                answered,
                receipt,
            });
        }
        fates
    }

    fn outcome(&self, outbound: &Outbound, around: &mut Circumstances<'_>) -> Outcome {
        let seq = outbound.message.position.minor;
        let row = around.source.row(seq);
        let dead_letter = outbound.address.destination.to_string().ends_with(".dlq");
        match self.health.get(&row.topic).copied().unwrap_or(Health::Well) {
            Health::Well => {}
            Health::Away => return Outcome::Failed(failure(FailureKind::Unreachable, "Away")),
            Health::Misconfigured => return Outcome::Failed(failure(FailureKind::Destination, "UnknownTopic")),
        }
        if row.poison && !dead_letter {
            return Outcome::Failed(failure(FailureKind::Message, "TooLarge"));
        }
        let kinds = [FailureKind::Transient, FailureKind::Timeout, FailureKind::Unknown];
        let kind = kinds[around.dice.between(0, 2)];
        if around.faults.fires(Fault::Transient, 15.0, around.dice) {
            return Outcome::Failed(failure(kind, "NotEnoughReplicas"));
        }
        if around.faults.fires(Fault::Unknown, 10.0, around.dice) {
            return Outcome::Unknown(failure(FailureKind::Transient, "AnswerLost"));
        }
        if around.faults.fires(Fault::LateLanding, 10.0, around.dice) {
            return Outcome::Late(failure(FailureKind::Timeout, "AnswerLate"));
        }
        Outcome::Durable
    }
}

#[derive(Debug)]
enum Outcome {
    Durable,
    Failed(Arc<Failure>),
    /// It is there; the answer says that it failed.
    Unknown(Arc<Failure>),
    /// It will be there after the answer.
    Late(Arc<Failure>),
    NotAttempted,
}

/// A failure stops its lane (P3).
#[derive(Debug)]
struct Stopped {
    /// All before was sent: what stands behind may have been sent as well.
    landed: bool,
    failure: Arc<Failure>,
}

// === impl Stopped ===

impl Stopped {
    fn behind(&self, around: &mut Circumstances<'_>) -> Outcome {
        match around.dice.between(0, 2) {
            0 if self.landed => Outcome::Unknown(Arc::clone(&self.failure)),
            1 => Outcome::Failed(Arc::clone(&self.failure)),
            _ => Outcome::NotAttempted,
        }
    }
}

pub(super) fn failure(kind: FailureKind, code: &'static str) -> Arc<Failure> {
    Arc::new(Failure::new(kind, code, "as the simulation wants it"))
}
