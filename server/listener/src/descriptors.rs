//! The limit of open files and connections.

/// Enough for any one process here; beyond it, some systems spend time on the limit itself.
#[cfg(unix)]
const ENOUGH: u64 = 65_536;
/// What a system without such a limit is taken to have.
#[cfg(not(unix))]
const UNLIMITED: u64 = 16_384;

/// Raises the process's limit of open descriptors as far as the system allows, to 65,536 at most. Returns the limit that holds.
#[cfg(unix)]
#[must_use]
pub fn raise() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (before, most) = (current.unwrap_or(ENOUGH), maximum.unwrap_or(ENOUGH));
    let wanted = most.min(ENOUGH);
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    if before < wanted && setrlimit(Resource::Nofile, raised).is_ok() {
        return wanted;
    }
    before
}

/// There is no such limit here.
#[cfg(not(unix))]
#[must_use]
pub fn raise() -> u64 {
    UNLIMITED
}
