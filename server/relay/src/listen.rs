//! The addresses at which the relay may listen: those of the loopback interface.

use std::net::SocketAddr;

/// Reads `--listen`.
///
/// # Errors
/// Why the relay may not listen at this address.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("`{text}` is not like 127.0.0.1:8702 or [::1]:8702"))?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "{} can be reached from other machines, and anyone who reaches the relay may spend your key's money: it listens \
         on 127.0.0.1 or [::1] only",
        address.ip()
    ))
}

#[cfg(test)]
mod tests {
    use super::loopback;

    #[test]
    fn only_this_machine() {
        for fine in ["127.0.0.1:0", "127.0.0.2:8702", "[::1]:8702"] {
            assert!(loopback(fine).is_ok(), "{fine}");
        }
        for reachable in [
            "0.0.0.0:8702",
            "[::]:8702",
            "192.168.1.2:8702",
            "[fe80::1]:8702",
            // This machine in another notation, which the system would treat as an IPv6 address.
            "[::ffff:127.0.0.1]:8702",
        ] {
            assert!(
                loopback(reachable).unwrap_err().contains("other machines"),
                "{reachable}"
            );
        }
        for bad in ["", "localhost:8702", "127.0.0.1", "8702"] {
            assert!(loopback(bad).unwrap_err().contains("8702"), "{bad}");
        }
    }
}
