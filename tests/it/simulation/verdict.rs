//! What must hold when a world is over: nothing lost, nothing stuck, no duplicate without a reason, nothing parked without
//! one.

use twinbox::flow::OnReject;

use super::clock::SECOND;
use super::faults::Fault;
use super::model_source::{Address, Seq};
use super::world::World;

// === impl World ===

impl World {
    /// I1, I2, I6 and who may be parked.
    pub(super) fn judge(&mut self) {
        let committed: Vec<Seq> = self
            .source
            .seqs()
            .filter(|seq| self.source.row(*seq).committed)
            .collect();
        for seq in &committed {
            let safe = self.broker.has(*seq) || self.broker.dead.contains(seq) || self.letters.of(*seq).is_some();
            if !safe {
                self.violate(format!("I1: {seq} is lost"));
            }
        }
        self.judge_letters();
        self.judge_duplicates();
    }

    /// Called when a healed world is not quiet in time.
    pub(super) fn judge_stuck(&mut self) {
        let stuck: Vec<Seq> = self.source.would_come_again().take(10).collect();
        let due: Vec<_> = self
            .letters
            .lanes
            .iter()
            .filter(|(_, lane)| lane.due.is_some())
            .collect();
        let sentence = format!(
            "I2: {} s after all healed {} rows are unread, {stuck:?} are unsettled, {due:?} are due",
            (self.now - self.healed_at.unwrap_or_default()) / SECOND,
            self.source.waiting().count(),
        );
        self.violate(sentence);
    }

    /// G6: at the end a lane is blocked only by a message that cannot pass, or by a person.
    fn judge_letters(&mut self) {
        let lanes: Vec<_> = self.letters.lanes.keys().cloned().collect();
        for lane in lanes {
            let Some((_, head)) = self.letters.open(&lane, &self.source).first().copied() else {
                self.violate(format!("S1: {lane:?} is blocked and has no letter"));
                continue;
            };
            let row = self.source.row(head);
            let reason = row.poison || row.address == Address::Missing || row.body > self.shape.bytes / 2;
            let faults = [
                Fault::Transient,
                Fault::Unknown,
                Fault::LateLanding,
                Fault::Releases,
                // Whoever drops a head leaves what stood behind it where it is.
                Fault::Discards,
            ];
            if !reason && !self.faults.any(&faults) {
                self.violate(format!("G6: {lane:?} is blocked at {head} without a reason"));
            }
        }
        let open = self.letters.letters.values().filter(|letter| letter.closed.is_none());
        for seq in open.map(|letter| letter.seq).collect::<Vec<_>>() {
            let lane = &self.letters.of(seq).expect("just listed").lane;
            if !self.letters.lanes.contains_key(lane) {
                self.violate(format!("P1: the letter of {seq} is open and its lane is not blocked"));
            }
        }
    }

    /// I6: duplicates come from lost memories and from unknown outcomes, and from nothing else.
    fn judge_duplicates(&mut self) {
        let unknown = [
            Fault::Unknown,
            Fault::LateLanding,
            Fault::ConfirmFails,
            Fault::DeskFails,
            Fault::Stalls,
        ];
        let duplicates = self.figures.duplicates;
        if !self.faults.any(&unknown) && duplicates > self.figures.excused {
            let sentence = format!("I6: {duplicates} duplicates, {} have a reason", self.figures.excused);
            self.violate(sentence);
        }
        if self.faults.is_empty() && (duplicates > 0 || !self.letters.letters.is_empty()) {
            self.violate(format!(
                "I6: {duplicates} duplicates or letters in a world without faults"
            ));
        }
        if self.shape.on_reject != OnReject::DeadLetter && !self.broker.dead.is_empty() {
            self.violate("dead letters were sent and not asked for".to_owned());
        }
    }
}
