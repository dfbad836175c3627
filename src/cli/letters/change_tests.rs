//! Releasing and discarding, with a desk of paper.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::cli::console::Output;
use crate::cli::console::tests::console;
use crate::contract::Boxed;
use crate::delivery::Failure;
use crate::operate::letters::{Detail, Entry, ErrorCount};

/// So many open letters; what is released stays open for so many more looks.
struct Paper {
    open: AtomicU64,
    looks: AtomicU64,
    changes: Mutex<Vec<Change>>,
}

impl Paper {
    fn with(open: u64, looks: u64) -> Self {
        Self {
            open: open.into(),
            looks: looks.into(),
            changes: Mutex::default(),
        }
    }

    fn changes(&self) -> Vec<Change> {
        self.changes.lock().unwrap().clone()
    }
}

impl Desk for Paper {
    fn count(&self, _: Verb, _: Selection) -> Boxed<'_, Result<Count, Failure>> {
        if !self.changes.lock().unwrap().is_empty() && self.looks.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.open.store(0, Ordering::Relaxed);
        }
        let letters = self.open.load(Ordering::Relaxed);
        let error = "message:MessageSizeTooLarge".to_owned();
        let count = Count {
            letters,
            lanes: letters.min(1),
            errors: vec![ErrorCount { error, letters }],
        };
        Box::pin(async { Ok(count) })
    }

    fn apply(&self, change: Change) -> Boxed<'_, Result<Count, Failure>> {
        self.changes.lock().unwrap().push(change);
        let letters = self.open.load(Ordering::Relaxed);
        let done = Count {
            letters,
            lanes: 1,
            errors: Vec::new(),
        };
        Box::pin(async { Ok(done) })
    }

    fn list(&self, _: Selection, _: u32) -> Boxed<'_, Result<Vec<Entry>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn show(&self, _: i64) -> Boxed<'_, Result<Option<Detail>, Failure>> {
        Box::pin(async { Ok(None) })
    }
}

fn all(yes: bool) -> Asked {
    let which = Which {
        all: true,
        ..Which::default()
    };
    Asked {
        which,
        yes,
        ..Asked::default()
    }
}

fn released(asked: Asked) -> Release {
    Release {
        asked,
        ..Release::default()
    }
}

#[tokio::test]
async fn nothing_selected_is_a_usage_error() {
    let (mut console, ..) = console(Output::Table, None);
    let paper = Paper::with(3, 0);
    let stop = release(Release::default(), (&paper, &mut console)).await.unwrap_err();
    assert_eq!(stop.exit, Exit::Usage);
}

#[tokio::test]
async fn off_a_terminal_it_takes_a_yes() {
    let paper = Paper::with(3, 0);
    let (mut piped, _, words) = console(Output::Table, None);
    let stop = release(released(all(false)), (&paper, &mut piped)).await.unwrap_err();
    assert_eq!(stop.exit, Exit::Usage);
    assert!(
        words.text().contains("release would touch 3 letters of 1 key"),
        "{}",
        words.text()
    );
    let (mut no, ..) = console(Output::Table, Some("n\n"));
    let stop = release(released(all(false)), (&paper, &mut no)).await.unwrap_err();
    assert_eq!(stop.exit, Exit::Failure);
    assert_eq!(paper.changes(), [], "nobody agreed");

    let (mut yes, out, _) = console(Output::Table, Some("y\n"));
    let exit = release(released(all(false)), (&paper, &mut yes)).await.unwrap();
    assert_eq!(exit, Exit::Ok);
    assert_eq!(out.text(), "released 3 letters of 1 key\n");
    assert_eq!(paper.changes().len(), 1);
}

#[tokio::test]
async fn a_dry_run_moves_nothing() {
    let paper = Paper::with(3, 0);
    let (mut console, out, _) = console(Output::Json, None);
    let asked = Asked {
        dry_run: true,
        ..all(false)
    };
    let arguments = Discard { asked };
    assert_eq!(discard(arguments, (&paper, &mut console)).await.unwrap(), Exit::Ok);
    let told: serde_json::Value = serde_json::from_str(&out.text()).unwrap();
    assert_eq!(
        (told["dry_run"].clone(), told["letters"].clone()),
        (json!(true), json!(3))
    );
    assert_eq!(paper.changes(), []);
}

#[tokio::test]
async fn nothing_that_matches_is_a_failure() {
    let paper = Paper::with(0, 0);
    let (mut console, ..) = console(Output::Table, None);
    let stop = release(released(all(false)), (&paper, &mut console)).await.unwrap_err();
    assert_eq!(
        (stop.exit, stop.sentence.as_str()),
        (Exit::Failure, "no open letter matches")
    );
}

#[tokio::test]
async fn waiting_ends_with_the_last_letter_or_with_the_time() {
    let wait = |wait| Release {
        wait: Some(wait),
        rate: Some(50),
        asked: Asked {
            reason: Some("fixed".to_owned()),
            ..all(true)
        },
    };
    let paper = Paper::with(3, 2);
    let (mut words, _, err) = console(Output::Table, None);
    let exit = release(wait(Duration::from_secs(30)), (&paper, &mut words))
        .await
        .unwrap();
    assert_eq!(exit, Exit::Ok);
    assert!(err.text().ends_with("delivered 3 letters of 1 key\n"), "{}", err.text());
    let change = &paper.changes()[0];
    assert_eq!((change.reason.as_deref(), change.rate), (Some("fixed"), Some(50)));

    let stuck = Paper::with(3, u64::MAX);
    let stop = release(wait(Duration::from_millis(10)), (&stuck, &mut words)).await;
    assert_eq!(stop.unwrap_err().exit, Exit::Partial);
}

#[test]
fn a_rate_has_its_unit() {
    assert_eq!(rate("100/s"), Ok(100));
    for wrong in ["100", "0/s", "-1/s", "1/m", ""] {
        assert!(rate(wrong).is_err(), "{wrong}");
    }
}
