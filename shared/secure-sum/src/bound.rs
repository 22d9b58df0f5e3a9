//! What an aggregator that lies, and participants who collude with it, can open at most.

use super::SumPolicy;

/// What holds for every group of a given size, whatever the aggregator says to whom and whatever
/// order of the ring it brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// m: number of members of the group.
    pub members: usize,
    /// Number of holders of each member's shares, itself among them.
    pub holders: usize,
    /// Number of members who must have sent a vector, and confirmed the survivors, before a share
    /// is revealed.
    pub survivors: usize,
    /// Number of members who may drop out, wherever they stand, in a round that still ends well.
    pub dropouts: usize,
    /// c: number of members who may collude with the aggregator while everything below holds.
    pub colluders: usize,
    /// Smallest number of honest members whose vectors are in a sum that is opened, with that many
    /// colluders; at least 2.
    pub honest: usize,
}

impl Bound {
    /// The bound for a group of `members` under a valid policy; `None` for fewer than 3.
    ///
    /// The colluders are fewer than each of these needs:
    ///
    /// * 2t − m members who confirm two different views, t being the group's threshold;
    /// * as many holders as reveal a secret by themselves;
    /// * where the graph is a ring of `reach` neighbours on either side, enough to cut an arc out of
    ///   it: two gaps of `reach` members who are not honest survivors, of which each end of the arc
    ///   accepts h − t_h as dropouts among its h holders, so that the rest must collude;
    /// * all but one of the survivors.
    #[must_use]
    pub fn of(policy: &SumPolicy, members: usize) -> Option<Self> {
        if members < 3 {
            return None;
        }
        let reach = policy.degree.div_ceil(2) as usize;
        let holders = members.min(2 * reach + 1);
        let survivors = policy.threshold_of(members);
        let shares = policy.threshold_of(holders);
        let mut too_many = (2 * survivors).saturating_sub(members).min(shares);
        if holders < members {
            too_many = too_many.min(2 * reach.saturating_sub(holders - shares));
        }
        let colluders = too_many.saturating_sub(1).min(survivors.saturating_sub(2));
        Some(Self {
            members,
            holders,
            survivors,
            dropouts: (members - survivors).min(holders - shares),
            colluders,
            honest: survivors - colluders,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bounds() {
        let bound = |m| {
            let b = Bound::of(&SumPolicy::default(), m).unwrap();
            (b.survivors, b.dropouts, b.colluders, b.honest)
        };
        assert_eq!(bound(3), (3, 0, 1, 2));
        assert_eq!(bound(4), (3, 1, 1, 2));
        assert_eq!(bound(10), (7, 3, 3, 4));
        assert_eq!(bound(100), (67, 33, 33, 34));
        // A ring: the colluders could stand together.
        assert_eq!(bound(300), (201, 33, 33, 168));
        assert_eq!(Bound::of(&SumPolicy::default(), 2), None);
    }

    #[test]
    fn two_honest_people_at_least_are_in_every_sum() {
        for threshold in [crate::THRESHOLD_MIN, 0.8, 0.95] {
            for degree in [4, 20, 100, 254] {
                let policy = SumPolicy {
                    threshold,
                    degree,
                    ..SumPolicy::default()
                };
                for m in 3..=1_000 {
                    let bound = Bound::of(&policy, m).unwrap();
                    assert!(bound.honest >= 2, "{policy:?} {bound:?}");
                    assert!(bound.colluders + bound.honest == bound.survivors);
                }
            }
        }
    }
}
