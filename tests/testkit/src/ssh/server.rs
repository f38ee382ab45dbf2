//! A server that keeps to no protocol.

use std::io::Result;
use std::net::TcpListener;
use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;

use super::exchange::host_key_blob;
use super::peer::{Side, SshPeer};

/// A server that does to each connection what it was told to, and then holds it until the client leaves. It ends with the test's process.
#[derive(Debug)]
pub struct HostileSshd {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    key: Arc<Ed25519KeyPair>,
}

impl HostileSshd {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(does: impl Fn(&mut SshPeer) -> Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let key = Arc::new(Ed25519KeyPair::from_seed_unchecked(&[2; 32]).expect("32 bytes are a seed"));
        let (does, shown) = (Arc::new(does), Arc::clone(&key));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (does, key) = (Arc::clone(&does), Arc::clone(&shown));
                // It ends with its connection, and what went wrong shows at the client.
                std::thread::spawn(move || {
                    let mut peer = SshPeer::new(socket, Side::Server, key)?;
                    does(&mut peer)?;
                    while !peer.is_cut() {}
                    std::io::Result::Ok(())
                });
            }
        });
        Self { port, key }
    }

    /// Its host key, as the protocol has it.
    pub fn host_key(&self) -> Vec<u8> {
        host_key_blob(&self.key)
    }
}
