//! Runs one seed to its end and says how to see it again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::clock::SECOND;
use super::world::{Act, Figures, HEALED_MAX, World};

/// Runs a world until it is quiet after healing, drains its relay, and judges.
pub(super) fn run(world: &mut World) {
    world.run(|world| world.healed_at.is_some_and(|at| world.now > at + HEALED_MAX) || world.is_over());
    if !world.violations.is_empty() {
        return;
    }
    if !world.is_over() {
        return world.judge_stuck();
    }
    world.closing = true;
    let by = world.now + 40 * SECOND;
    world.after(0, Act::Drain);
    world.run(|world| world.now > by || world.leader().is_none());
    if world.leader().is_some() {
        world.violate("I14: the relay is not drained in time".to_owned());
    }
    if world.violations.is_empty() {
        world.judge();
    }
}

/// One seed; what it found, or the first sentence of what went wrong.
pub(super) fn seed(seed: u64, tracing: bool) -> Result<Figures, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::of_seed(seed);
        world.tracing = tracing;
        world.trace(|| format!("{:?}\n{:?}", world.faults, world.shape));
        run(&mut world);
        (world.violations, world.figures, world.now)
    }));
    match outcome {
        Ok((violations, figures, _)) if violations.is_empty() => Ok(figures),
        Ok((violations, _, now)) => Err(format!(
            "at {:.6} s: {}",
            now as f64 / SECOND as f64,
            violations.join("\n")
        )),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}
