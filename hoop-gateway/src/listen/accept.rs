//! Accepting connections, and a place for each until its caller is known.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// Limits for connections whose caller is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreAuthLimits {
    /// How long the login may take, TLS included.
    pub deadline: Duration,
    /// How many may be in their login at once. One more ends the one that has been at it the longest: a login takes
    /// milliseconds, so that is one that says nothing.
    pub connections: usize,
}

impl Default for PreAuthLimits {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), connections: 512 }
    }
}

/// How many connections the system may keep until they are accepted: more than `pending_logins`, so that a thousand who
/// arrive at once are turned away by the gateway and not by the loss of their SYN, which costs everybody a second. The system
/// has a limit of its own (`net.core.somaxconn`).
const BACKLOG: u32 = 16 * 1024;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection; `None` at shutdown. A failure to accept (out of file descriptors) waits a little and goes on.
    pub(crate) async fn accept(&self, shutdown: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let _ = stream.set_nodelay(true);
                        return Some((stream, peer));
                    }
                    Err(error) => {
                        tracing::warn!(address = %self.address, %error, "connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                () = shutdown.cancelled() => return None,
            }
        }
    }
}

/// The places of connections whose caller is not known yet.
#[derive(Debug, Clone)]
pub(crate) struct PreAuth {
    places: Arc<Mutex<VecDeque<CancellationToken>>>,
    most: usize,
}

/// One place. Dropping it, once the caller is known or gone, makes it free.
pub(crate) struct Place {
    places: PreAuth,
    evicted: CancellationToken,
}

impl PreAuth {
    pub(crate) fn new(most: usize) -> Self {
        Self { places: Arc::default(), most: most.max(1) }
    }

    /// Takes a place; when there is none left, that of the one who has had it the longest.
    pub(crate) fn enter(&self) -> Place {
        let evicted = CancellationToken::new();
        let mut places = self.places.lock();
        if places.len() >= self.most
            && let Some(oldest) = places.pop_front()
        {
            oldest.cancel();
        }
        places.push_back(evicted.clone());
        Place { places: self.clone(), evicted }
    }
}

impl Place {
    /// Resolves when the place is needed for another.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Cancelled also marks it as ours: tokens have no identity of their own.
        self.evicted.cancel();
        self.places.places.lock().retain(|place| !place.is_cancelled());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn the_oldest_makes_room() {
        let places = PreAuth::new(2);
        let (first, second) = (places.enter(), places.enter());
        let third = places.enter();
        assert!(first.evicted().now_or_never().is_some());
        assert!(second.evicted().now_or_never().is_none());
        drop(second);
        let _fourth = places.enter();
        assert!(third.evicted().now_or_never().is_none());
    }
}
