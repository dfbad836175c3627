//! What the outside owes us: small traits with numbered promises.
//!
//! Floor 2. Every trait is dyn-compatible (one boxed future per *batch*), and its doc has five headings: Promises,
//! The caller promises, Cancellation, Errors, What the suite checks. The conformance test of a promise carries its number.

mod broker;
mod destinations;
mod handler;
mod inbox;
mod lease;
mod letters;
mod outbox;
mod outlook;
mod processor;
mod publisher;
mod source;
mod subscription;

pub use broker::{Broker, Finding, Grade, Rejection, RejectionHeaders};
pub use destinations::Destinations;
pub use handler::{Attempt, Handler, Outcome, once_token};
pub use inbox::{Assumed, Burial, Claim, Fence, Identity, Inbox, Known, Memory, Stop};
pub use lease::{Held, Lease};
pub use letters::{Append, CloseRun, DueLane, Kept, Letter, LetterCounts, LetterId, LetterStore, Next, Park, StoreRun};
pub use outbox::{Opened, Outbox, Tidied, Upkeep};
pub use outlook::{Health, Incident, Outlook, Remembered};
pub use processor::{Capacity, Processed, Processor, Work};
pub use publisher::{Answer, Outbound, Publisher, Receipt, Ticket};
pub use source::{Backlog, Page, Progress, Room, Source};
pub use subscription::{Begin, Fate, Happening, Lag, Start, Stream, StreamError, StreamName, Subscriber, Subscription};

/// The future of a trait method: boxed, because engines stay free of type parameters.
pub type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a source, a lease or a letter store may answer instead of a result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The fence did not hold: somebody else holds the lease. Become a standby.
    #[error("another holder has the lease of this relay")]
    Fenced,
    /// Passing or repairable from outside: told once, retried with backoff.
    #[error("{0}")]
    Away(crate::delivery::Failure),
    /// Only an operator can decide: stop this stream and say the sentence.
    #[error("{sentence}")]
    Incident {
        /// The pinned kind (DESIGN §12), also the name of the log event.
        kind: &'static str,
        /// Where the affected range begins, as the source writes it.
        from: String,
        /// Where it ends.
        to: String,
        /// What happened, and what to type.
        sentence: String,
    },
}
