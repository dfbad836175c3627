//! The thread that tells the broker what is settled, once a second, and at once when somebody waits for it.
//!
//! Promises: only marks of streams that are ours; a mark counts as told when the broker has said so, and is told again until
//! then.
//!
//! # Why a thread
//!
//! `rdkafka` 0.39 hears no answer to a commit that it does not wait for, and waiting may take as long as the group's
//! coordinator is away: the member has to poll meanwhile. Commits go by topic, because an answer is only told to be bad when
//! all of it is.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::board::Board;
use super::cell::Cell;
use super::ear::Client;

/// How often marks are told.
const EVERY: Duration = Duration::from_secs(1);

/// Tells marks until the member is gone.
pub(super) fn run(board: &Arc<Board>, client: &Weak<Client>, bell: &Receiver<()>) {
    loop {
        let heard = bell.recv_timeout(EVERY);
        let Some(client) = client
            .upgrade()
            .filter(|_| heard != Err(RecvTimeoutError::Disconnected))
        else {
            return;
        };
        for marks in board.marks() {
            tell(&client, &marks);
        }
        board.told();
        if board.leaves() && board.all_said() {
            return;
        }
    }
}

fn tell(client: &Client, marks: &[(Arc<Cell>, i64)]) {
    let mut list = TopicPartitionList::with_capacity(marks.len());
    for (cell, mark) in marks {
        let added = list.add_partition_offset(&cell.name.topic, cell.partition(), Offset::Offset(*mark));
        debug_assert!(added.is_ok(), "a mark is an offset");
    }
    crate::point!("offset.unsent");
    let answer = client.commit(&list, CommitMode::Sync);
    crate::point!("offset.sent");
    let code = answer
        .err()
        .map(|error| error.rdkafka_error_code().unwrap_or(Code::Unknown));
    for (cell, mark) in marks {
        match code {
            None => cell.committed(*mark),
            // Also where the generation is over: a cooperative rebalance goes on, and may leave the partition here. What is lost
            // comes as a revocation.
            Some(code) => tracing::debug!(stream = %cell.name, ?code, "a mark is told again"),
        }
    }
    crate::point!("offset.committed");
}
