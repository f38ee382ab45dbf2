//! A client, as the library tells of it: who it is, and what it asks for.

use std::sync::Arc;
use std::time::Duration;

use hoop_proto::tunnel::v1::{SshDirectStreamlocal, SshDirectTcpip};
use russh::keys::{Certificate, HashAlg};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::SshDoor;
use super::login::{Caller, Visitor};
use crate::proxy::ssh::{Asked, Opened, Wanted};

/// How long the target may take to answer a request that concerns the whole connection.
const ANSWER: Duration = Duration::from_secs(10);

/// One client.
pub(super) struct Client {
    door: Arc<SshDoor>,
    visitor: Visitor,
    /// Whose login is proven. Only that of the method that succeeded counts.
    caller: Option<Caller>,
    admitted: Option<oneshot::Sender<Caller>>,
    asked: mpsc::Sender<Asked>,
}

impl Client {
    pub(super) const fn new(
        door: Arc<SshDoor>,
        visitor: Visitor,
        admitted: oneshot::Sender<Caller>,
        asked: mpsc::Sender<Asked>,
    ) -> Self {
        Self { door, visitor, caller: None, admitted: Some(admitted), asked }
    }

    fn decided(&mut self, caller: Option<Caller>) -> Auth {
        self.caller = caller;
        if self.caller.is_some() { Auth::Accept } else { Auth::reject() }
    }

    /// Hands a channel over to the session. When that has fallen behind with them, it is refused: by dropping its reply.
    fn open(&self, wanted: Wanted, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let _ = self.asked.try_send(Asked::Channel(wanted, channel, Opened::Wanted(reply)));
    }

    async fn ask(&self, asked: impl FnOnce(oneshot::Sender<Option<u32>>) -> Asked) -> Option<u32> {
        let (answer, answered) = oneshot::channel();
        self.asked.try_send(asked(answer)).ok()?;
        timeout(ANSWER, answered).await.ok()?.ok()?
    }
}

/// The library keeps room for the largest of these for as long as the connection lasts: what is large, as a login is, is boxed.
impl Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let caller = Box::pin(self.door.with_password(&self.visitor, user, password)).await;
        Ok(self.decided(caller))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut response) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            });
        };
        let password = response.next().and_then(|answer| String::from_utf8(answer.to_vec()).ok());
        let caller = match password {
            Some(password) => Box::pin(self.door.with_password(&self.visitor, user, &password)).await,
            None => None,
        };
        Ok(self.decided(caller))
    }

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        let fingerprint = offer.public_key.fingerprint(HashAlg::Sha256).to_string();
        let may_sign = Box::pin(self.door.may_sign(&fingerprint)).await;
        Ok(if may_sign { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let fingerprint = key.public_key.fingerprint(HashAlg::Sha256).to_string();
        let caller = Box::pin(self.door.with_key(&self.visitor, user, &fingerprint)).await;
        Ok(self.decided(caller))
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Self::Error> {
        let caller = Box::pin(self.door.with_certificate(&self.visitor, user, certificate)).await;
        Ok(self.decided(caller))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        let (Some(mut caller), Some(admitted)) = (self.caller.take(), self.admitted.take()) else {
            return Err(russh::Error::Inconsistent);
        };
        let id = String::from_utf8_lossy(session.remote_sshid());
        caller.client = id.chars().filter(|c| !c.is_control()).take(255).collect();
        let _ = admitted.send(caller);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open(Wanted::Program, channel, reply);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let to = SshDirectTcpip {
            host: host_to_connect.to_owned(),
            port: port_to_connect,
            originator_host: originator_address.to_owned(),
            originator_port,
        };
        self.open(Wanted::DirectTcpip(to), channel, reply);
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let to = SshDirectStreamlocal { path: socket_path.to_owned() };
        self.open(Wanted::DirectStreamlocal(to), channel, reply);
        Ok(())
    }

    // Requests on a channel reach its task in their order. They are answered here and at once, since the library keeps one
    // question a channel: a refusal that comes later is told on the channel.

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _variable_name: &str,
        _variable_value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _x11_auth_protocol: &str,
        _x11_auth_cookie: &str,
        _x11_screen_number: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn agent_request(&mut self, _channel: ChannelId, _session: &mut Session) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let (host, wanted) = (address.to_owned(), *port);
        let chosen = self.ask(|answer| Asked::Forward { host, port: wanted, answer }).await;
        if let Some(chosen) = chosen {
            *port = chosen;
        }
        Ok(chosen.is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let host = address.to_owned();
        Ok(self.ask(|answer| Asked::CancelForward { host, port, answer }).await.is_some())
    }
}
