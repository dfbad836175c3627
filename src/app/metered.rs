//! A processor whose work is counted and timed.
//!
//! Promises: what it answers is what the processor answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::supervise::now;
use crate::contract::{Boxed, Capacity, Finding, Processed, Processor, Work};
use crate::delivery::Failure;
use crate::telemetry::ConsumerMeters;

/// The processor, and where it is counted.
pub struct Metered {
    /// Who does the work.
    pub processor: Arc<dyn Processor>,
    /// What is counted.
    pub meters: ConsumerMeters,
}

// === impl Metered ===

impl Metered {
    fn count(&self, topic: &str, answers: &[Processed], took: std::time::Duration) {
        let (mut done, mut duplicates) = (0, 0);
        let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
        for answer in answers {
            match answer {
                Processed::Done => done += 1,
                Processed::Duplicate => duplicates += 1,
                Processed::Failed(failure) => *failures.entry(&failure.code).or_default() += 1,
                // Neither was tried.
                Processed::Held | Processed::Fenced => {}
            }
        }
        self.meters.processed(topic, (done, duplicates), took);
        for (code, messages) in failures {
            self.meters.failed(topic, code, messages);
        }
    }
}

impl Processor for Metered {
    fn capacity(&self) -> Capacity {
        self.processor.capacity()
    }

    fn process(&self, work: Work) -> Boxed<'_, Vec<Processed>> {
        Box::pin(async move {
            let topic = Arc::clone(&work.fence.stream.topic);
            let began = now();
            let answers = self.processor.process(work).await;
            self.count(&topic, &answers, began.elapsed());
            answers
        })
    }

    fn check(&self) -> Boxed<'_, Result<(), Failure>> {
        self.processor.check()
    }

    fn health(&self) -> Boxed<'_, Option<Result<(), Failure>>> {
        self.processor.health()
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        self.processor.findings()
    }
}

impl std::fmt::Debug for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered").finish_non_exhaustive()
    }
}
