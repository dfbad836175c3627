//! The three logs of a run as files, one JSON array a line: a verdict can be made again without the servers.
//!
//! `TWINBOX_JUDGE=<directory> cargo test --test it judge_a_stored_run -- --nocapture`

use super::checker::{Letter, LetterState, Seen, Truth, Verdict, check};
use serde_json::{Value, json};
use std::path::Path;
use uuid::Uuid;

/// What a verdict is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Logs {
    pub truth: Vec<Truth>,
    pub seen: Vec<Seen>,
    pub letters: Vec<Letter>,
}

impl Logs {
    #[must_use]
    pub(crate) fn judge(&self) -> Verdict {
        check(&self.truth, &self.seen, &self.letters)
    }

    /// Writes `truth.jsonl`, `seen.jsonl` and `letters.jsonl`.
    pub(crate) fn save(&self, directory: &Path) {
        let truth = self
            .truth
            .iter()
            .map(|row| json!([row.id.to_string(), row.key, row.kseq, row.topic, row.fingerprint]));
        write(directory, "truth.jsonl", truth);
        let seen = self.seen.iter().map(|record| {
            let position = record.position.map(|(epoch, major, minor)| [epoch, major, minor]);
            let id = record.id.map(|id| id.to_string());
            json!([
                id,
                record.topic,
                record.partition,
                record.offset,
                record.fingerprint,
                position,
                record.at_ms
            ])
        });
        write(directory, "seen.jsonl", seen);
        let letters = self
            .letters
            .iter()
            .map(|letter| json!([letter.id.to_string(), format!("{:?}", letter.state)]));
        write(directory, "letters.jsonl", letters);
    }

    /// Reads what [`Logs::save`] wrote.
    #[must_use]
    pub(crate) fn load(directory: &Path) -> Self {
        Self {
            truth: read(directory, "truth.jsonl", truth),
            seen: read(directory, "seen.jsonl", seen),
            letters: read(directory, "letters.jsonl", letter),
        }
    }
}

fn write(directory: &Path, file: &str, lines: impl Iterator<Item = Value>) {
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(directory.join(file), text).expect("the test's directory is writable");
}

fn read<T>(directory: &Path, file: &str, parse: fn(&Value) -> Option<T>) -> Vec<T> {
    let path = directory.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = |line: &str| parse(&serde_json::from_str(line).ok()?);
    text.lines()
        .map(|text| line(text).unwrap_or_else(|| panic!("{}: cannot read {text}", path.display())))
        .collect()
}

fn id(value: &Value) -> Option<Uuid> {
    value.as_str()?.parse().ok()
}

fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn truth(line: &Value) -> Option<Truth> {
    Some(Truth {
        id: id(&line[0])?,
        key: owned(&line[1]),
        kseq: line[2].as_i64()?,
        topic: owned(&line[3])?,
        fingerprint: owned(&line[4])?,
    })
}

fn seen(line: &Value) -> Option<Seen> {
    let part = |at: usize| line[5][at].as_u64();
    Some(Seen {
        id: id(&line[0]),
        topic: owned(&line[1])?,
        partition: i32::try_from(line[2].as_i64()?).ok()?,
        offset: line[3].as_i64()?,
        fingerprint: owned(&line[4])?,
        position: part(0)
            .zip(part(1))
            .zip(part(2))
            .map(|((epoch, major), minor)| (epoch, major, minor)),
        at_ms: line[6].as_i64()?,
    })
}

fn letter(line: &Value) -> Option<Letter> {
    let state = match line[1].as_str()? {
        "Open" => LetterState::Open,
        "Delivered" => LetterState::Delivered,
        "Closed" => LetterState::Closed,
        _ => return None,
    };
    Some(Letter {
        id: id(&line[0])?,
        state,
    })
}

#[test]
fn logs_are_read_as_they_were_written() {
    let row = Truth {
        id: Uuid::from_u128(1),
        key: Some("k\n\"☃".into()),
        kseq: 1,
        topic: "t".into(),
        fingerprint: "f".into(),
    };
    let record = Seen {
        id: Some(row.id),
        topic: "t".into(),
        partition: 2,
        offset: 3,
        fingerprint: "f".into(),
        position: Some((1, u64::MAX, 0)),
        at_ms: -1,
    };
    let states = [LetterState::Open, LetterState::Delivered, LetterState::Closed];
    let logs = Logs {
        truth: vec![
            row.clone(),
            Truth {
                key: None,
                ..row.clone()
            },
        ],
        seen: vec![
            record.clone(),
            Seen {
                id: None,
                position: None,
                ..record
            },
        ],
        letters: states.map(|state| Letter { id: row.id, state }).to_vec(),
    };
    let directory = tempfile::tempdir().expect("a directory");
    logs.save(directory.path());
    assert_eq!(Logs::load(directory.path()), logs);
}

#[test]
fn judge_a_stored_run() {
    let Ok(directory) = std::env::var("TWINBOX_JUDGE") else {
        return;
    };
    let verdict = Logs::load(Path::new(&directory)).judge();
    println!("{verdict}");
    assert!(verdict.is_clean(), "{verdict}");
}
