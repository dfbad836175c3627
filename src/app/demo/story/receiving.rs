//! The second half: a consumer dies in the middle of an effect, and its application refuses an event until it is fixed.

use super::Story;
use crate::app::demo::effects::{self, REFUSED};
use crate::app::demo::stage::DemoError;
use crate::app::demo::workload::{self, Written};
use crate::operate::letters::{Desk as _, Selection};

// === impl Story ===

impl Story {
    /// What the application does with its events goes wrong twice.
    pub(super) async fn receive(&mut self) -> Result<Written, DemoError> {
        let mut written = self.die_in_an_effect().await?;
        written += workload::bug(&mut self.client).await?;
        self.view.say(&format!(
            "{REFUSED} gets an event that its handler refuses (TB001), and one behind it"
        ));
        self.wait_for("the refused key to be parked", async || self.is_parked(REFUSED).await)
            .await?;
        self.view.say(&format!(
            "{REFUSED} is parked with its events in order; the other keys flow on"
        ));
        written += self
            .write("writing on: the refused key's events queue behind it")
            .await?;
        effects::fix(&self.client).await?;
        let released = self.release(REFUSED, "the handler is fixed").await?;
        self.view.say(&format!(
            "a fixed handler is deployed, and {released} key released: handled again, in order"
        ));
        Ok(written)
    }

    /// `SIGKILL` while the handler's transaction is open.
    async fn die_in_an_effect(&mut self) -> Result<Written, DemoError> {
        let holder = self.stage.client().await?;
        effects::hold(&holder).await?;
        let written = self
            .write("writing on: the handler stands still in the middle of its transaction")
            .await?;
        self.wait_for("a handler in the middle of its transaction", async || {
            Ok(effects::stand_still(&self.client).await?)
        })
        .await?;
        self.consumer.kill()?;
        effects::let_go(&holder).await?;
        self.consumer = self.setup.start("consume")?;
        self.view
            .say("the consumer is killed (SIGKILL) in the middle of an effect, and started again");
        Ok(written)
    }

    async fn is_parked(&self, key: &str) -> Result<bool, DemoError> {
        let selection = Selection {
            key: Some(key.to_owned()),
            ..Selection::default()
        };
        let letters = self.stage.desk()?.list(selection, 1).await;
        let letters = letters.map_err(|failure| DemoError::Desk(failure.to_string()))?;
        Ok(!letters.is_empty())
    }
}
