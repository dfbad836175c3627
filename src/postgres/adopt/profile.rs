//! Which column of an adopted table becomes which of ours: profiles of known tables, and `--columns`.

use std::fmt;
use std::str::FromStr;

/// A known kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Columns of our names, where they exist. `--columns` names the others.
    #[default]
    Same,
    /// The default table of Debezium's Outbox Event Router. It has nothing that orders its rows.
    Debezium,
    /// `openoutbox_events`: the event type is the topic too; only rows with status PENDING. Rows stay PENDING, so their
    /// own relay must be off. A future `available_at` is not honoured.
    OpenOutbox,
}

/// A column of the outbox that a copy may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    AggregateType,
    AggregateId,
    Type,
    Payload,
    Headers,
    Traceparent,
}

/// Where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// A column that must be there.
    Column(String),
    /// A column that may be there.
    Perhaps(String),
    /// The same text in every row.
    Constant(String),
    /// The outbox's default.
    Nothing,
}

/// A whole mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub(super) fields: Vec<(Field, From)>,
    pub(super) order: Option<String>,
    /// Column and value that a row must have to be an event.
    pub(super) only: Option<(String, String)>,
}

/// What is wrong with `--columns`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// No `=`.
    #[error("--columns {0:?} has no `=`: write ours=theirs, such as id=event_id")]
    NoEquals(String),
    /// A name that is none of ours.
    #[error("--columns: {0:?} is none of id, key, aggregatetype, type, payload, headers, traceparent, order")]
    Unknown(String),
    /// Named twice.
    #[error("--columns names {0} twice")]
    Twice(&'static str),
    /// Something that cannot be a constant or be left out.
    #[error("--columns {0}={1}: write the name of a column")]
    NotAColumn(&'static str, String),
}

// === impl Field ===

impl Field {
    pub(super) const ALL: [Self; 7] = [
        Self::Id,
        Self::AggregateType,
        Self::AggregateId,
        Self::Type,
        Self::Payload,
        Self::Headers,
        Self::Traceparent,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::AggregateType => "aggregatetype",
            Self::AggregateId => "aggregateid",
            Self::Type => "type",
            Self::Payload => "payload",
            Self::Headers => "headers",
            Self::Traceparent => "traceparent",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = if text == "key" { "aggregateid" } else { text };
        Self::ALL.into_iter().find(|field| field.name() == text)
    }

    /// Whether an outbox row must have it.
    pub(super) fn required(self) -> bool {
        matches!(self, Self::Id | Self::AggregateType | Self::Type)
    }

    fn same(self) -> From {
        match self {
            Self::AggregateType | Self::Type | Self::Payload => From::Column(self.name().to_owned()),
            _ => From::Perhaps(self.name().to_owned()),
        }
    }
}

// === impl Profile ===

impl Profile {
    /// As `--profile` spells it; the first has no name.
    pub const NAMES: [(&'static str, Self); 2] = [("debezium", Self::Debezium), ("open_outbox", Self::OpenOutbox)];

    fn fields(self) -> Vec<(Field, From)> {
        let theirs = |field: Field| match (self, field) {
            (Self::Debezium, Field::Id | Field::AggregateId) => From::Column(field.name().to_owned()),
            (Self::OpenOutbox, Field::Id) => From::Column("event_id".to_owned()),
            (Self::OpenOutbox, Field::AggregateType | Field::Type) => From::Column("event_type".to_owned()),
            (Self::OpenOutbox, Field::AggregateId) => From::Column("partition_key".to_owned()),
            _ => field.same(),
        };
        Field::ALL.into_iter().map(|field| (field, theirs(field))).collect()
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        found
            .map(|(_, profile)| profile)
            .ok_or_else(|| format!("{text:?} is no profile: write debezium or open_outbox"))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            Self::NAMES
                .into_iter()
                .find(|(_, profile)| profile == self)
                .map_or("same names", |(name, _)| name),
        )
    }
}

// === impl Mapping ===

impl Mapping {
    /// A profile, with what `--columns` says on top: `ours=theirs`, comma-separated. `theirs` is a column, `'text'` for
    /// the same text in every row, or nothing for the outbox's default; `order=column` says how the backlog is sorted.
    ///
    /// # Errors
    /// The first entry that cannot be read.
    pub fn new(profile: Profile, columns: &str) -> Result<Self, MappingError> {
        let only = (profile == Profile::OpenOutbox).then(|| ("status".to_owned(), "PENDING".to_owned()));
        let mut mapping = Self {
            fields: profile.fields(),
            order: None,
            only,
        };
        let mut named = Vec::new();
        for entry in columns.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (ours, theirs) = entry
                .split_once('=')
                .ok_or_else(|| MappingError::NoEquals(entry.to_owned()))?;
            let name = mapping.set(ours.trim(), theirs.trim())?;
            if named.contains(&name) {
                return Err(MappingError::Twice(name));
            }
            named.push(name);
        }
        Ok(mapping)
    }

    fn set(&mut self, ours: &str, theirs: &str) -> Result<&'static str, MappingError> {
        let constant = theirs.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
        if ours == "order" {
            if constant.is_some() || theirs.is_empty() {
                return Err(MappingError::NotAColumn("order", theirs.to_owned()));
            }
            self.order = Some(theirs.to_owned());
            return Ok("order");
        }
        let field = Field::parse(ours).ok_or_else(|| MappingError::Unknown(ours.to_owned()))?;
        let textual = matches!(field, Field::AggregateType | Field::Type);
        let from = match constant {
            Some(text) if textual => From::Constant(text.to_owned()),
            Some(_) => return Err(MappingError::NotAColumn(field.name(), theirs.to_owned())),
            None if theirs.is_empty() && textual => return Err(MappingError::NotAColumn(field.name(), String::new())),
            None if theirs.is_empty() => From::Nothing,
            None => From::Column(theirs.to_owned()),
        };
        for (known, value) in &mut self.fields {
            if *known == field {
                value.clone_from(&from);
            }
        }
        Ok(field.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(mapping: &Mapping, field: Field) -> From {
        mapping
            .fields
            .iter()
            .find(|(known, _)| *known == field)
            .map(|(_, from)| from.clone())
            .expect("every field is there")
    }

    #[test]
    fn columns_win_over_the_profile() {
        let mapping =
            Mapping::new(Profile::OpenOutbox, "key=tenant, aggregatetype='order',id=,order=n").expect("readable");
        assert_eq!(from(&mapping, Field::AggregateId), From::Column("tenant".to_owned()));
        assert_eq!(from(&mapping, Field::AggregateType), From::Constant("order".to_owned()));
        assert_eq!(from(&mapping, Field::Id), From::Nothing);
        assert_eq!(from(&mapping, Field::Type), From::Column("event_type".to_owned()));
        assert_eq!(mapping.order.as_deref(), Some("n"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cases = [
            ("id", MappingError::NoEquals("id".to_owned())),
            ("foo=bar", MappingError::Unknown("foo".to_owned())),
            ("key=a,aggregateid=b", MappingError::Twice("aggregateid")),
            ("payload='x'", MappingError::NotAColumn("payload", "'x'".to_owned())),
            ("type=", MappingError::NotAColumn("type", String::new())),
            ("order=", MappingError::NotAColumn("order", String::new())),
        ];
        for (columns, error) in cases {
            assert_eq!(Mapping::new(Profile::Same, columns), Err(error), "{columns}");
        }
    }
}
