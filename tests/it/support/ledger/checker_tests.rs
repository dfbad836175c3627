//! The checker's own tests: a faithful log is clean, and whatever is planted in it is named by id.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

/// What one run looked like: truth, and the log a faithful relay leaves.
#[derive(Debug, Clone)]
struct Run {
    truth: Vec<Truth>,
    seen: Vec<Seen>,
}

impl Run {
    fn check(&self, letters: &[Letter]) -> Verdict {
        check(&self.truth, &self.seen, letters)
    }

    fn occurrence_of(&self, id: Uuid) -> usize {
        self.seen
            .iter()
            .position(|record| record.id == Some(id))
            .expect("every row was seen")
    }
}

/// Rows of up to six keys (one of them empty) and keyless ones over two topics, in any interleaving.
fn run() -> impl Strategy<Value = Run> {
    prop::collection::vec((0_u8..7, 0_u8..2), 2..60).prop_map(|picks| {
        let mut kseqs: HashMap<(u8, u8), i64> = HashMap::new();
        let mut offsets: HashMap<(String, i32), i64> = HashMap::new();
        let mut run = Run {
            truth: Vec::new(),
            seen: Vec::new(),
        };
        for (at, (key, topic)) in picks.into_iter().enumerate() {
            let kseq = kseqs.entry((key, topic)).or_insert(0);
            *kseq += 1;
            let row = Truth {
                id: Uuid::from_u128(at as u128 + 1),
                key: (key < 6).then(|| "k".repeat(usize::from(key))),
                kseq: *kseq,
                topic: format!("topic-{topic}"),
                fingerprint: format!("bytes {at}"),
            };
            let partition = i32::from(key % 3);
            let offset = offsets.entry((row.topic.clone(), partition)).or_insert(-1);
            *offset += 1;
            run.seen.push(Seen {
                id: Some(row.id),
                topic: row.topic.clone(),
                partition,
                offset: *offset,
                fingerprint: row.fingerprint.clone(),
                position: Some((1, 0, at as u64 + 1)),
                at_ms: *offset,
            });
            run.truth.push(row);
        }
        run
    })
}

/// Two rows of one lane, the earlier first, if the run has such a pair.
fn pair(run: &Run, pick: Index) -> Option<(usize, usize)> {
    let mut pairs = Vec::new();
    for (early, first) in run.truth.iter().enumerate().filter(|(_, row)| row.key.is_some()) {
        let same = |row: &Truth| row.key == first.key && row.topic == first.topic;
        pairs.extend(
            (early + 1..run.truth.len())
                .filter(|at| same(&run.truth[*at]))
                .map(|late| (early, late)),
        );
    }
    (!pairs.is_empty()).then(|| pairs[pick.index(pairs.len())])
}

proptest! {
    #[test]
    fn a_faithful_log_is_clean(run in run()) {
        let verdict = run.check(&[]);
        prop_assert!(verdict.is_clean(), "{verdict}");
        prop_assert_eq!(verdict.duplicates, Vec::<Uuid>::new());
        prop_assert_eq!(verdict.seen, run.truth.len());
    }

    #[test]
    fn a_lost_row_is_named(mut run in run(), pick: Index) {
        let id = run.truth[pick.index(run.truth.len())].id;
        run.seen.retain(|record| record.id != Some(id));
        prop_assert_eq!(run.check(&[]).lost, vec![id]);
    }

    #[test]
    fn b39_a_key_that_is_missing_altogether_is_named(mut run in run(), pick: Index) {
        let key = run.truth[pick.index(run.truth.len())].key.clone();
        let ids: Vec<Uuid> = run.truth.iter().filter(|row| row.key == key).map(|row| row.id).collect();
        run.seen.retain(|record| !ids.contains(&record.id.expect("all have one")));
        prop_assert_eq!(run.check(&[]).lost, ids);
    }

    #[test]
    fn a_phantom_is_named(mut run in run(), pick: Index) {
        let gone = run.truth.remove(pick.index(run.truth.len()));
        let at = run.occurrence_of(gone.id);
        prop_assert_eq!(run.check(&[]).phantom, vec![place(&run.seen[at])]);
    }

    #[test]
    fn a_record_without_an_id_is_a_phantom_and_its_row_is_lost(mut run in run(), pick: Index) {
        let at = pick.index(run.seen.len());
        let id = run.seen[at].id.take().expect("all have one");
        let verdict = run.check(&[]);
        prop_assert_eq!(verdict.lost, vec![id]);
        prop_assert_eq!(verdict.phantom.len(), 1);
    }

    #[test]
    fn a_swap_within_a_key_is_named(mut run in run(), pick: Index) {
        let Some((early, late)) = pair(&run, pick) else { return Ok(()) };
        let (first, second) = (run.occurrence_of(run.truth[early].id), run.occurrence_of(run.truth[late].id));
        let places = (run.seen[first].offset, run.seen[second].offset);
        (run.seen[first].offset, run.seen[second].offset) = (places.1, places.0);
        let verdict = run.check(&[]);
        prop_assert!(verdict.reordered.contains(&run.truth[early].id), "{verdict}");
        prop_assert!(!verdict.misplaced.is_empty(), "{verdict}");
    }

    #[test]
    fn a_duplicate_is_counted_and_is_no_reorder(mut run in run(), pick: Index) {
        let mut again = run.seen[pick.index(run.seen.len())].clone();
        again.offset = 1_000;
        run.seen.push(again.clone());
        let verdict = run.check(&[]);
        prop_assert!(verdict.is_clean(), "{verdict}");
        prop_assert_eq!(verdict.duplicates, vec![again.id.expect("all have one")]);
    }

    #[test]
    fn a_duplicate_under_another_position_is_named(mut run in run(), pick: Index) {
        let mut again = run.seen[pick.index(run.seen.len())].clone();
        again.offset = 1_000;
        again.position = Some((2, 0, 0));
        let id = again.id.expect("all have one");
        run.seen.push(again);
        prop_assert_eq!(run.check(&[]).misplaced, vec![id]);
    }

    #[test]
    fn a_changed_byte_and_a_wrong_topic_are_named(mut run in run(), pick: Index, topic: bool) {
        let at = pick.index(run.seen.len());
        if topic {
            run.seen[at].topic = "elsewhere".into();
        } else {
            run.seen[at].fingerprint.push('!');
        }
        prop_assert_eq!(run.check(&[]).wrong_bytes, vec![run.seen[at].id.expect("all have one")]);
    }

    #[test]
    fn a_key_in_two_partitions_is_named(mut run in run(), pick: Index) {
        let Some((_, late)) = pair(&run, pick) else { return Ok(()) };
        let at = run.occurrence_of(run.truth[late].id);
        run.seen[at].partition = 7;
        prop_assert_eq!(run.check(&[]).scattered.len(), 1);
    }

    #[test]
    fn a_missing_position_is_named(mut run in run(), pick: Index) {
        let at = pick.index(run.seen.len());
        run.seen[at].position = None;
        prop_assert_eq!(run.check(&[]).misplaced, vec![run.seen[at].id.expect("all have one")]);
    }

    #[test]
    fn an_open_letter_excuses_its_row_and_blocks_its_key(mut run in run(), pick: Index) {
        let Some((early, late)) = pair(&run, pick) else { return Ok(()) };
        let (head, behind) = (run.truth[early].clone(), run.truth[late].clone());
        run.seen.retain(|record| record.id != Some(head.id));
        let verdict = run.check(&[Letter { id: head.id, state: LetterState::Open }]);
        prop_assert!(verdict.lost.is_empty());
        prop_assert!(verdict.reordered.contains(&behind.id), "{verdict}");

        let closed = run.check(&[Letter { id: head.id, state: LetterState::Closed }]);
        prop_assert!(closed.is_clean(), "{closed}");
        let delivered = run.check(&[Letter { id: head.id, state: LetterState::Delivered }]);
        prop_assert_eq!(delivered.lost, vec![head.id]);
    }
}

#[test]
fn the_verdict_prints_counts_and_examples() {
    let row = Truth {
        id: Uuid::from_u128(7),
        key: Some("a".into()),
        kseq: 1,
        topic: "t".into(),
        fingerprint: "f".into(),
    };
    let text = check(&[row], &[], &[]).to_string();
    assert!(text.starts_with("committed 1 seen 0 lost 1 "), "{text}");
    assert!(text.ends_with("lost: 00000000-0000-0000-0000-000000000007"), "{text}");
}
