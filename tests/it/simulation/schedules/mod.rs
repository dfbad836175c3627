//! The schedules that broke earlier forms of the design, scripted by number, and each rule of the reducer by name.
//!
//! Promises: every test here was seen failing with its rule taken out of the reducer.

mod dead;
mod endings;
mod lanes;
mod letters;
mod paused;
mod places;
mod rig;
mod rules;
mod storing;
