//! Complaints: what a check has against a configuration, all of it at once.
//!
//! A check knows paths below its own section and sentences; where the value came from (file and line, variable, flag) is
//! added by `config`, which alone knows.

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The value's path from the root, one entry per key or list index.
    pub path: Vec<String>,
    /// What is wrong and what to write instead. Never quotes a secret.
    pub sentence: String,
}

/// Collects complaints; knows the section that is being checked.
#[derive(Debug, Default)]
pub struct Complaints {
    section: Vec<String>,
    list: Vec<Complaint>,
}

// === impl Complaints ===

impl Complaints {
    /// Notes a complaint about the value at `path` below the current section.
    pub fn add(&mut self, path: &[&str], sentence: impl Into<String>) {
        let path = self
            .section
            .iter()
            .cloned()
            .chain(path.iter().map(ToString::to_string))
            .collect();
        self.list.push(Complaint {
            path,
            sentence: sentence.into(),
        });
    }

    /// Runs `check` with `key` as the current section.
    pub fn within(&mut self, key: &str, check: impl FnOnce(&mut Self)) {
        self.section.push(key.to_owned());
        check(self);
        self.section.pop();
    }

    /// How many complaints there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Everything noted so far.
    #[must_use]
    pub fn into_vec(self) -> Vec<Complaint> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_knows_its_whole_path() {
        let mut complaints = Complaints::default();
        complaints.within("relays", |relays| {
            relays.within("orders", |orders| orders.add(&["limits", "batch"], "too large"));
            relays.add(&[], "none");
        });
        let list = complaints.into_vec();
        assert_eq!(list[0].path.join("."), "relays.orders.limits.batch");
        assert_eq!(list[1].path.join("."), "relays");
    }
}
