//! The consumer engine over scripted neighbours: a stream, an inbox and a processor that tests hold in their hands.

mod database;
mod deaths;
mod desk;
mod engine;
mod failures;
mod leaving;
mod paused;
mod world;
