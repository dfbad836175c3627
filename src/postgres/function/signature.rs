//! What the application's function takes, as the catalogue has it, and the statement that calls it.
//!
//! Promises: every parameter is matched by its name, any subset in any order (DESIGN §12); whatever would make a call fail,
//! or leave a message out silently, is refused before the first message, with what to write.
//!
//! # Why STRICT is refused
//!
//! Such a function is not called at all when an argument is null, and nobody hears of it: a message without a key or a
//! payload would count as done.

use tokio_postgres::{GenericClient, Row};

use crate::delivery::{Failure, FailureKind};
use crate::postgres::identifier::{TableName, quoted};

const CANDIDATES: &str = include_str!("../../../sql/queries/function/candidates.sql");
/// What a function may take, for people.
const TAKES: &str = "any of `id uuid`, `key text`, `type text`, `payload` (`bytea`, `jsonb`, `json` or `text`), `headers jsonb`, \
    `occurred_at timestamptz`, `attempt int`, `source text`, `\"position\" text`";

/// A schema-qualified name of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionName {
    schema: String,
    name: String,
}

/// Not such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no function: write schema.function, with double quotes around parts that are not plain lower case"
)]
pub struct FunctionNameError(String);

/// What a message has that a function can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Id,
    Key,
    Type,
    Payload(Form),
    Headers,
    OccurredAt,
    Attempt,
    Source,
    Position,
}

/// As what the function takes the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bytes,
    Text,
    Json,
    Jsonb,
}

/// A function that can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// In the order of the parameters `$1`, `$2` … of the call; `$1` is always the ids.
    pub(super) parts: Vec<Part>,
    /// Calls it once per element of the arrays, in their order; answers 1, 2, … as it goes.
    pub(super) call: String,
    /// Whether it says of itself that it changes nothing.
    pub(super) volatile: bool,
}

/// What the role may not.
#[derive(Debug, Clone, Copy)]
enum Right {
    Usage,
    Execute,
}

/// One row of the catalogue.
#[derive(Debug, Clone)]
struct Candidate {
    kind: String,
    strict: bool,
    volatile: bool,
    set: bool,
    returned: String,
    /// Name, mode (`i` where the catalogue says none) and type of each parameter.
    parameters: Vec<(String, String, String)>,
    shown: String,
    lacks: Option<Right>,
    role: String,
}

// === impl FunctionName ===

impl FunctionName {
    /// Reads what a person writes. Like SQL, lowers what is not quoted.
    ///
    /// # Errors
    /// No schema, empty parts, more than two of them, a quote without its end.
    pub fn parse(text: &str) -> Result<Self, FunctionNameError> {
        let wrong = || FunctionNameError(text.to_owned());
        let name = TableName::parse(text).map_err(|_| wrong())?;
        Ok(Self {
            schema: name.schema().ok_or_else(wrong)?.to_owned(),
            name: name.name().to_owned(),
        })
    }

    /// The schema, as an identifier in SQL text.
    pub(super) fn schema(&self) -> String {
        quoted(&self.schema)
    }

    fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

impl std::fmt::Display for FunctionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

// === impl Part ===

impl Part {
    fn of(name: &str, kind: &str) -> Option<Self> {
        Some(match (name, kind) {
            ("id", "uuid") => Self::Id,
            ("key", "text") => Self::Key,
            ("type", "text") => Self::Type,
            ("payload", "bytea") => Self::Payload(Form::Bytes),
            ("payload", "text") => Self::Payload(Form::Text),
            ("payload", "json") => Self::Payload(Form::Json),
            ("payload", "jsonb") => Self::Payload(Form::Jsonb),
            ("headers", "jsonb") => Self::Headers,
            ("occurred_at", "timestamp with time zone") => Self::OccurredAt,
            ("attempt", "integer") => Self::Attempt,
            ("source", "text") => Self::Source,
            ("position", "text") => Self::Position,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Key => "key",
            Self::Type => "type",
            Self::Payload(_) => "payload",
            Self::Headers => "headers",
            Self::OccurredAt => "occurred_at",
            Self::Attempt => "attempt",
            Self::Source => "source",
            Self::Position => "position",
        }
    }

    /// Type of the array that brings it, and what makes an element of it the function's.
    fn types(self) -> (&'static str, &'static str) {
        match self {
            Self::Id => ("uuid", ""),
            Self::Payload(Form::Bytes) => ("bytea", ""),
            Self::Payload(Form::Json) => ("text", "::pg_catalog.json"),
            Self::Payload(Form::Jsonb) | Self::Headers => ("text", "::pg_catalog.jsonb"),
            Self::OccurredAt => ("timestamptz", ""),
            Self::Attempt => ("int4", ""),
            Self::Key | Self::Type | Self::Payload(Form::Text) | Self::Source | Self::Position => ("text", ""),
        }
    }
}

// === impl Signature ===

impl Signature {
    /// Looks it up.
    ///
    /// # Errors
    /// Outer: the database's. Inner: what is wrong with the function.
    pub(super) async fn load(
        client: &impl GenericClient,
        name: &FunctionName,
    ) -> Result<Result<Self, Failure>, tokio_postgres::Error> {
        let rows = client.query(CANDIDATES, &[&name.schema, &name.name]).await?;
        let found = rows.iter().map(Candidate::read).collect::<Result<Vec<_>, _>>()?;
        Ok(choose(name, &found))
    }

    fn new(name: &FunctionName, parts: Vec<Part>, volatile: bool) -> Self {
        let mut arrays = vec!["$1::uuid[]".to_owned()];
        let mut columns = vec!["own".to_owned()];
        let mut arguments = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let (array, cast) = part.types();
            arrays.push(format!("${}::{array}[]", index + 2));
            columns.push(format!("c{index}"));
            arguments.push(format!("{} => t.c{index}{cast}", quoted(part.name())));
        }
        // `unnest` of several arrays is grammar and takes no schema. No ORDER BY: the rows of a function in FROM come as it made them, and the numbers that come back are looked at.
        let call = format!(
            "-- function: call\nselect t.place, {}({}) from unnest({}) with ordinality t ({}, place)",
            name.quoted(),
            arguments.join(", "),
            arrays.join(", "),
            columns.join(", "),
        );
        Self { parts, call, volatile }
    }
}

// === impl Candidate ===

impl Candidate {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let names: Vec<String> = row.try_get("names")?;
        let modes: Vec<String> = row.try_get("modes")?;
        let types: Vec<String> = row.try_get("types")?;
        let at = |list: &[String], index: usize| list.get(index).cloned().unwrap_or_default();
        let parameters = types.iter().enumerate().map(|(index, kind)| {
            let mode = if modes.is_empty() {
                "i".to_owned()
            } else {
                at(&modes, index)
            };
            (at(&names, index), mode, kind.clone())
        });
        Ok(Self {
            kind: row.try_get("prokind")?,
            strict: row.try_get("proisstrict")?,
            volatile: row.try_get::<_, String>("provolatile")? == "v",
            set: row.try_get("proretset")?,
            returned: row.try_get("returned")?,
            parameters: parameters.collect(),
            shown: row.try_get("shown")?,
            lacks: if !row.try_get("reachable")? {
                Some(Right::Usage)
            } else if !row.try_get("executable")? {
                Some(Right::Execute)
            } else {
                None
            },
            role: row.try_get("role")?,
        })
    }

    /// What stands in the way of calling it; the first thing.
    fn flaw(&self, name: &FunctionName) -> Option<(&'static str, String)> {
        let shown = format!("{name}({})", self.shown);
        let wrong = |what: String| Some(("function_signature", format!("{shown} {what}")));
        match self.kind.as_str() {
            "f" => {}
            "p" => {
                return wrong(
                    "is a procedure, which may commit by itself: write `create function … returns void`".to_owned(),
                );
            }
            _ => return wrong("is an aggregate or window function: write `create function … returns void`".to_owned()),
        }
        if let Some((parameter, ..)) = self.parameters.iter().find(|(_, mode, _)| mode != "i") {
            return wrong(format!(
                "has a parameter {parameter:?} that is OUT, INOUT or VARIADIC: take plain ones, {TAKES}"
            ));
        }
        for (parameter, _, kind) in &self.parameters {
            if Part::of(parameter, kind).is_none() {
                let which = if parameter.is_empty() {
                    "without a name"
                } else {
                    parameter
                };
                return wrong(format!("has a parameter `{which} {kind}`: it may take {TAKES}"));
            }
        }
        if self.set || self.returned != "void" {
            let set = if self.set { "setof " } else { "" };
            return wrong(format!("returns {set}{}: write `returns void`", self.returned));
        }
        if self.strict
            && self
                .parameters
                .iter()
                .any(|(name, ..)| matches!(name.as_str(), "key" | "payload"))
        {
            return wrong(
                "is STRICT, so it would be skipped without a word for a message without key or payload: \
                 write `alter function … called on null input`"
                    .to_owned(),
            );
        }
        let missing = match self.lacks? {
            Right::Usage => format!("usage on schema {}", name.schema()),
            Right::Execute => format!("execute on function {}({})", name.quoted(), self.shown),
        };
        let role = &self.role;
        Some((
            "42501",
            format!("{role} may not call {shown}: run `grant {missing} to {}`", quoted(role)),
        ))
    }
}

/// The one that is meant.
fn choose(name: &FunctionName, found: &[Candidate]) -> Result<Signature, Failure> {
    let failed = |code: &'static str, what: String| Err(Failure::new(FailureKind::Destination, code, what));
    let functions: Vec<&Candidate> = found.iter().filter(|one| one.kind == "f").collect();
    let one = match (functions.as_slice(), found) {
        ([one], _) => *one,
        ([], [other, ..]) => other,
        ([], []) => {
            return failed(
                "42883",
                format!(
                    "there is no function {name} in this database: create it, `returns void`, with {TAKES}; or check \
                     `handler.sql.function` and `database.url`"
                ),
            );
        }
        (several, _) => {
            let shown: Vec<String> = several.iter().map(|one| format!("{name}({})", one.shown)).collect();
            let what = format!(
                "there are {} functions {name}, and it cannot be told which is meant: drop or rename all but one of {}",
                shown.len(),
                shown.join("; "),
            );
            return failed("42725", what);
        }
    };
    if let Some((code, what)) = one.flaw(name) {
        return failed(code, what);
    }
    let parts = one.parameters.iter().filter_map(|(name, _, kind)| Part::of(name, kind));
    Ok(Signature::new(name, parts.collect(), one.volatile))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> FunctionName {
        FunctionName::parse("billing.on_event").expect("a name")
    }

    fn candidate(parameters: &[(&str, &str)]) -> Candidate {
        let parameter = |(name, kind): &(&str, &str)| ((*name).to_owned(), "i".to_owned(), (*kind).to_owned());
        Candidate {
            kind: "f".to_owned(),
            strict: false,
            volatile: true,
            set: false,
            returned: "void".to_owned(),
            parameters: parameters.iter().map(parameter).collect(),
            shown: parameters
                .iter()
                .map(|(name, kind)| format!("{name} {kind}"))
                .collect::<Vec<_>>()
                .join(", "),
            lacks: None,
            role: "app".to_owned(),
        }
    }

    #[test]
    fn any_subset_in_any_order_is_called_by_name() {
        let one = candidate(&[
            ("payload", "jsonb"),
            ("id", "uuid"),
            ("occurred_at", "timestamp with time zone"),
        ]);
        let signature = choose(&name(), &[one]).expect("fits");
        assert_eq!(
            signature.parts,
            [Part::Payload(Form::Jsonb), Part::Id, Part::OccurredAt]
        );
        assert!(
            signature.call.contains(
                "\"billing\".\"on_event\"(\"payload\" => t.c0::pg_catalog.jsonb, \"id\" => t.c1, \"occurred_at\" => t.c2)"
            ),
            "{}",
            signature.call
        );
        assert!(choose(&name(), &[candidate(&[])]).is_ok(), "none is a subset too");
    }

    #[test]
    fn what_cannot_be_called_is_said_with_what_to_write() {
        let with = |change: &dyn Fn(&mut Candidate)| {
            let mut one = candidate(&[("id", "uuid"), ("key", "text")]);
            change(&mut one);
            one
        };
        let cases: [(Vec<Candidate>, &str); 12] = [
            (vec![], "there is no function billing.on_event"),
            (
                vec![with(&|_| {}), candidate(&[])],
                "on_event(id uuid, key text); billing.on_event()",
            ),
            (vec![with(&|one| one.kind = "p".to_owned())], "is a procedure"),
            (vec![with(&|one| one.kind = "a".to_owned())], "is an aggregate"),
            (vec![candidate(&[("id", "text")])], "`id text`"),
            (vec![candidate(&[("", "uuid")])], "`without a name uuid`"),
            (vec![candidate(&[("customer", "text")])], "`customer text`"),
            (
                vec![with(&|one| one.parameters[1].1 = "o".to_owned())],
                "OUT, INOUT or VARIADIC",
            ),
            (
                vec![with(&|one| one.returned = "integer".to_owned())],
                "returns integer",
            ),
            (vec![with(&|one| one.strict = true)], "STRICT"),
            (
                vec![with(&|one| one.lacks = Some(Right::Execute))],
                "grant execute on function",
            ),
            (
                vec![with(&|one| one.lacks = Some(Right::Usage))],
                "grant usage on schema \"billing\" to \"app\"",
            ),
        ];
        for (found, expected) in cases {
            let failure = choose(&name(), &found).expect_err(expected);
            assert_eq!(failure.kind, FailureKind::Destination);
            assert!(failure.message.contains(expected), "{expected}: {}", failure.message);
        }
        assert!(choose(&name(), &[with(&|_| {}), with(&|one| one.kind = "p".to_owned())]).is_ok());
    }

    #[test]
    fn a_name_has_a_schema() {
        assert_eq!(name().to_string(), "billing.on_event");
        for text in ["on_event", "", "a.b.c", "a.", "b.\"x"] {
            assert!(FunctionName::parse(text).is_err(), "{text}");
        }
    }
}
