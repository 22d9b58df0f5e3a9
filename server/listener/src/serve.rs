//! The server from its socket to its end.

#[cfg(test)]
mod tests;

use crate::address::{Address, Proxies};
use crate::connection::Connection;
use crate::descriptors;
use crate::shares::Shares;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_rt::net::TcpStream;
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Service};
use std::net::TcpListener;
use std::time::Duration;
use std::{fmt, io};

/// Descriptors that are kept for everything but connections: the database, files, and what the process asks others.
const RESERVED: u64 = 128;

/// Maximum number of connections that wait to be accepted, as far as the system allows.
const BACKLOG: i32 = 4096;

/// How a server listens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of worker threads.
    pub workers: usize,
    /// Maximum number of connections of one address. Those from loopback and from `proxies` are not counted.
    pub connections_per_address: usize,
    /// Maximum number of connections, if that is less than what the system's limit of descriptors leaves room for.
    pub connections: usize,
    /// Reverse proxies, which connect for many.
    pub proxies: Proxies,
    /// How long a peer may take nothing of an answer. In each such time it must take 32 KiB or the rest.
    pub patience: Duration,
    /// How long a request's head may take.
    pub head: Duration,
    /// Whether a peer that closes its sending half still gets its answer; otherwise it has gone away.
    pub half_closed: bool,
    /// How long requests in flight may take after the signal to stop, in seconds.
    pub drain_seconds: u64,
    /// Certificate and key, to speak HTTPS.
    pub tls: Option<rustls::ServerConfig>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 2,
            connections_per_address: 1024,
            connections: usize::MAX,
            proxies: Proxies::default(),
            patience: Duration::from_secs(30),
            head: Duration::from_secs(10),
            half_closed: true,
            drain_seconds: 10,
            tls: None,
        }
    }
}

/// How long an idle connection is kept. Participants evaluate for half a minute and longer between two requests, and connecting
/// anew costs each of them two or three round trips; browsers, nginx and the clouds' load balancers keep their idle connections
/// to a server for 60 s, and fail requests where the server closes first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Starts a server on `listener` with `factory`'s application in each worker. Raises the process's limit of descriptors.
///
/// # Errors
/// The system refuses the socket.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    settings: Settings,
    factory: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let descriptors = descriptors::raise();
    // A connection may read a file, which takes a descriptor too.
    let room = (descriptors.saturating_sub(RESERVED) / 2).max(1);
    let all = usize::try_from(room)
        .unwrap_or(usize::MAX)
        .min(settings.connections);
    let each = settings.connections_per_address.min(all / 2 + 1);
    let address = listener.local_addr()?;
    // The standard library's queue overflows when many come at once, and whom that meets tries again a second later.
    if let Err(error) = socket2::SockRef::from(&listener).listen(BACKLOG) {
        tracing::debug!(%error, "the system keeps its own queue of connections");
    }
    tracing::info!(%address, descriptors, connections = all, of_one_address = each, "listening");
    let shares = Shares::new("connections", each, all);
    let builder = Server::build()
        .workers(settings.workers)
        .shutdown_timeout(settings.drain_seconds)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let (patience, proxies) = (settings.patience, settings.proxies.clone());
    let connect = move |stream: TcpStream| {
        let peer = stream.peer_addr().ok().map(|peer| peer.ip());
        // A proxy connects for many.
        let own = peer.filter(|peer| !proxies.trusts(*peer));
        let share = shares.take(own.map(Address::from));
        // What is refused is closed at once: an answer would cost what there is too little of.
        std::future::ready(
            share
                .map(|share| Connection::new(stream, patience, share))
                .ok_or(()),
        )
    };
    let tls = settings.tls.clone();
    // One expression for two types of connections, plain ones and those under TLS.
    macro_rules! http {
        () => {{
            let (app, stopping) = (factory().into_factory(), stopping.clone());
            let app = app.map_err(|error| error.into().error_response());
            HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(settings.head)
                .h1_allow_half_closed(settings.half_closed)
                .finish(map_config(app, |_| AppConfig::default()))
                .map_err(drop)
        }};
    }
    let builder = match tls {
        None => builder.listen("http", listener, move || {
            fn_service(connect.clone())
                .map(|io: Connection| {
                    let peer = io.peer();
                    (io, Protocol::Http1, peer)
                })
                .and_then(http!())
        })?,
        Some(mut tls) => {
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            builder.listen("https", listener, move || {
                fn_service(connect.clone())
                    .and_then(Acceptor::new(tls.clone()).map_err(drop))
                    .map(|io: TlsStream<Connection>| {
                        let peer = io.get_ref().0.peer();
                        (io, Protocol::Http1, peer)
                    })
                    .and_then(http!())
            })?
        }
    };
    Ok(builder.run())
}
