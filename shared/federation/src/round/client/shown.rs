//! What a participant can be shown of its own part in a secure sum: its update, what of it the
//! aggregator receives, and who confirmed the survivors before a share was released.

use super::{Client, Work};
use crate::round::messages::SumMessage;
use crate::round::phase::RoundKind;
use crate::task::Task;
use ground::hash::Hash;
use serde::Serialize;

/// A participant's update for a secure sum whose masked vector is being sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(export)]
pub struct MaskedUpdate {
    /// Number of the round.
    pub round: u32,
    /// What the round sums.
    pub kind: RoundKind,
    /// Number of bytes of an entry of the masked vector, an integer modulo 2^(8 · `entry_bytes`),
    /// little-endian. After the entries come counters of eight bytes.
    pub entry_bytes: u32,
    /// SHA-256 of the masked vector, as the record names it.
    pub vector: Hash,
}

/// The confirmations that a participant checked before it released a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(export)]
pub struct Confirmed {
    /// Number of the round.
    pub round: u32,
    /// Minimum number of members of the participant's group who signed the same list of survivors;
    /// with fewer signatures nothing would have been released.
    pub least: u32,
    /// Number of members of the group.
    pub members: u32,
}

impl Client {
    /// The update that is being sent under masks: what it is, its numbers, which never leave the
    /// participant, and the bytes of the masked vector that is sent in their place. `None` at any
    /// other time.
    #[must_use]
    pub fn masked_update(&self, task: &Task) -> Option<(MaskedUpdate, &[f32], &[u8])> {
        let sum = self.sum.as_ref()?;
        let Some(SumMessage::Masked(masked)) = sum.message() else {
            return None;
        };
        let Work { kind, delta, .. } = self.work.as_ref()?;
        let update = MaskedUpdate {
            round: sum.round(),
            kind: *kind,
            entry_bytes: task.contribution_of(*kind)?.layout().ring.bytes() as u32,
            vector: self.sums.committed()?.clone(),
        };
        Some((update, delta.as_deref()?, &masked.vector))
    }

    /// The confirmations with which the last share was released; `None` while none is.
    #[must_use]
    pub fn confirmed(&self, task: &Task) -> Option<Confirmed> {
        let sum = self.sum.as_ref()?;
        let Some(SumMessage::Unmask(_)) = sum.message() else {
            return None;
        };
        let members = sum.group_size()?;
        let policy = task.federation.secure.as_ref()?.policy;
        Some(Confirmed {
            round: sum.round(),
            least: policy.threshold_of(members) as u32,
            members: members as u32,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::super::Action;
    use super::*;
    use crate::record::{self, Entry};
    use crate::round::phase::Phase;
    use crate::round::rehearsal::{Rehearsal, secure_task};
    use serde_json::json;

    fn in_phase(wanted: Phase) -> (Rehearsal, Action) {
        let mut cast = Rehearsal::new(secure_task(json!({ "cohort_min": 3 })), 4);
        cast.play_to(0, wanted);
        let action = cast.lead(
            0,
            |action| matches!(action, Action::Send { message, .. } if message.phase() == wanted),
        );
        (cast, action)
    }

    #[test]
    fn the_masked_update_shown_is_the_one_that_is_sent_and_recorded() {
        let (mut cast, action) = in_phase(Phase::Masked);
        let (shown, update, vector) = cast.clients[0].masked_update(&cast.task).unwrap();
        let Action::Send {
            message: SumMessage::Masked(sent),
            ..
        } = action
        else {
            panic!("nothing is sent")
        };
        assert_eq!(vector, sent.vector);
        let layout = cast.task.contribution().unwrap().layout();
        let entries = update.len() * shown.entry_bytes as usize;
        assert_eq!(vector.len(), entries + 8 * layout.tail);
        let delta = cast.clients[0].work.as_ref().unwrap().delta.as_deref();
        assert_eq!(Some(update), delta);
        // As long as nothing is released, nothing was confirmed.
        assert_eq!(cast.clients[0].confirmed(&cast.task), None);

        cast.play_out();
        let line = record::read(&cast.aggregator.lines(1)[0]).unwrap();
        let Entry::Round(entry) = line.entry else {
            panic!("no round")
        };
        let named = entry.cohort.unwrap().contributors[0].vector.clone();
        assert_eq!(named, shown.vector);
        assert_eq!(entry.round, shown.round);
    }

    #[test]
    fn confirmations_are_told_with_the_share_that_they_released() {
        let (cast, _) = in_phase(Phase::Unmask);
        let told = Confirmed {
            round: 0,
            least: 3,
            members: 4,
        };
        assert_eq!(cast.clients[0].confirmed(&cast.task), Some(told));
        assert_eq!(cast.clients[0].masked_update(&cast.task), None);
    }
}
