//! The command `serve`, from its flags to its end.

use crate::clock::Clock;
use crate::config::{ConfigFaults, ServeArgs};
use crate::run::{Listeners, RunError, run};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Why `serve` ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings have faults.
    #[error(transparent)]
    Config(#[from] ConfigFaults),
    /// The address is in use or not one of this machine's.
    #[error("cannot listen on {address}: {reason}; choose another with --listen or --admin-listen")]
    Listen {
        /// The address and port.
        address: String,
        /// The system's message.
        reason: std::io::Error,
    },
    /// The server failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Resolves the flags, listens, announces where through `announce` (one line at a time, for
/// people), and serves until `shutdown`. Port 0 takes any free port.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    args: ServeArgs,
    clock: Arc<dyn Clock>,
    announce: impl Fn(&str),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let resolved = args.resolve()?;
    let bind = |address: SocketAddr| {
        let listen = |reason| ServeError::Listen {
            address: address.to_string(),
            reason,
        };
        let listener = TcpListener::bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok::<_, ServeError>((listener, address))
    };
    let (public, address) = bind(resolved.listen)?;
    let admin = resolved.admin_listen.map(bind).transpose()?;
    let scheme = match resolved.aggregator.tls {
        Some(_) => "https",
        None => "http",
    };
    // With port 0 the default address for links was made before the port was known.
    let guessed = resolved.aggregator.public_url.is_none() && resolved.listen.port() == 0;
    let url = if guessed {
        format!("{scheme}://{address}")
    } else {
        resolved.public_url
    };
    if let Some(path) = &resolved.token_file {
        announce(&format!("organiser's token in {}", path.display()));
    }
    announce(&format!("aggregator at {url}"));
    if let Some((_, address)) = &admin {
        announce(&format!(
            "organiser's part at {scheme}://{address}/organiser"
        ));
    }
    let listeners = Listeners {
        public,
        admin: admin.map(|(listener, _)| listener),
    };
    Ok(run(listeners, resolved.aggregator, clock, shutdown).await?)
}

/// Waits for Ctrl-C, or for SIGTERM from a service manager.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
