//! Where a stream begins, and whether it still can: from a position of record or a start to an offset.
//!
//! Promises: an offset that the log does not have is told with its range, never moved. A partition without a position of
//! record, in a topic of which the group has read others, was added: it is read from its start, whatever `start` says, and
//! that is told.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::board::Board;
use super::cell::Cell;
use super::ear::Client;
use super::failure;
use super::incident::Place;
use super::lookout;
use crate::contract::{Begin, Start, StreamError};

/// Patience of one question.
const PATIENCE: Duration = Duration::from_secs(5);

/// The offset at which it begins, and the end of the log. Blocks.
pub(super) fn resolve(board: &Board, client: &Client, cell: &Cell, from: Begin) -> Result<(i64, i64), StreamError> {
    let (low, high) = ends(client, cell)?;
    let offset = match from {
        Begin::Offset(offset) if offset < low || offset > high => {
            return Err(StreamError::Incident(
                place(board, cell).offsets_lost(offset, (low, high)),
            ));
        }
        Begin::Offset(offset) => offset,
        Begin::Start(_) if is_added(board, client, cell)? => low,
        Begin::Start(Start::Earliest) => low,
        Begin::Start(Start::Latest) => high,
        Begin::Start(Start::At(time)) => at(client, cell, time.as_millisecond())?.unwrap_or(high),
    };
    Ok((offset, high))
}

/// Why a stream that was being read brings nothing more; none when its place is there after all. Blocks.
pub(super) fn broken(board: &Board, client: &Client, cell: &Cell, code: Code) -> Result<(i64, i64), StreamError> {
    let (next, _) = cell.place();
    if code == Code::UnknownTopicId {
        let ends = ends(client, cell)?;
        return Err(StreamError::Incident(place(board, cell).topic_recreated(next, ends)));
    }
    if !failure::lost_place(code) {
        return Err(StreamError::Away(failure::stream(code, &cell.name.to_string())));
    }
    let (low, high) = ends(client, cell)?;
    if next < low || code == Code::LogTruncation {
        return Err(StreamError::Incident(
            place(board, cell).offsets_lost(next, (low, high)),
        ));
    }
    if next > high {
        return Err(StreamError::Incident(
            place(board, cell).topic_recreated(next, (low, high)),
        ));
    }
    Ok((next, high))
}

/// Whether the partition appeared after the group had begun to read the topic; told here when nobody was there to see it.
fn is_added(board: &Board, client: &Client, cell: &Cell) -> Result<bool, StreamError> {
    if cell.added {
        return Ok(true);
    }
    let topic = &cell.name.topic;
    // Noted here as well: what is added later is known by it, however soon that is.
    let count = lookout::learn(board, client, topic)
        .map_err(|code| away(cell, code))?
        .unwrap_or_default();
    let mut list = TopicPartitionList::new();
    for partition in 0..count {
        list.add_partition(topic, partition);
    }
    let known = client
        .committed_offsets(list, PATIENCE)
        .map_err(|error| asked(cell, &error))?;
    let is_known = |partition| {
        let found = known.find_partition(topic, partition);
        found.is_some_and(|element| matches!(element.offset(), Offset::Offset(_)))
    };
    let first_new = (0..count).rev().take_while(|partition| !is_known(*partition)).last();
    let Some(first_new) = first_new.filter(|first| *first > 0 && *first <= cell.partition()) else {
        return Ok(false);
    };
    board.tell(place(board, cell).partitions_changed(first_new, count));
    Ok(true)
}

/// The first offset at or after that time.
fn at(client: &Client, cell: &Cell, time_ms: i64) -> Result<Option<i64>, StreamError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&cell.name.topic, cell.partition(), Offset::Offset(time_ms.max(0)))
        .map_err(|error| asked(cell, &error))?;
    let found = client
        .offsets_for_times(list, PATIENCE)
        .map_err(|error| asked(cell, &error))?;
    let element = found.find_partition(&cell.name.topic, cell.partition());
    Ok(element.and_then(|element| match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }))
}

fn ends(client: &Client, cell: &Cell) -> Result<(i64, i64), StreamError> {
    client
        .fetch_watermarks(&cell.name.topic, cell.partition(), PATIENCE)
        .map_err(|error| asked(cell, &error))
}

fn place<'a>(board: &'a Board, cell: &'a Cell) -> Place<'a> {
    Place {
        consumer: &board.consumer,
        stream: &cell.name,
    }
}

fn asked(cell: &Cell, error: &KafkaError) -> StreamError {
    away(cell, error.rdkafka_error_code().unwrap_or(Code::Unknown))
}

pub(super) fn away(cell: &Cell, code: Code) -> StreamError {
    StreamError::Away(failure::stream(code, &cell.name.to_string()))
}
