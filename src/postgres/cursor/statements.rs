//! The cursor's statements: texts rendered once, prepared once per connection.

use futures_util::future::try_join_all;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

use super::row::Columns;
use crate::postgres::identifier::Schema;

/// Rendered texts.
#[derive(Debug)]
pub(in crate::postgres) struct CursorText {
    probe: String,
    open: String,
    window: String,
    extent: String,
    page: String,
    rest: String,
    bodies: String,
    size_text: String,
    size_bytea: String,
    verdicts: String,
    confirm: String,
    retainable: String,
    backlog: String,
    stretch: String,
    pub(in crate::postgres) windows: String,
    pub(in crate::postgres) identity: String,
    pub(in crate::postgres) bind: String,
    pub(in crate::postgres) first_window: String,
    pub(in crate::postgres) accepted: String,
}

/// Prepared on one connection.
pub(super) struct Statements {
    pub(super) probe: Statement,
    pub(super) open: Statement,
    pub(super) window: Statement,
    pub(super) extent: Statement,
    pub(super) page: Statement,
    pub(super) rest: Statement,
    pub(super) bodies: Statement,
    pub(super) size: Statement,
    pub(super) verdicts: Statement,
    pub(super) confirm: Statement,
    pub(super) retainable: Statement,
    pub(super) backlog: Statement,
    pub(super) stretch: Statement,
    pub(super) columns: Columns,
}

// === impl CursorText ===

impl CursorText {
    pub(in crate::postgres) fn new(schema: &Schema) -> Self {
        macro_rules! text {
            ($name:literal) => {
                schema.render(include_str!(concat!(
                    "../../../sql/queries/cursor/",
                    $name,
                    ".sql"
                )))
            };
        }
        Self {
            probe: text!("probe"),
            open: text!("open"),
            window: text!("window"),
            extent: text!("extent"),
            page: text!("page"),
            rest: text!("rest"),
            bodies: text!("bodies"),
            size_text: text!("size_text"),
            size_bytea: text!("size_bytea"),
            verdicts: text!("verdicts"),
            confirm: text!("confirm"),
            retainable: text!("retainable"),
            backlog: text!("backlog"),
            stretch: text!("stretch"),
            windows: text!("windows"),
            identity: text!("identity"),
            bind: text!("bind"),
            first_window: text!("first_window"),
            accepted: text!("accepted"),
        }
    }
}

// === impl Statements ===

impl Statements {
    pub(super) async fn prepare(client: &Client, text: &CursorText) -> Result<Self, tokio_postgres::Error> {
        let texts = [
            &text.probe,
            &text.open,
            &text.window,
            &text.extent,
            &text.page,
            &text.rest,
            &text.bodies,
            &text.verdicts,
            &text.confirm,
            &text.retainable,
            &text.backlog,
            &text.stretch,
        ];
        let all = try_join_all(texts.map(|text| client.prepare(text))).await?;
        let payload = all[6]
            .columns()
            .get(1)
            .map_or(Type::JSONB, |column| column.type_().clone());
        let size = if payload == Type::BYTEA {
            &text.size_bytea
        } else {
            &text.size_text
        };
        let size = client.prepare(size).await?;
        let [
            probe,
            open,
            window,
            extent,
            page,
            rest,
            bodies,
            verdicts,
            confirm,
            retainable,
            backlog,
            stretch,
        ] = all
            .try_into()
            .unwrap_or_else(|_| unreachable!("as many as were asked for"));
        Ok(Self {
            probe,
            open,
            window,
            extent,
            page,
            rest,
            bodies,
            size,
            verdicts,
            confirm,
            retainable,
            backlog,
            stretch,
            columns: Columns::of(&payload),
        })
    }
}
