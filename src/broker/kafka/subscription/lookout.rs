//! Questions that block, asked beside the member: are the topics there, how many partitions have they, where do the logs end.
//!
//! Promises: it only asks, one question at a time, each with a patience; what it hears becomes health, lag and incidents.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::failure::away;
use super::board::{Board, Turn};
use super::ear::Client;
use super::incident::Place;
use crate::contract::StreamName;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// While something is wrong.
const EVERY_AWAY: Duration = Duration::from_secs(1);
/// Patience of one question: leaving waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks until the member leaves, or the bell is dropped.
pub(super) fn run(board: &Arc<Board>, client: &Weak<Client>, bell: &Receiver<()>) {
    loop {
        let Some(client) = client.upgrade().filter(|_| !board.leaves()) else {
            return;
        };
        let well = look(board, &client);
        drop(client);
        let wait = if well && board.is_up() { EVERY } else { EVERY_AWAY };
        if bell.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Answers whether all is well.
fn look(board: &Arc<Board>, client: &Client) -> bool {
    let mut well = true;
    for topic in &board.topics {
        if board.leaves() {
            return false;
        }
        match learn(board, client, topic) {
            Ok(Some(_)) => {}
            Ok(None) => {
                well = false;
                let reason = format!("the cluster knows no topic {topic}");
                board.error(Code::UnknownTopicOrPartition, &reason);
            }
            Err(Code::TopicAuthorizationFailed) => {
                well = false;
                board.error(
                    Code::TopicAuthorizationFailed,
                    &format!("the topic {topic} may not be seen"),
                );
            }
            Err(code) => {
                board.away(away(code, &format!("no metadata of the topic {topic}")), false);
                return false;
            }
        }
    }
    if well {
        board.up();
    }
    ends(board, client);
    well
}

/// How many partitions a topic has now, compared with what was known; none when there is no such topic.
pub(super) fn learn(board: &Board, client: &Client, topic: &str) -> Result<Option<i32>, Code> {
    let seen = count(client, topic)?;
    turned(board, topic, board.saw(topic, seen));
    Ok(seen)
}

/// Where the logs end: how far each stream is behind, and whether it has read beyond its end.
fn ends(board: &Arc<Board>, client: &Client) {
    for cell in board.reading() {
        if board.leaves() {
            return;
        }
        let (next, _) = cell.place();
        match client.fetch_watermarks(&cell.name.topic, cell.partition(), PATIENCE) {
            Ok((_, high)) if high < next => cell.break_off(Code::OffsetOutOfRange),
            Ok((_, high)) => cell.saw(high),
            Err(error) => tracing::debug!(stream = %cell.name, %error, "the end of the log is not known"),
        }
    }
}

fn turned(board: &Board, topic: &str, turn: Turn) {
    match turn {
        Turn::Same => {}
        Turn::Grown { from, to } => {
            let stream = StreamName {
                topic: topic.into(),
                partition: None,
            };
            let place = Place {
                consumer: &board.consumer,
                stream: &stream,
            };
            board.tell(place.partitions_changed(from, to));
        }
        Turn::Recreated => {
            let cells = board.reading().into_iter().filter(|cell| &*cell.name.topic == topic);
            // The streams tell it themselves, each with its own range.
            cells.for_each(|cell| cell.break_off(Code::UnknownTopicId));
        }
    }
}

/// The number of a topic's partitions; none when there is no such topic.
fn count(client: &Client, topic: &str) -> Result<Option<i32>, Code> {
    let metadata = client
        .fetch_metadata(Some(topic), PATIENCE)
        .map_err(|error| error.rdkafka_error_code().unwrap_or(Code::Unknown))?;
    let Some(seen) = metadata.topics().iter().find(|seen| seen.name() == topic) else {
        return Ok(None);
    };
    let partitions = i32::try_from(seen.partitions().len()).unwrap_or(i32::MAX);
    match seen.error().map(Code::from) {
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
        None | Some(Code::LeaderNotAvailable) if partitions > 0 => Ok(Some(partitions)),
        code => Err(code.unwrap_or(Code::LeaderNotAvailable)),
    }
}
