//! The graph of who holds whose shares, and who shares a pair mask with whom.
//!
//! The roster's members, in a pseudo-random order, are cut into groups of sizes as equal as
//! possible. Within a group the graph is complete up to `degree` + 1 members; beyond, it is the
//! Harary graph over that order (each member with its `degree`/2 neighbours on either side of a
//! ring), as in SecAgg+. It is symmetric.

use super::keystream::Keystream;
use super::messages::Roster;
use super::{Bytes32, SumPolicy, labelled};
use std::collections::BTreeMap;

/// Cuts `members` (strictly increasing) into groups, each in its pseudo-random order. At least one
/// member for each group is needed for none to be empty.
#[must_use]
pub fn groups(roster_hash: &Bytes32, members: &[u32], policy: &SumPolicy) -> Vec<Vec<u32>> {
    // The order is public; it only must not be chosen by anyone.
    let mut stream = Keystream::new(roster_hash, &labelled("order", &[]));
    let mut order = members.to_vec();
    // Fisher–Yates.
    for i in (1..order.len()).rev() {
        order.swap(i, stream.below(i as u64 + 1) as usize);
    }
    // More groups than members would only add empty ones.
    let groups = (policy.groups.max(1) as usize).min(order.len().max(1));
    let (size, larger) = (order.len() / groups, order.len() % groups);
    let mut cut = Vec::with_capacity(groups);
    let mut rest = order.as_slice();
    for group in 0..groups {
        let (these, others) = rest.split_at(size + usize::from(group < larger));
        cut.push(these.to_vec());
        rest = others;
    }
    cut
}

/// The holders of `member`'s shares: itself and its neighbours, strictly increasing. Empty if it is
/// not in `group`, which is in the order that [`groups`] gives. The share of the holder at index i
/// of this list is at x = 1 + i.
#[must_use]
pub fn holders(group: &[u32], member: u32, policy: &SumPolicy) -> Vec<u32> {
    let Some(at) = group.iter().position(|&m| m == member) else {
        return Vec::new();
    };
    let n = group.len();
    let reach = n.min(policy.degree.div_ceil(2) as usize);
    let mut holders = group.to_vec();
    if n > 2 * reach + 1 {
        holders.rotate_left((at + n - reach) % n);
        holders.truncate(2 * reach + 1);
    }
    holders.sort_unstable();
    holders
}

/// The graph of a whole roster.
#[derive(Clone, Debug)]
pub struct Graph {
    roster: Bytes32,
    groups: Vec<Vec<u32>>,
    /// The group of each member, and its holders.
    places: BTreeMap<u32, (usize, Vec<u32>)>,
}

impl Graph {
    /// Builds the graph of a sorted roster.
    #[must_use]
    pub fn new(roster: &Roster, policy: &SumPolicy) -> Self {
        let hash = roster.hash();
        let groups = groups(&hash, &roster.participants(), policy);
        let place = |(number, group): (usize, &Vec<u32>)| -> Vec<(u32, (usize, Vec<u32>))> {
            let of = |&member: &u32| (member, (number, holders(group, member, policy)));
            group.iter().map(of).collect()
        };
        let places = groups.iter().enumerate().flat_map(place).collect();
        Self {
            roster: hash,
            groups,
            places,
        }
    }

    /// Hash of the roster.
    #[must_use]
    pub fn roster(&self) -> Bytes32 {
        self.roster
    }

    /// The groups.
    #[must_use]
    pub fn groups(&self) -> &[Vec<u32>] {
        &self.groups
    }

    /// The number of a member's group.
    #[must_use]
    pub fn group_of(&self, member: u32) -> Option<usize> {
        self.places.get(&member).map(|(group, _)| *group)
    }

    /// The [`holders`] of a member.
    #[must_use]
    pub fn holders(&self, member: u32) -> &[u32] {
        self.places.get(&member).map_or(&[], |(_, holders)| holders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(degree: u32, groups: u32) -> SumPolicy {
        SumPolicy {
            degree,
            groups,
            ..SumPolicy::default()
        }
    }

    #[test]
    fn up_to_one_more_than_the_degree_the_graph_is_complete() {
        for (degree, n) in [(4, 3), (4, 5), (5, 6), (5, 7), (100, 101)] {
            let members: Vec<u32> = (10..10 + n).collect();
            let groups = groups(&[1; 32], &members, &policy(degree, 1));
            for &member in &members {
                assert_eq!(holders(&groups[0], member, &policy(degree, 1)), members);
            }
        }
        assert!(holders(&[1, 2, 3], 4, &policy(4, 1)).is_empty());
    }

    #[test]
    fn the_order_depends_on_the_roster() {
        let members: Vec<u32> = (0..30).collect();
        let one = groups(&[1; 32], &members, &policy(4, 3));
        assert_eq!(groups(&[1; 32], &members, &policy(4, 3)), one);
        assert_ne!(groups(&[2; 32], &members, &policy(4, 3)), one);
    }

    #[test]
    fn more_groups_than_members_are_as_many_as_members() {
        assert_eq!(groups(&[1; 32], &[1, 2], &policy(4, u32::MAX)).len(), 2);
        assert_eq!(groups(&[1; 32], &[], &policy(4, 7)), [Vec::<u32>::new()]);
    }

    proptest! {
        #[test]
        fn groups_are_equal_and_graphs_symmetric_and_regular(
            hash in any::<Bytes32>(),
            members in prop::collection::btree_set(any::<u32>(), 3..80),
            degree in 2..20_u32,
            groups_wanted in 1..6_u32,
        ) {
            let policy = policy(degree, groups_wanted);
            let members: Vec<u32> = members.into_iter().collect();
            let groups = groups(&hash, &members, &policy);
            let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            let mut all: Vec<u32> = groups.concat();
            all.sort_unstable();
            prop_assert_eq!(all, members);
            for group in &groups {
                let expected = group.len().min(2 * degree.div_ceil(2) as usize + 1);
                for &member in group {
                    let holding = holders(group, member, &policy);
                    prop_assert_eq!(holding.len(), expected);
                    prop_assert!(holding.is_sorted_by(|a, b| a < b) && holding.contains(&member));
                    prop_assert!(holding.iter().all(|&h| holders(group, h, &policy).contains(&member)));
                }
            }
        }
    }
}
