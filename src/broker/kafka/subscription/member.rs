//! The thread that owns the client: it polls, hands partitions over, and leaves.
//!
//! Promises: it never waits for work; what is settled when it is told to leave is committed before it leaves, within the
//! time it is given; when it ends the group knows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;

use super::super::keeper::now;
use super::board::Board;
use super::ear::Client;

/// How long one poll waits. A little more than whole milliseconds: rdkafka spins through what is left of the last one.
const POLL: Duration = Duration::from_micros(50_020);
/// While somebody waits for an answer.
const POLL_SOON: Duration = Duration::from_micros(5_020);
/// What a drop without a word may take.
const DROPPED_WITHIN: Duration = Duration::from_secs(5);

/// Polls until the member is to leave, and leaves.
pub(super) fn run(board: &Arc<Board>, client: Arc<Client>, until: &std::sync::mpsc::Receiver<Instant>) {
    while !board.leaves() {
        turn(board, &client);
        if let Some((code, reason)) = client.client().fatal_error() {
            board.end(board.failure(code, &reason));
        }
    }
    let until = until
        .recv_timeout(Duration::ZERO)
        .unwrap_or_else(|_| now() + DROPPED_WITHIN);
    leave(board, client, until);
    board.ended();
}

fn turn(board: &Arc<Board>, client: &Client) {
    let wait = if board.hurries() { POLL_SOON } else { POLL };
    // Messages come by the partitions' own queues; errors have been heard by the ear.
    if let Some(Err(KafkaError::MessageConsumptionFatal(code))) = client.poll(wait) {
        board.end(board.failure(code, "the client is dead"));
    }
    board.hand_over(client, now());
}

fn leave(board: &Arc<Board>, client: Arc<Client>, until: Instant) {
    while !board.all_said() && now() < until {
        client.poll(POLL_SOON);
    }
    board.give_all();
    board.hand_over(&client, now());
    // Whoever still asks something has a bounded patience; the last one out leaves the group.
    while Arc::strong_count(&client) > 1 && now() < until {
        client.poll(POLL_SOON);
    }
    drop(client);
}
