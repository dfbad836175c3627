//! What the outside owes us: small traits with numbered promises.
