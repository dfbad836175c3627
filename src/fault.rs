//! Crash points: named places in the shells where a test can end, freeze or delay the process.
//!
//! Compiled only with the feature `faults`; without it [`point!`](crate::point) is nothing at all. What happens where is
//! read once from `TWINBOX_FAULT`, a comma-separated list of `POINT=ACTION@HIT`: the action happens at that hit, counted
//! from 1. Every hit of an armed point is noted in the file `TWINBOX_FAULT_LOG`, so that a sweep can prove that it hit.

/// Reaches a crash point.
#[macro_export]
macro_rules! point {
    ($name:literal) => {
        #[cfg(feature = "faults")]
        $crate::fault::reached($name);
    };
}

/// The crash points of the relay, with their numbers; a sweep goes through all of them.
pub const POINTS: &[(&str, &str)] = &[
    ("KR01", "lease.acquired"),
    ("KR02", "cursor.loaded"),
    ("KR03", "window.found"),
    ("KR04", "epoch.bumped"),
    ("KR05", "window.unwritten"),
    ("KR06", "window.written"),
    ("KR07", "page.read"),
    ("KR08", "lanes.filled"),
    ("KR09", "run.handed_over"),
    ("KR10", "batch.partly_sent"),
    ("KR11", "batch.sent"),
    ("KR12", "ack.received"),
    ("KR13", "receipts.applied"),
    ("KR14", "lane.rested"),
    ("KR15", "lane.row_written"),
    ("KR16", "lane.stored"),
    ("KR17", "successors.appended"),
    ("KR18", "watermark.up"),
    ("KR19", "cursor.writing"),
    ("KR20", "cursor.written"),
    ("KR21", "window.next"),
    ("KR22", "retention.before"),
    ("KR23", "retention.middle"),
    ("KR24", "partition.detached"),
    ("KR25", "partition.dropped"),
    ("KR26", "lease.renewing"),
    ("KR27", "lease.not_renewed"),
    ("KR28", "lease.lost"),
    ("KR29", "lease.resigned"),
    ("KR44", "drain.begun"),
    ("KR45", "drain.deadline"),
    ("KR46", "drain.confirmed"),
    ("KR47", "telemetry.flushing"),
];

/// The crash points of a consumer whose handler is a function, without those of its transactions. KC37 to KC41 speak of other
/// brokers than Kafka.
pub const CONSUMER_POINTS: &[(&str, &str)] = &[
    ("KC01", "assigned"),
    ("KC02", "position.read"),
    ("KC02", "position.sought"),
    ("KC03", "consumer.fetched"),
    ("KC04", "claim.moved"),
    ("KC11", "answers.read"),
    ("KC12", "offset.unsent"),
    ("KC13", "offset.sent"),
    ("KC14", "offset.committed"),
    ("KC24", "consumer.lane.rested"),
    ("KC25", "lane.stored"),
    ("KC26", "lane.picked"),
    ("KC27", "letters.unclosed"),
    ("KC28", "lane.row_written"),
    ("KC29", "successors.appended"),
    ("KC30", "dead.unpublished"),
    ("KC31", "dead.published"),
    ("KC32", "revoke.received"),
    ("KC33", "revoke.drained"),
    ("KC34", "revoke.committed"),
    ("KC35", "stream.lost"),
    ("KC36", "completion.late"),
    ("KC42", "consumer.drain.begun"),
    ("KC43", "consumer.drained"),
    ("KC44", "group.leaving"),
    ("KC45", "group.left"),
    ("KC46", "generation.dropped"),
    ("KC47", "position.behind"),
];

/// The crash points of the transaction in which a consumer's effects become durable.
pub const EFFECT_POINTS: &[(&str, &str)] = &[
    ("KC05", "effect.begun"),
    ("KC06", "effect.remembered"),
    ("KC07", "effect.between_calls"),
    ("KC08", "effect.called"),
    ("KC09", "effect.positioned"),
    ("KC10", "effect.committed"),
    ("KC15", "effect.rolled_back"),
    ("KC16", "effect.part_committed"),
];

/// The crash points of a call over HTTP: `claim` has KC17 to KC20, `verify` KC17, KC18 and KC21 to KC23.
pub const CALL_POINTS: &[(&str, &str)] = &[
    ("KC17", "ids.asked"),
    ("KC18", "call.sent"),
    ("KC19", "call.answered"),
    ("KC20", "ids.recorded"),
    ("KC21", "call.unverified"),
    ("KC22", "row.unseen"),
    ("KC23", "row.verified"),
];

#[cfg(feature = "faults")]
mod armed {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// How long a frozen process sleeps: past any lease of a test.
    const FREEZE: Duration = Duration::from_secs(20);
    const DELAY: Duration = Duration::from_secs(2);
    /// How long a loop hangs: past what liveness allows.
    const STALL: Duration = Duration::from_secs(60);

    struct Armed {
        name: String,
        action: String,
        at: u64,
        hits: AtomicU64,
    }

    static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();

    /// A crash point was reached.
    pub fn reached(name: &str) {
        for armed in ARMED.get_or_init(read).iter().filter(|armed| armed.name == name) {
            let hit = armed.hits.fetch_add(1, Ordering::Relaxed) + 1;
            if hit == armed.at {
                note(name);
                act(&armed.action);
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "faults are armed from outside, for test builds only"
    )]
    fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read() -> Vec<Armed> {
        let plan = variable("TWINBOX_FAULT").unwrap_or_default();
        plan.split(',').filter_map(parse).collect()
    }

    fn parse(entry: &str) -> Option<Armed> {
        let (name, rest) = entry.split_once('=')?;
        let (action, at) = rest.split_once('@').unwrap_or((rest, "1"));
        let at = at.parse().ok()?;
        Some(Armed {
            name: name.to_owned(),
            action: action.to_owned(),
            at,
            hits: AtomicU64::new(0),
        })
    }

    fn note(name: &str) {
        let Some(path) = variable("TWINBOX_FAULT_LOG") else {
            return;
        };
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
            // A hit that cannot be noted makes the sweep fail, which is what should be seen.
            let _ = writeln!(file, "{name}");
        }
    }

    #[expect(clippy::disallowed_methods, clippy::panic, reason = "these are the faults")]
    fn act(action: &str) {
        match action {
            "panic" => panic!("a planted panic"),
            "freeze" => std::thread::sleep(FREEZE),
            "delay" => std::thread::sleep(DELAY),
            "stall" => std::thread::sleep(STALL),
            _ => std::process::abort(),
        }
    }
}

#[cfg(feature = "faults")]
pub use armed::reached;
