//! Federations from before there were records.

use crate::app::App;
use crate::failure::Failure;
use federation::engine::store::{EVERY, Federations as _, Lines as _, Rounds as _, Store as _};
use federation::record::Replay;
use federation::round::messages::FederationStatus;
use federation::round::phase::AbortReason;

/// Gives a record to the federations that are still at θ₀: if they had rounds, all were aborted,
/// and there is nothing else to record. Other federations are closed: the sums that moved their θ
/// are gone, so nobody could recompute it, and participants take θ from nowhere else. Their θ can
/// still be downloaded.
pub(crate) async fn records(app: &App) -> Result<(), Failure> {
    for id in app.read(EVERY, async |tx| tx.unrecorded().await).await? {
        let federation = app.federation(&id).await?;
        let task = &federation.task;
        let mut record = Replay::new(task)?;
        let first = record.open(task, &id);
        app.aggregator
            .store()
            .run_tx(&id, "upgrade", async |tx| {
                let at = tx.current(None, 0).await?;
                if at.lines > 0 {
                    // Another process was faster.
                    return Ok(());
                }
                if at.step > 0 || at.theta != *record.theta() {
                    tracing::warn!(
                        federation = id,
                        "closed: it began before there were records, and its θ cannot be accounted for"
                    );
                    tx.set_status(FederationStatus::Closed).await?;
                    return tx.bump().await;
                }
                let mut record = record.clone();
                tx.append_line(0, &first).await?;
                for round in tx.records(u32::MAX).await? {
                    let number = record.lines();
                    let reason = round.reason.unwrap_or(AbortReason::TooFewUpdates);
                    let (_, line, _) = record.conclude(task, round.round, Err(reason), None);
                    tx.append_line(number, &line).await?;
                }
                tx.advance(task, &record, false).await?;
                tx.bump().await
            })
            .await?;
    }
    Ok(())
}
