//! What a person sees of the demo: live bars on a terminal, plain lines in a log file.

use std::collections::BTreeMap;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::verdict::Seen;
use super::workload;

/// One line per order, or none when nobody looks.
#[derive(Debug)]
pub(super) struct View {
    began: Instant,
    live: Option<(MultiProgress, Vec<ProgressBar>)>,
    quiet: bool,
}

// === impl View ===

impl View {
    /// A view that began at `began`; `live` on a terminal; `quiet` leaves the verdict alone.
    pub(super) fn new(began: Instant, live: bool, quiet: bool) -> Self {
        let bars = (live && !quiet).then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("  {prefix:8} {bar:40.green/dim} {pos:>3} of {len:3} {msg}");
            let style = style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━╸─");
            let bars = (0..workload::KEYS).map(|index| {
                let bar = all.add(ProgressBar::new(0).with_style(style.clone()));
                bar.set_prefix(workload::key(index));
                bar
            });
            let bars = bars.collect();
            (all, bars)
        });
        Self {
            began,
            live: bars,
            quiet,
        }
    }

    /// Something happened that a person should notice.
    pub(super) fn say(&self, what: &str) {
        let line = format!("{:6.2} s  {what}", self.began.elapsed().as_secs_f64());
        match &self.live {
            Some((bars, _)) => {
                // A terminal that is gone has nobody to tell.
                let _ = bars.println(line);
            }
            None if self.quiet => {}
            None => write_line(&line),
        }
    }

    /// How far each order is: committed events, and those that the reader has.
    pub(super) fn progress(&self, committed: &BTreeMap<String, u64>, seen: &[Seen], parked: Option<&str>) {
        let Some((_, bars)) = &self.live else { return };
        let mut read: BTreeMap<&str, u64> = BTreeMap::new();
        for record in seen {
            *read.entry(record.key.as_str()).or_default() += 1;
        }
        for (index, bar) in (0..workload::KEYS).zip(bars) {
            let key = workload::key(index);
            bar.set_length(committed.get(&key).copied().unwrap_or_default());
            bar.set_position(read.get(key.as_str()).copied().unwrap_or_default());
            bar.set_message(if parked == Some(key.as_str()) { "parked" } else { "" });
        }
    }

    /// Leaves the last picture on the screen.
    pub(super) fn end(&self) {
        for bar in self.live.iter().flat_map(|(_, bars)| bars) {
            bar.abandon();
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the demo's progress belongs on stderr, its verdict on stdout"
)]
fn write_line(line: &str) {
    eprintln!("{line}");
}
