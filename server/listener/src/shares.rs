//! How many connections, or other things that last, an address may have, and all addresses together.

use crate::address::Address;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is open at the moment, such as the connections of a listener, counted by address.
pub struct Shares {
    what: &'static str,
    /// Maximum number of one address.
    each: usize,
    /// Maximum number of all.
    all: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<Address, usize>,
    /// Whether a refusal was logged since there was room for everyone.
    told: bool,
}

/// One place, given back when it is dropped.
pub struct Share {
    shares: Arc<Shares>,
    /// Whose share it is taken from; nobody's for those without a share of their own.
    of: Option<Address>,
}

impl Shares {
    /// Makes room for `all` of what `what` names in the log, `each` of them for one address.
    #[must_use]
    pub fn new(what: &'static str, each: usize, all: usize) -> Arc<Self> {
        let open = Mutex::default();
        Arc::new(Self {
            what,
            each,
            all,
            open,
        })
    }

    /// Takes a place for `address`, or `None` if there is no room for it. Loopback has no share, only what all have together:
    /// there are the owner of the machine, their tests, and proxies that nobody named.
    #[must_use]
    pub fn take(self: &Arc<Self>, address: Option<Address>) -> Option<Share> {
        let of = address.filter(|address| !address.is_loopback());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let used = of.map_or(0, |of| *open.by_address.get(&of).unwrap_or(&0));
        if used >= self.each || open.all >= self.all {
            if !open.told {
                open.told = true;
                let (each, all) = (self.each, self.all);
                tracing::warn!(
                    each,
                    all,
                    "{} are refused: an address, or all together, have too many",
                    self.what
                );
            }
            return None;
        }
        open.all += 1;
        if let Some(of) = of {
            open.by_address.insert(of, used + 1);
        }
        Some(Share {
            shares: Arc::clone(self),
            of,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self
            .shares
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        open.told &= open.all > 0;
        let Some(of) = self.of else { return };
        let left = open.by_address.get(&of).map_or(0, |used| used - 1);
        if left == 0 {
            open.by_address.remove(&of);
        } else {
            open.by_address.insert(of, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn address(text: &str) -> Option<Address> {
        Some(text.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let shares = Shares::new("connections", 2, 100);
        let take = |text: &str| shares.take(address(text));
        let ann = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(ann.iter().all(Option::is_some));
        assert!(take("192.0.2.1").is_none());
        // A household is one address, and others are others.
        let home = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(home.iter().all(Option::is_some) && take("2001:db8::3").is_none());
        for many in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            let open: Vec<_> = (0..10).map(|_| take(many)).collect();
            assert!(open.iter().all(Option::is_some), "{many}");
        }
        drop(ann);
        assert!(take("192.0.2.1").is_some());
        drop(home);
        let open = shares.open.lock().unwrap();
        assert_eq!((open.all, open.by_address.len()), (0, 0));
    }

    #[test]
    fn all_together_leave_room_for_other_files() {
        let shares = Shares::new("connections", 10, 3);
        let take = || shares.take(address("127.0.0.1"));
        let open: Vec<_> = (0..3).map(|_| take()).collect();
        assert!(open.iter().all(Option::is_some));
        assert!(take().is_none() && shares.take(None).is_none());
        drop(open);
        assert!(shares.take(None).is_some());
    }
}
