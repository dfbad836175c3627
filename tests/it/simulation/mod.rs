//! The relay's reducer in worlds of its own: virtual time, models of database and broker, faults by seed.
//!
//! `TWINBOX_SIM_SEEDS` says how many seeds run (300), `TWINBOX_SIM_FROM` where they start (1). A seed that fails prints the
//! command that replays it with a trace.

mod check;
mod clock;
mod database;
mod faults;
mod model_broker;
mod model_letters;
mod model_source;
mod one_seed;
mod people;
mod process;
mod trace;
mod verdict;
mod wire;
mod workload;
mod world;

/// Seeds of every run of the suite.
const SEEDS: u64 = 300;

#[expect(clippy::disallowed_methods, reason = "a suite is steered by the environment")]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}

#[test]
fn seeds() {
    let from = number("TWINBOX_SIM_FROM").unwrap_or(1);
    let count = number("TWINBOX_SIM_SEEDS").unwrap_or(SEEDS);
    let (mut steps, mut landed, mut duplicates, mut parks, mut terms) = (0, 0, 0, 0, 0);
    for seed in from..from + count {
        match one_seed::seed(seed, false) {
            Ok(figures) => {
                steps += figures.steps;
                landed += figures.landed;
                duplicates += figures.duplicates;
                parks += figures.parks;
                terms += figures.terms;
            }
            Err(sentence) => panic!(
                "seed {seed}, after {} seeds: {sentence}\nreplay it: TWINBOX_SIM_SEED={seed} cargo test --test it \
                 simulation::replay -- --nocapture",
                seed - from + 1
            ),
        }
    }
    println!(
        "{count} seeds from {from}: {steps} steps, {terms} terms, {landed} landed, {duplicates} of them again, \
         {parks} lanes stored"
    );
    assert!(landed > 0, "a simulation in which nothing arrives proves nothing");
}

/// With `TWINBOX_SIM_SEED`: one seed, with a trace of every event and effect.
#[test]
fn replay() {
    let Some(seed) = number("TWINBOX_SIM_SEED") else { return };
    match one_seed::seed(seed, true) {
        Ok(figures) => println!("seed {seed} holds: {figures:?}"),
        Err(sentence) => panic!("seed {seed}: {sentence}"),
    }
}
