//! Whether a mapping fits a table, before any writer could find out. Pure.

use std::fmt;

use tokio_postgres::Row;

use super::profile::{Field, From, Mapping};
use crate::postgres::identifier::{literal, quoted};

/// Types whose text form never fails and means the same.
const TEXTUAL: [&str; 9] = [
    "text",
    "character varying",
    "character",
    "citext",
    "name",
    "uuid",
    "smallint",
    "integer",
    "bigint",
];

/// Stands for the row in an expression; no name and no text of theirs can hold it.
pub(super) const ROW: &str = "\0";

/// A column of the table to adopt.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_enum: bool,
    pub(super) not_null: bool,
    /// Drawn from a sequence: the table's own order.
    pub(super) numbered: bool,
}

/// A mapping that fits: our columns with the expressions that fill them, over the row that [`ROW`] stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) values: Vec<(&'static str, String)>,
    pub(super) order: Option<String>,
    pub(super) only: Option<String>,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    ours: &'static str,
    what: String,
    fix: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.ours, self.what, self.fix)
    }
}

/// Fits every field, or says all that does not.
pub(super) fn fit(mapping: &Mapping, columns: &[Column], payload: &str) -> Result<Fitted, Vec<Misfit>> {
    let mut misfits = Vec::new();
    let mut values = Vec::new();
    for (field, from) in &mapping.fields {
        match value(*field, from, columns, payload) {
            Ok(Some(expression)) => values.push((field.name(), expression)),
            Ok(None) => {}
            Err(misfit) => misfits.push(misfit),
        }
    }
    let order = order(mapping, columns).unwrap_or_else(|misfit| {
        misfits.push(misfit);
        None
    });
    let only = mapping
        .only
        .as_ref()
        .map(|(column, value)| match find(columns, column) {
            Some(_) => Ok(format!("{ROW}.{} = {}", quoted(column), literal(value))),
            None => Err(absent("condition", column)),
        });
    let only = only.transpose().unwrap_or_else(|misfit| {
        misfits.push(misfit);
        None
    });
    if misfits.is_empty() {
        Ok(Fitted { values, order, only })
    } else {
        Err(misfits)
    }
}

fn value(field: Field, from: &From, columns: &[Column], payload: &str) -> Result<Option<String>, Misfit> {
    let (name, must) = match from {
        From::Nothing => return Ok(None),
        From::Constant(text) => return Ok(Some(literal(text))),
        From::Column(name) => (name, true),
        From::Perhaps(name) => (name, false),
    };
    let Some(column) = find(columns, name) else {
        return if must {
            Err(absent(field.name(), name))
        } else {
            Ok(None)
        };
    };
    if field.required() && !column.not_null {
        return Err(Misfit {
            ours: field.name(),
            what: format!("column {name} may be null"),
            fix: format!("alter table … alter column {} set not null", quoted(name)),
        });
    }
    let plain = format!("{ROW}.{}", quoted(name));
    match field {
        Field::Id => id(column, plain),
        Field::AggregateType | Field::AggregateId | Field::Type | Field::Traceparent => text(field, column, &plain),
        Field::Headers => headers(column, plain),
        Field::Payload => body(column, plain, payload),
    }
    .map(Some)
}

fn id(column: &Column, plain: String) -> Result<String, Misfit> {
    if column.kind == "uuid" {
        return Ok(plain);
    }
    let fix = "write --columns id= to have a random one per row, or id=COLUMN for another column";
    Err(misfit(Field::Id, column, "uuid", fix))
}

fn text(field: Field, column: &Column, plain: &str) -> Result<String, Misfit> {
    if column.is_enum || TEXTUAL.contains(&column.kind.as_str()) {
        return Ok(format!("{plain}::text"));
    }
    Err(misfit(
        field,
        column,
        "a text, a number or an enum",
        "name another column with --columns",
    ))
}

fn headers(column: &Column, plain: String) -> Result<String, Misfit> {
    match column.kind.as_str() {
        "jsonb" => Ok(plain),
        "json" => Ok(format!("{plain}::jsonb")),
        _ => Err(misfit(
            Field::Headers,
            column,
            "jsonb or json",
            "write --columns headers= to leave them out",
        )),
    }
}

/// Conversions that cannot fail; a cast of text to JSON could fail a writer's statement.
fn body(column: &Column, plain: String, ours: &str) -> Result<String, Misfit> {
    let theirs = match column.kind.as_str() {
        "character varying" | "character" | "citext" => "text",
        kind => kind,
    };
    match (ours, theirs) {
        ("jsonb", "jsonb") | ("json", "json") | ("bytea", "bytea") => Ok(plain),
        ("jsonb" | "json", "jsonb" | "json") => Ok(format!("{plain}::{ours}")),
        ("text", "text" | "jsonb" | "json") => Ok(format!("{plain}::text")),
        ("bytea", "text" | "jsonb" | "json") => Ok(format!("convert_to({plain}::text, 'UTF8')")),
        (_, "text" | "bytea") => {
            let fix =
                format!("the outbox needs another type: `twinbox migrate --payload {theirs}` on a fresh --schema");
            Err(misfit(Field::Payload, column, ours, &fix))
        }
        _ => Err(misfit(
            Field::Payload,
            column,
            ours,
            "name another column with --columns payload=COLUMN",
        )),
    }
}

/// What was asked for, else the column that a sequence numbers.
fn order(mapping: &Mapping, columns: &[Column]) -> Result<Option<String>, Misfit> {
    let chosen = match &mapping.order {
        Some(name) => Some(find(columns, name).ok_or_else(|| absent("order", name))?),
        None => columns.iter().find(|column| column.numbered),
    };
    Ok(chosen.map(|column| format!("r.{}", quoted(&column.name))))
}

fn find<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name == name)
}

fn absent(ours: &'static str, name: &str) -> Misfit {
    let option = if ours == "aggregateid" { "key" } else { ours };
    Misfit {
        ours,
        what: format!("there is no column {name}"),
        fix: format!("name one with --columns {option}=COLUMN"),
    }
}

fn misfit(field: Field, column: &Column, expected: &str, fix: &str) -> Misfit {
    let what = format!("column {} is {}, not {expected}", column.name, column.kind);
    Misfit {
        ours: field.name(),
        what,
        fix: fix.to_owned(),
    }
}

// === impl Column ===

impl Column {
    pub(super) fn read(row: &Row) -> Self {
        Self {
            name: row.get("name"),
            kind: row.get("type"),
            is_enum: row.get("is_enum"),
            not_null: row.get("not_null"),
            numbered: row.get("numbered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::adopt::Profile;

    fn column(name: &str, kind: &str) -> Column {
        Column {
            name: name.to_owned(),
            kind: kind.to_owned(),
            is_enum: false,
            not_null: true,
            numbered: false,
        }
    }

    fn debezium() -> Vec<Column> {
        vec![
            column("id", "uuid"),
            column("aggregatetype", "character varying"),
            column("aggregateid", "bigint"),
            column("type", "character varying"),
            column("payload", "jsonb"),
        ]
    }

    fn mapping(columns: &str) -> Mapping {
        Mapping::new(Profile::Debezium, columns).expect("readable")
    }

    #[test]
    fn a_debezium_table_fits() {
        let fitted = fit(&mapping(""), &debezium(), "bytea").expect("fits");
        let sql: Vec<_> = fitted
            .values
            .iter()
            .map(|(ours, value)| format!("{ours} {}", value.replace(ROW, "r")))
            .collect();
        assert_eq!(
            sql,
            [
                r#"id r."id""#,
                r#"aggregatetype r."aggregatetype"::text"#,
                r#"aggregateid r."aggregateid"::text"#,
                r#"type r."type"::text"#,
                r#"payload convert_to(r."payload"::text, 'UTF8')"#,
            ]
        );
        assert_eq!((fitted.order, fitted.only), (None, None));
    }

    #[test]
    fn all_misfits_are_told_at_once() {
        let mut columns = debezium();
        columns[0].kind = "bigint".to_owned();
        columns[1].not_null = false;
        columns[4].kind = "text".to_owned();
        let misfits = fit(&mapping("key=tenant,order=n"), &columns, "jsonb").expect_err("does not fit");
        let told: Vec<_> = misfits
            .iter()
            .map(|misfit| (misfit.ours, misfit.what.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("id", "column id is bigint, not uuid"),
                ("aggregatetype", "column aggregatetype may be null"),
                ("aggregateid", "there is no column tenant"),
                ("payload", "column payload is text, not jsonb"),
                ("order", "there is no column n"),
            ]
        );
        assert!(misfits[3].fix.contains("--payload text"), "{}", misfits[3].fix);
    }

    #[test]
    fn the_tables_own_number_orders_its_backlog() {
        let mut columns = debezium();
        columns.push(Column {
            numbered: true,
            ..column("N", "bigint")
        });
        let fitted = fit(&mapping(""), &columns, "jsonb").expect("fits");
        assert_eq!(fitted.order.as_deref(), Some(r#"r."N""#));
        let fitted = fit(&mapping("order=type"), &columns, "jsonb").expect("fits");
        assert_eq!(fitted.order.as_deref(), Some(r#"r."type""#));
    }
}
