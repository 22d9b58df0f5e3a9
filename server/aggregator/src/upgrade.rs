//! Federations from before there were records.

use crate::app::App;
use crate::failure::Failure;
use crate::store::{federations, lines, rounds};
use federation::record::Replay;
use federation::round::messages::FederationStatus;
use federation::round::phase::AbortReason;

/// Gives a record to those that still stand at θ₀: their rounds so far, if any, were aborted, and that is all there
/// is to tell. The sums that moved another's θ are gone, so nobody could follow how it came about, and participants
/// take θ from nowhere else: such a federation is closed. Its θ stays for download.
pub(crate) async fn records(app: &App) -> Result<(), Failure> {
    for id in federations::unrecorded(&app.store.readers).await? {
        let Some(known) = app.known(&id).await? else {
            continue;
        };
        let mut record = Replay::new(&known.task)?;
        let first = record.open(&known.task, &id);
        app.store
            .run_tx("upgrade", async |tx| {
                let head = federations::head(&mut **tx, &id).await?;
                if head.lines > 0 {
                    // Another process was faster.
                    return Ok(());
                }
                if head.step > 0 || head.theta_hash != *record.theta() {
                    tracing::warn!(
                        federation = id,
                        "closed: it began before there were records, and its θ cannot be accounted for"
                    );
                    federations::set_status(tx, &id, FederationStatus::Closed).await?;
                    return federations::bump(tx, &id).await;
                }
                let mut record = record.clone();
                lines::append(tx, &id, 0, &first).await?;
                for round in rounds::records(&mut **tx, &id, u32::MAX).await? {
                    let number = record.lines();
                    let reason = round.reason.unwrap_or(AbortReason::TooFewUpdates);
                    let (_, line, _) = record.conclude(&known.task, round.round, Err(reason), None);
                    lines::append(tx, &id, number, &line).await?;
                }
                federations::advance(tx, &id, &known.task, &record, false).await?;
                federations::bump(tx, &id).await
            })
            .await?;
    }
    Ok(())
}
